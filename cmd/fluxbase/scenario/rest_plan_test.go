package scenario

import (
	"encoding/json"
	"strings"
	"testing"
)

const guardDDL = `
CREATE FUNCTION guard() RETURNS void LANGUAGE plpgsql AS $$
DECLARE headers json := nullif(current_setting('request.headers', true), '');
BEGIN
  IF headers ->> 'x-client' = 'bad' THEN
    RAISE SQLSTATE 'PT451' USING MESSAGE = 'Not this client', DETAIL = current_user;
  END IF;
  IF auth.jwt() ->> 'email' = 'bob@example.com' THEN
    RAISE insufficient_privilege USING MESSAGE = 'Not Bob';
  END IF;
  PERFORM set_config('response.headers', '[{"X-Guard":"' || current_user || '"}]', true);
END $$;
`

// restPlanCases ask for plans, on a node that gives them. A function looks at every
// request before.
var restPlanCases = []restCase{
	{name: "plan", path: "/kinds?id=eq.1", headers: "Accept: application/vnd.pgrst.plan", wantPart: "Aggregate  (cost=", header: `Content-Type: application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8`},
	{name: "plan as text", path: "/kinds?id=eq.1", headers: "Accept: application/vnd.pgrst.plan+text", wantPart: "->  Index Scan using kinds_pkey on kinds", header: `Content-Type: application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8`},
	{name: "plan as the client asks", path: "/kinds", headers: `Accept: application/vnd.pgrst.plan+text; for="application/json"; options=analyze|verbose|settings|buffers|wal;`, wantPart: "actual time="},
	{name: "plan as the client asks without options", path: "/kinds", headers: `Accept: application/vnd.pgrst.plan+text; for="application/json"; options=;`, wantPart: "Aggregate  (cost=", header: `Content-Type: application/vnd.pgrst.plan+text; for="application/json"; charset=utf-8`},
	{name: "plan of one object", path: "/kinds", headers: `Accept: application/vnd.pgrst.plan+json; for="application/vnd.pgrst.object+json"; options=verbose`, wantPart: `"Output"`, header: `Content-Type: application/vnd.pgrst.plan+json; for="application/vnd.pgrst.object+json"; options=verbose; charset=utf-8`},
	{name: "plan of csv", path: "/kinds", headers: `Accept: application/vnd.pgrst.plan; for="text/csv"`, wantPart: "Aggregate  (cost="},
	{name: "plan with a count", path: "/kinds", headers: "Accept: application/vnd.pgrst.plan | Prefer: count=exact", wantPart: "->  Append"},
	{name: "plan with embeds", path: "/books?select=title,reviews(stars)", headers: "Accept: application/vnd.pgrst.plan", wantPart: "Scan on reviews"},
	{name: "plan of an insert", method: "POST", path: "/kinds", body: `{"id":9}`, headers: "Accept: application/vnd.pgrst.plan", wantPart: "Insert on kinds", then: `SELECT count(*)::text FROM kinds`, thenWant: "5"},
	{name: "plan of an insert that is run", method: "POST", path: "/kinds", body: `{"id":9}`, headers: "Accept: application/vnd.pgrst.plan; options=analyze", wantPart: "Insert on kinds", then: `SELECT count(*)::text FROM kinds`, thenWant: "6"},
	{name: "plan of an insert that is run and undone", method: "POST", path: "/kinds", body: `{"id":9}`, headers: "Accept: application/vnd.pgrst.plan; options=analyze | Prefer: tx=rollback", wantPart: "Insert on kinds", then: `SELECT count(*)::text FROM kinds`, thenWant: "5"},
	{name: "plan of a merge", method: "PUT", path: "/kinds?id=eq.1", body: `{"id":1,"label":"x","n":1}`, headers: "Accept: application/vnd.pgrst.plan", wantPart: "Conflict Resolution: UPDATE"},
	{name: "plan of an update", method: "PATCH", path: "/kinds?id=eq.1&select=label", body: `{"label":"x"}`, headers: "Accept: application/vnd.pgrst.plan+json | " + represent, wantPart: `"ModifyTable"`, then: `SELECT label FROM kinds WHERE id = 1`, thenWant: "one"},
	{name: "plan of a delete", method: "DELETE", path: "/kinds?id=eq.1&order=id", headers: "Accept: application/vnd.pgrst.plan | " + represent, wantPart: "Delete on kinds"},
	{name: "plan of a call", path: "/rpc/kinds_above?low=1", headers: "Accept: application/vnd.pgrst.plan", wantPart: "Aggregate  (cost="},
	{name: "plan of a value", path: "/rpc/add?a=1&b=2", headers: "Accept: application/vnd.pgrst.plan", wantPart: "Aggregate  (cost="},
	{name: "plan of what one may not read", as: "ann", path: "/private", headers: "Accept: application/vnd.pgrst.plan", status: 403, error: [4]string{"42501", "permission denied for table private", "-", "-"}},
	{name: "plan with an unknown option", path: "/kinds", headers: "Accept: application/vnd.pgrst.plan; options=nonsense", status: 406, error: [4]string{"PGRST107", "?", "-", "-"}},
	{name: "plan of an unknown type", path: "/kinds", headers: `Accept: application/vnd.pgrst.plan; for="image/png"`, status: 406, error: [4]string{"PGRST107", "?", "-", "-"}},
	{name: "plan with an option that needs another", path: "/kinds", headers: "Accept: application/vnd.pgrst.plan; options=wal", status: 400, error: [4]string{"22023", "?", "?", "?"}},

	{name: "the guard lets through", path: "/kinds?select=id&id=eq.1", want: ids("1"), header: "X-Guard: service_role"},
	{name: "the guard refuses", path: "/kinds", headers: "X-Client: bad", as: "ann", status: 451, error: [4]string{"PT451", "Not this client", "authenticated", "-"}},
	{name: "the guard refuses a write", method: "POST", path: "/kinds", body: `{"id":9}`, headers: "X-Client: bad", status: 451, error: [4]string{"PT451", "?", "?", "-"}, then: `SELECT count(*)::text FROM kinds`, thenWant: "5"},
	{name: "the guard refuses a call", method: "POST", path: "/rpc/add", body: `{"a":1,"b":2}`, headers: "X-Client: bad", status: 451, error: [4]string{"PT451", "?", "?", "-"}},
	{name: "the guard knows who calls", as: "bob", path: "/kinds", status: 403, error: [4]string{"42501", "Not Bob", "-", "-"}},
}

// guardedCases: the guard stands before the native dialect as well.
var guardedCases = []tablesCase{
	{name: "guarded list", as: "bob", path: "/kinds", status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded row", as: "bob", path: "/kinds/1", status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded query", as: "bob", method: "POST", path: "/kinds/query", body: `{}`, status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded export", as: "bob", path: "/kinds/export", status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded insert", as: "bob", method: "POST", path: "/kinds", body: `{"id":9}`, status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded update", as: "bob", method: "PATCH", path: "/kinds/1", body: `{"n":9}`, status: 403, code: "INSUFFICIENT_PERMISSIONS"},
	{name: "guarded delete", as: "bob", method: "DELETE", path: "/kinds/1", status: 403, code: "INSUFFICIENT_PERMISSIONS", then: `SELECT count(*)::text FROM kinds`, thenWant: "5"},
	{name: "and lets others through", as: "ann", path: "/kinds/1", wantPart: `"label":"one"`},
}

func TestRestPlans(t *testing.T) {
	t.Parallel()
	n := startTables(t, restDDL+callDDL+guardDDL, "API_PLAN_ENABLED=true", "API_PRE_REQUEST=public.guard")
	n.runRests(t, restSeed, restPlanCases)
	n.runAll(t, restSeed, guardedCases)

	refused := n.Do("POST", "/api/v1/graphql", n.bob.AccessToken, `{"query":"{ kinds { id } }"}`)
	if !strings.Contains(string(refused.Body), "INSUFFICIENT_PERMISSIONS") || strings.Contains(string(refused.Body), `"id":1`) {
		t.Errorf("the guard does not stand before GraphQL: %d %s", refused.Status, refused.Body)
	}
	if let := n.Do("POST", "/api/v1/graphql", n.ann.AccessToken, `{"query":"{ kinds(orderBy:[{id:ASC}]) { id } }"}`); !strings.Contains(string(let.Body), `"id":1`) {
		t.Errorf("the guard lets nobody through to GraphQL: %d %s", let.Status, let.Body)
	}

	got := n.Do("GET", "/rest/v1/kinds?id=gt.1&select=label", n.ServiceKey, nil, "Accept", "application/vnd.pgrst.plan+json; options=buffers")
	var plans []struct {
		Plan map[string]any
	}
	if err := json.Unmarshal(got.Body, &plans); err != nil || len(plans) != 1 || plans[0].Plan["Node Type"] != "Aggregate" {
		t.Errorf("no plan: %v: %s", err, got.Body)
	}
}

// TestNotifyPostgrest: whoever is used to telling PostgREST of a new table is heard,
// and what is meant for its configuration does no harm.
func TestNotifyPostgrest(t *testing.T) {
	t.Parallel()
	n := startTables(t, `CREATE TABLE before (id int4 PRIMARY KEY); GRANT ALL ON before TO service_role`)
	// No event trigger tells of this one.
	n.exec(t, `ALTER EVENT TRIGGER fluxbase_announce DISABLE; ALTER TABLE before ADD COLUMN later text DEFAULT 'here'`)
	wait := func() bool {
		for range 200 { // each look-up of an unknown name would find it as well: a known one does not
			r := n.Do("OPTIONS", "/rest/v1/before", n.ServiceKey, nil)
			if r.Status != 200 {
				t.Fatalf("OPTIONS: %d %s", r.Status, r.Body)
			}
			if got := n.Do("GET", "/openapi.json", n.ServiceKey, nil); strings.Contains(string(got.Body), `"later"`) {
				return true
			}
		}
		return false
	}
	n.exec(t, `NOTIFY pgrst, 'reload config'; NOTIFY pgrst, 'nonsense'; NOTIFY pgrst, 'reload schema'`)
	if !wait() {
		t.Error("the new column is not known")
	}
	n.Want(200, "GET", "/rest/v1/before?select=later", n.ServiceKey, nil)
}
