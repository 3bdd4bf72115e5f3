package scenario

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// library is what the procedures of a test stand on.
const library = `
	CREATE TABLE tasks (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, owner uuid DEFAULT auth.uid(), title text NOT NULL CHECK (title <> 'bad'), big bigint);
	ALTER TABLE tasks ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON tasks USING (owner = auth.uid()) WITH CHECK (owner = auth.uid());
	CREATE POLICY service ON tasks TO service_role USING (true);
	CREATE TABLE subtasks (task int REFERENCES tasks DEFERRABLE INITIALLY DEFERRED);
	CREATE TABLE secrets (v text);
	REVOKE ALL ON secrets FROM anon, authenticated, tenant_service;
	INSERT INTO secrets VALUES ('s3cret');
	CREATE FUNCTION escape(role text) RETURNS TABLE (was text, v text) LANGUAGE plpgsql AS $$
	BEGIN
	  PERFORM set_config('role', role, true);
	  RETURN QUERY SELECT current_user::text, s.v FROM secrets s;
	END $$;
	CREATE FUNCTION nap(seconds float8) RETURNS TABLE (slept float8, n int) LANGUAGE plpgsql AS $$
	BEGIN
	  RAISE NOTICE 'napping';
	  PERFORM pg_sleep(seconds);
	  RAISE WARNING 'awake';
	  RETURN QUERY SELECT seconds, 1;
	END $$;
	CREATE FUNCTION add(a int, b int DEFAULT 10) RETURNS int LANGUAGE sql RETURN a + b;
	CREATE FUNCTION several(n int) RETURNS SETOF tasks LANGUAGE sql AS 'SELECT * FROM tasks ORDER BY id LIMIT n';
	CREATE FUNCTION numbers(n int) RETURNS SETOF int LANGUAGE sql AS 'SELECT generate_series(1, n)';
	CREATE FUNCTION nothing() RETURNS void LANGUAGE sql AS '';
	CREATE FUNCTION pair() RETURNS TABLE (a int, b text) LANGUAGE sql ROWS 1 AS $$ SELECT 1, 'x' $$;
	CREATE FUNCTION shadowed() RETURNS int LANGUAGE sql RETURN 1;
	CREATE FUNCTION forge(id uuid) RETURNS TABLE (a int, b int) LANGUAGE plpgsql AS $$
	BEGIN
	  PERFORM rpc.complete_execution(id, id, '[{"forged":true}]', 1, false);
	  RETURN QUERY SELECT 1, 2;
	END $$;`

// procedures stores procedures, by their names, as whoever may.
func procedures(t *testing.T, n *servertest.Node, namespace string, code map[string]string) {
	t.Helper()
	type given struct {
		Name string `json:"name"`
		Code string `json:"code"`
	}
	body := struct {
		Namespace  string  `json:"namespace"`
		Procedures []given `json:"procedures"`
	}{Namespace: namespace}
	for name, text := range code {
		body.Procedures = append(body.Procedures, given{name, text})
	}
	var done struct{ Errors []any }
	useParser(t)
	n.Want(200, "POST", "/api/v1/admin/rpc/sync", n.ServiceKey, body).Decode(t, &done)
	if len(done.Errors) > 0 {
		t.Fatalf("procedures were refused: %v", done.Errors)
	}
}

var calls = map[string]string{
	"whoami":   "-- @fluxbase:public true\nSELECT auth.uid() AS uid, current_user AS db_role, $caller_id AS id, $caller_role AS role, $caller_email AS email",
	"add_task": "-- @fluxbase:input title:text, big?:bigint\nINSERT INTO tasks (title, big) VALUES ($title, $big) RETURNING id, title, big",
	"quietly":  "-- @fluxbase:input title:text\nINSERT INTO tasks (title) VALUES ($title)",
	"tasks":    "-- @fluxbase:input limit?:int\nSELECT title FROM tasks ORDER BY id LIMIT coalesce($limit, 10)",
	"by_ids":   "-- @fluxbase:input ids:array\nSELECT count(*) AS n FROM tasks WHERE id = ANY ($ids)",
	"many":     "SELECT n FROM generate_series(1, 1500) n",
	"none":     "SELECT 1 AS n WHERE false",
	"divide":   "-- @fluxbase:input by:int\nSELECT 1 / $by AS n",
	"escape":   "-- @fluxbase:public true\nSELECT * FROM escape($role)",
	"nap":      "SELECT * FROM nap($seconds)",
	"short":    "-- @fluxbase:max-execution-time 300ms\nSELECT * FROM nap(20)",
	"orphan":   "INSERT INTO subtasks VALUES (77) RETURNING task",
	"admins":   "-- @fluxbase:require-role admin\nSELECT 1 AS n",
	"anyone":   "-- @fluxbase:require-role anon\nSELECT 1 AS n",
	"shadowed": "SELECT 'procedure' AS by",
	"forge":    "-- @fluxbase:input id:uuid\nSELECT * FROM forge($id)",
}

// TestProcedureCalls is the contract of POST /rpc/{namespace}/{name}.
func TestProcedureCalls(t *testing.T) {
	t.Parallel()
	n := startTables(t, library)
	procedures(t, n.Node, "default", calls)
	procedures(t, n.Node, "other", map[string]string{"hello": "-- @fluxbase:public true\nSELECT 'hello' AS said"})
	uid := n.ann.ID
	for _, c := range []struct {
		name, who, path, body string
		status                int
		want                  string
	}{
		{"as a user", "ann", "default/whoami", `{}`, 200, `{"status":"completed","result":[{"uid":"` + uid + `","db_role":"authenticated","id":"` + uid + `","role":"authenticated","email":"ann@example.com"}],"rows_returned":1}`},
		{"without a credential", "nobody", "default/whoami", ``, 200, `{"status":"completed","result":[{"uid":null,"db_role":"anon","role":"anon","id":null}]}`},
		{"as the anon key", "anon", "default/whoami", `{"params":{}}`, 200, `{"result":[{"db_role":"anon"}]}`},
		{"as a service key", "service", "default/whoami", `{"params":null}`, 200, `{"result":[{"db_role":"service_role","role":"service_role"}]}`},
		{"reserved parameters are the server's", "ann", "default/whoami", `{"params":{"caller_id":"x"}}`, 400, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"a write, all digits kept", "ann", "default/add_task", `{"params":{"title":"a","big":9007199254740993}}`, 200, `{"status":"completed","result":[{"id":1,"title":"a","big":9007199254740993}],"rows_returned":1}`},
		{"a write without rows", "ann", "default/quietly", `{"params":{"title":"b"}}`, 200, `{"status":"completed","result":[],"rows_returned":1}`},
		{"an optional parameter that is absent", "ann", "default/tasks", `{}`, 200, `{"result":[{"title":"a"},{"title":"b"}],"rows_returned":2}`},
		{"an optional parameter that is there", "ann", "default/tasks", `{"params":{"limit":1}}`, 200, `{"result":[{"title":"a"}]}`},
		{"policies hold", "bob", "default/tasks", `{}`, 200, `{"status":"completed","result":[],"rows_returned":0}`},
		{"an array", "ann", "default/by_ids", `{"params":{"ids":[1,2,77]}}`, 200, `{"result":[{"n":2}]}`},
		{"no rows are an empty array", "ann", "default/none", `{}`, 200, `{"result":[],"rows_returned":0}`},
		{"more rows than are given", "ann", "default/many", `{}`, 200, `{"status":"completed","rows_returned":1000,"truncated":true}`},
		{"another namespace", "anon", "other/hello", `{}`, 200, `{"result":[{"said":"hello"}]}`},

		{"a wrong type", "ann", "default/divide", `{"params":{"by":"x"}}`, 400, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"a missing parameter", "ann", "default/divide", `{"params":{}}`, 400, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"an unknown parameter", "ann", "default/divide", `{"params":{"by":1,"to":2}}`, 400, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"params that are no object", "ann", "default/divide", `{"params":[1]}`, 400, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"no JSON", "ann", "default/divide", `{"params":`, 400, `{"code":"INVALID_REQUEST_BODY"}`},
		{"a member that nobody knows", "ann", "default/divide", `{"by":1}`, 400, `{"code":"INVALID_REQUEST_BODY"}`},
		{"text behind the object", "ann", "default/divide", `{"params":{"by":1}} x`, 400, `{"code":"INVALID_REQUEST_BODY"}`},
		{"a procedure that fails", "ann", "default/divide", `{"params":{"by":0}}`, 200, `{"status":"failed","code":"INVALID_INPUT"}`},
		{"a constraint", "ann", "default/add_task", `{"params":{"title":"bad"}}`, 200, `{"status":"failed","code":"CHECK_VIOLATION"}`},
		{"a constraint that is checked with the commit", "ann", "default/orphan", `{}`, 200, `{"status":"failed","code":"FOREIGN_KEY_VIOLATION"}`},
		{"a time limit", "ann", "default/short", `{}`, 200, `{"status":"timeout","code":"TIMEOUT"}`},
		{"no such procedure", "ann", "default/absent", `{}`, 404, `{"error":"Procedure not found","code":"NOT_FOUND"}`},
		{"no such namespace", "ann", "absent/whoami", `{}`, 404, `{"error":"Procedure not found"}`},
		{"a role that the caller lacks", "ann", "default/admins", `{}`, 403, `{"code":"ACCESS_DENIED"}`},
		{"a role that a service key needs not have", "service", "default/admins", `{}`, 200, `{"status":"completed"}`},
		{"not public", "anon", "default/tasks", `{}`, 403, `{"code":"ACCESS_DENIED"}`},
		{"open to anon by role", "anon", "default/anyone", `{}`, 200, `{"status":"completed"}`},

		{"becoming service_role", "anon", "default/escape", `{"params":{"role":"service_role"}}`, 200, `{"status":"failed"}`},
		{"becoming the owner", "ann", "default/escape", `{"params":{"role":"fluxbase_owner"}}`, 200, `{"status":"failed"}`},
		{"becoming somebody who may not either", "anon", "default/escape", `{"params":{"role":"authenticated"}}`, 200, `{"status":"failed"}`},

		{"a SQL function", "ann", "default/add", `{"params":{"a":1,"b":2}}`, 200, `{"status":"completed","result":3}`},
		{"a default of a SQL function", "anon", "default/add", `{"params":{"a":1}}`, 200, `{"result":11}`},
		{"a SQL function that gives rows", "ann", "default/several", `{"params":{"n":1}}`, 200, `{"result":[{"title":"a"}],"rows_returned":1}`},
		{"a SQL function that gives more rows than are given", "ann", "default/numbers", `{"params":{"n":1001}}`, 200, `{"status":"completed","rows_returned":1000,"truncated":true}`},
		{"a SQL function that gives nothing", "ann", "default/nothing", `{}`, 200, `{"status":"completed","result":null}`},
		{"a SQL function with other arguments", "ann", "default/add", `{"params":{"c":1}}`, 404, `{"code":"FUNCTION_NOT_FOUND"}`},
		{"a SQL function that nobody waits for", "ann", "default/add", `{"params":{"a":1},"async":true}`, 400, `{"code":"INVALID_INPUT"}`},
		{"a SQL function in another namespace", "ann", "other/add", `{"params":{"a":1}}`, 404, `{"code":"NOT_FOUND"}`},
		{"a SQL function that is not exposed", "ann", "default/complete_execution", `{}`, 404, `{"code":"NOT_FOUND"}`},
		{"a procedure comes before a function", "ann", "default/shadowed", `{}`, 200, `{"result":[{"by":"procedure"}]}`},
		{"names are names", "ann", "default/x%27%3B%20DROP%20TABLE%20tasks%3B--", `{}`, 404, `{"code":"NOT_FOUND"}`},
		{"a NUL", "ann", "default/x%00y", `{}`, 400, `{"code":"INVALID_INPUT"}`},
		{"a NUL in a value", "ann", "default/add_task", `{"params":{"title":"a\u0000b"}}`, 200, `{"status":"failed"}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body any
			if c.body != "" {
				body = c.body
			}
			r := n.Do("POST", "/api/v1/rpc/"+c.path, n.token(t, c.who), body)
			if r.Status != c.status || !holds(t, r.Body, c.want) {
				t.Errorf("got %d %s\nwant %d %s", r.Status, r.Body, c.status, c.want)
			}
		})
	}
	r := n.Do("POST", "/api/v1/rpc/default/whoami", n.ann.AccessToken, `{}`, "X-Impersonation-Token", n.bob.AccessToken)
	if r.Status != 400 {
		t.Errorf("an impersonation token that nobody looks at: %d %s", r.Status, r.Body)
	}
}

// holds tells whether JSON has all members of want, numbers compared by their digits.
func holds(t *testing.T, text []byte, want string) bool {
	t.Helper()
	exact := func(text string) (v any, err error) {
		d := json.NewDecoder(strings.NewReader(text))
		d.UseNumber()
		err = d.Decode(&v)
		return v, err
	}
	wanted, err := exact(want)
	if err != nil {
		t.Fatalf("%s: %v", want, err)
	}
	got, err := exact(string(text))
	return err == nil && within(got, wanted)
}

// within tells whether got has what want has: objects may have more members.
func within(got, want any) bool {
	switch want := want.(type) {
	case map[string]any:
		g, ok := got.(map[string]any)
		for k, v := range want {
			if member, there := g[k]; !ok || !there || !within(member, v) {
				return false
			}
		}
		return ok
	case []any:
		g, ok := got.([]any)
		if !ok || len(g) != len(want) {
			return false
		}
		for i := range want {
			if !within(g[i], want[i]) {
				return false
			}
		}
		return true
	default:
		return got == want
	}
}

type execution struct {
	ExecutionID   string `json:"execution_id"`
	ID            string
	Status        string
	ProcedureName string `json:"procedure_name"`
	IsAsync       bool   `json:"is_async"`
	UserID        string `json:"user_id"`
	UserEmail     string `json:"user_email"`
	Result        json.RawMessage
	InputParams   json.RawMessage `json:"input_params"`
	ErrorMessage  string          `json:"error_message"`
	RowsReturned  *int            `json:"rows_returned"`
	DurationMS    *int            `json:"duration_ms"`
	CreatedAt     time.Time       `json:"created_at"`
	StartedAt     time.Time       `json:"started_at"`
	CompletedAt   time.Time       `json:"completed_at"`
}

// connect signs in to the database of a node that startTables did not make.
func (n *tablesNode) connect(t *testing.T) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), n.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	n.admin = admin
}

func (n *tablesNode) enqueue(t *testing.T, token, name, params string) string {
	t.Helper()
	var x execution
	n.Want(200, "POST", "/api/v1/rpc/default/"+name, token, `{"async":true,"params":`+params+`}`).Decode(t, &x)
	if x.Status != "pending" || x.ExecutionID == "" {
		t.Fatalf("enqueued: %+v", x)
	}
	return x.ExecutionID
}

// awaitExecution polls as a client does.
func awaitExecution(t *testing.T, n *servertest.Node, token, id string, until func(execution) bool) (x execution) {
	t.Helper()
	eventually(t, "the execution is as wanted", func() bool {
		x = execution{}
		n.Want(200, "GET", "/api/v1/rpc/executions/"+id, token, nil).Decode(t, &x)
		return until(x)
	})
	return x
}

func hasEnded(x execution) bool { return x.Status != "pending" && x.Status != "running" }
func runs(x execution) bool     { return x.Status == "running" }

func TestExecutionsThatNobodyWaitsFor(t *testing.T) {
	t.Parallel()
	n := startTables(t, library)
	procedures(t, n.Node, "default", calls)
	id := n.enqueue(t, n.ann.AccessToken, "add_task", `{"title":"later","big":9007199254740993}`)
	x := awaitExecution(t, n.Node, n.ann.AccessToken, id, hasEnded)
	if x.Status != "completed" || string(x.Result) != `[{"id":1,"title":"later","big":9007199254740993}]` || !x.IsAsync || x.UserID != n.ann.ID ||
		x.UserEmail != "ann@example.com" || x.ProcedureName != "add_task" || x.RowsReturned == nil || x.DurationMS == nil || x.StartedAt.Before(x.CreatedAt) || x.CompletedAt.Before(x.StartedAt) {
		t.Errorf("%+v", x)
	}
	if string(x.InputParams) != `{"title":"later","big":9007199254740993}` {
		t.Errorf("its parameters: %s", x.InputParams)
	}
	// Nobody else's business.
	for who, want := range map[string]int{"bob": 404, "anon": 404, "nobody": 404, "service": 200} {
		for _, path := range []string{"", "/logs"} {
			if r := n.Do("GET", "/api/v1/rpc/executions/"+id+path, n.token(t, who), nil); r.Status != want {
				t.Errorf("%s%s as %s: %d %s", id, path, who, r.Status, r.Body)
			}
		}
		admin := n.Do("GET", "/api/v1/admin/rpc/executions", n.token(t, who), nil)
		if want == 200 != (admin.Status == 200) {
			t.Errorf("all executions as %s: %d %s", who, admin.Status, admin.Body)
		}
	}
	// The log, under both spellings.
	var log struct {
		Entries, Logs []struct {
			LineNumber    int `json:"line_number"`
			Level         string
			Message       string
			Category      string
			ExecutionID   string `json:"execution_id"`
			ExecutionType string `json:"execution_type"`
		}
		Count int
	}
	nap := n.enqueue(t, n.ann.AccessToken, "nap", `{"seconds":0.01}`)
	awaitExecution(t, n.Node, n.ann.AccessToken, nap, hasEnded)
	eventually(t, "the log is written", func() bool {
		n.Want(200, "GET", "/api/v1/rpc/executions/"+nap+"/logs", n.ann.AccessToken, nil).Decode(t, &log)
		return log.Count == 4
	})
	var lines []string
	for i, e := range log.Entries {
		lines = append(lines, e.Level+" "+e.Message)
		if e.LineNumber != i+1 || e.Category != "execution" || e.ExecutionID != nap || e.ExecutionType != "rpc" || log.Logs[i] != e {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	if want := []string{"info Execution started", "info napping", "warn awake", "info Execution completed"}; !slices.Equal(lines, want) {
		t.Errorf("the log is %q", lines)
	}
	for _, query := range []string{"?after_line=2", "?after=2", "?after_line=1&limit=2"} {
		n.Want(200, "GET", "/api/v1/rpc/executions/"+nap+"/logs"+query, n.ann.AccessToken, nil).Decode(t, &log)
		if log.Count != 2 || len(log.Entries) != 2 {
			t.Errorf("%s: %+v", query, log)
		}
	}
	n.Want(400, "GET", "/api/v1/rpc/executions/"+nap+"/logs?after=x", n.ann.AccessToken, nil)

	// Lists of administrators.
	var list struct {
		Executions   []execution
		Count, Total int
	}
	for query, want := range map[string][2]int{
		"": {2, 2}, "?limit=1": {1, 2}, "?procedure=nap": {1, 1}, "?procedure_name=nap": {1, 1}, "?status=failed": {0, 0}, "?namespace=other": {0, 0},
		"?user_id=" + n.ann.ID: {2, 2}, "?user_id=" + n.bob.ID: {0, 0}, "?user_id=nonsense": {0, 0}, "?offset=1": {1, 2},
	} {
		n.Want(200, "GET", "/api/v1/admin/rpc/executions"+query, n.ServiceKey, nil).Decode(t, &list)
		if got := [2]int{list.Count, list.Total}; got != want || list.Executions == nil {
			t.Errorf("%q: %v, want %v", query, got, want)
		}
	}
	for _, query := range []string{"?status=odd", "?limit=x", "?limit=-1", "?offset=1.5"} {
		n.Want(400, "GET", "/api/v1/admin/rpc/executions"+query, n.ServiceKey, nil)
	}
	n.Want(404, "GET", "/api/v1/admin/rpc/executions/nonsense", n.ServiceKey, nil)
	n.Want(200, "GET", "/api/v1/admin/rpc/executions/"+nap, n.ServiceKey, nil)
	n.Want(200, "GET", "/api/v1/admin/rpc/executions/"+nap+"/logs", n.ServiceKey, nil)
	n.Want(400, "POST", "/api/v1/admin/rpc/executions/"+nap+"/cancel", n.ServiceKey, nil)
	n.Want(404, "POST", "/api/v1/admin/rpc/executions/33333333-3333-4333-8333-333333333333/cancel", n.ServiceKey, nil)
	n.Want(403, "POST", "/api/v1/admin/rpc/executions/"+nap+"/cancel", n.ann.AccessToken, nil)

	// A procedure cannot say of another execution that it has ended.
	running := n.enqueue(t, n.ann.AccessToken, "nap", `{"seconds":30}`)
	awaitExecution(t, n.Node, n.ann.AccessToken, running, runs)
	if r := n.Do("POST", "/api/v1/rpc/default/forge", n.ann.AccessToken, fmt.Sprintf(`{"params":{"id":%q}}`, running)); !strings.Contains(string(r.Body), `"status":"failed"`) {
		t.Errorf("forged: %s", r.Body)
	}
	n.Want(200, "POST", "/api/v1/admin/rpc/executions/"+running+"/cancel", n.ServiceKey, nil).Decode(t, &x)
	if x.Status != "cancelled" || x.ID != running {
		t.Errorf("cancelled: %+v", x)
	}
}

// The log of an execution comes while it runs, on every node, from its first line on.
func TestExecutionLogsAreFollowedOnEveryNode(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	n := &tablesNode{Node: nodes[0]}
	n.connect(t)
	n.exec(t, library)
	n.ann, n.bob = n.SignUp("ann@example.com"), n.SignUp("bob@example.com")
	procedures(t, n.Node, "default", calls)
	id := n.enqueue(t, n.ann.AccessToken, "nap", `{"seconds":60}`)
	var followers []*socket
	for _, node := range nodes {
		s := openSocket(t, node.SocketURL(n.ann.AccessToken))
		s.send(`{"type":"subscribe_logs","channel":"execution:%s","config":{"execution_id":%q,"type":"rpc"}}`, id, id)
		s.expect(fmt.Sprintf(`{"type":"ack","payload":{"subscribed":true,"execution_id":%q,"type":"rpc"}}`, id))
		followers = append(followers, s)
	}
	for _, other := range []string{n.bob.AccessToken} {
		s := openSocket(t, nodes[0].SocketURL(other))
		s.send(`{"type":"subscribe_logs","config":{"execution_id":%q}}`, id)
		s.expect(`{"type":"error","error":"execution not found","code":"NOT_FOUND"}`)
		s.send(`{"type":"subscribe_logs","config":{"execution_id":"33333333-3333-4333-8333-333333333333","type":"job"}}`)
		s.expect(`{"type":"error","error":"execution not found"}`)
	}
	told := func(line int, message string) {
		t.Helper()
		for _, s := range followers {
			s.expect(fmt.Sprintf(`{"type":"execution_log","payload":{"execution_id":%q,"execution_type":"rpc","line_number":%d,"message":%q}}`, id, line, message))
		}
	}
	told(1, "Execution started")
	told(2, "napping")
	awaitExecution(t, n.Node, n.ann.AccessToken, id, runs)
	nodes[1].Want(200, "POST", "/api/v1/admin/rpc/executions/"+id+"/cancel", n.ServiceKey, nil)
	told(3, "Execution stopped")
	// One who comes late gets all of it.
	late := openSocket(t, nodes[1].SocketURL(n.ServiceKey))
	late.send(`{"type":"subscribe_logs","payload":{"execution_id":%q}}`, id)
	late.expect(`{"type":"ack"}`)
	for i := range 3 {
		late.expect(fmt.Sprintf(`{"type":"execution_log","payload":{"line_number":%d}}`, i+1))
	}
	late.send(`{"type":"unsubscribe","subscription_id":"logs:%s"}`, id)
	late.expect(`{"type":"ack","payload":{"unsubscribed":true}}`)
}

// A cancellation at one node ends what runs at another, at once and without effects.
func TestCancellationReachesOtherNodes(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	n := &tablesNode{Node: nodes[0]}
	n.connect(t)
	n.exec(t, library+`CREATE FUNCTION note_and_nap() RETURNS TABLE (a int, b int) LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO tasks (title) VALUES ('x'); PERFORM pg_sleep(60); RETURN QUERY SELECT 1, 2; END $$`)
	n.ann = n.SignUp("ann@example.com")
	procedures(t, n.Node, "default", map[string]string{"slow": "SELECT * FROM note_and_nap()"})
	done := make(chan servertest.Response, 1)
	go func() { done <- nodes[0].Do("POST", "/api/v1/rpc/default/slow", n.ann.AccessToken, `{}`) }()
	var id string
	eventually(t, "it runs", func() bool {
		return n.admin.QueryRow(t.Context(), `SELECT x.id::text FROM rpc.executions x WHERE x.status = 'running'
			AND EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`).Scan(&id) == nil
	})
	began := time.Now()
	nodes[1].Want(200, "POST", "/api/v1/admin/rpc/executions/"+id+"/cancel", n.ServiceKey, nil)
	r := <-done
	if r.Status != 200 || !strings.Contains(string(r.Body), `"status":"cancelled"`) {
		t.Errorf("the caller got %d %s", r.Status, r.Body)
	}
	t.Logf("the caller knew after %v", time.Since(began))
	var left, sleeping int
	if err := n.admin.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM tasks), (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep')`).Scan(&left, &sleeping); err != nil || left != 0 || sleeping != 0 {
		t.Errorf("%d rows, %d procedures are left, %v", left, sleeping, err)
	}
}

// What a node that stops was running is run by another one, once.
func TestANodeThatStopsLeavesItsExecutionsToOthers(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 2)
	n := &tablesNode{Node: nodes[0]}
	n.connect(t)
	n.exec(t, library+`CREATE FUNCTION slowly(name text) RETURNS TABLE (a int, b int) LANGUAGE plpgsql AS $$
		BEGIN INSERT INTO tasks (title) VALUES (name); PERFORM pg_sleep(1.5); RETURN QUERY SELECT 1, 2; END $$`)
	n.ann = n.SignUp("ann@example.com")
	procedures(t, n.Node, "default", map[string]string{"slowly": "SELECT * FROM slowly($name)"})
	var ids []string
	for i := range 4 {
		ids = append(ids, n.enqueue(t, n.ann.AccessToken, "slowly", fmt.Sprintf(`{"name":"t%d"}`, i)))
	}
	awaitExecution(t, nodes[1], n.ann.AccessToken, ids[0], runs)
	nodes[0].Stop()
	for _, id := range ids {
		if x := awaitExecution(t, nodes[1], n.ann.AccessToken, id, hasEnded); x.Status != "completed" {
			t.Errorf("%+v", x)
		}
	}
	var names string
	if err := n.admin.QueryRow(t.Context(), `SELECT string_agg(title, ' ' ORDER BY title) FROM tasks`).Scan(&names); err != nil || names != "t0 t1 t2 t3" {
		t.Errorf("effects: %s, %v", names, err)
	}
}

func TestScheduledProcedures(t *testing.T) {
	t.Parallel()
	n := startTables(t, library)
	procedures(t, n.Node, "default", map[string]string{
		"tick": "-- @fluxbase:schedule @every 1s\nSELECT current_user AS role, $_trigger AS trigger, $_scheduled_at AS at",
	})
	var list struct{ Executions []execution }
	eventually(t, "two ticks", func() bool {
		n.Want(200, "GET", "/api/v1/admin/rpc/executions?status=completed", n.ServiceKey, nil).Decode(t, &list)
		return len(list.Executions) >= 2
	})
	var x execution
	n.Want(200, "GET", "/api/v1/rpc/executions/"+list.Executions[0].ID, n.ServiceKey, nil).Decode(t, &x)
	var result []struct {
		Role, Trigger string
		At            time.Time
	}
	if err := json.Unmarshal(x.Result, &result); err != nil || len(result) != 1 || result[0].Role != "service_role" || result[0].Trigger != "cron" || result[0].At.Nanosecond() != 0 {
		t.Errorf("it gave %s, %v", x.Result, err)
	}
	// A schedule ends with its procedure.
	n.Want(200, "DELETE", "/api/v1/admin/rpc/procedures/default/tick", n.ServiceKey, nil)
	var before, after struct{ Total int }
	eventually(t, "no more ticks", func() bool {
		n.Want(200, "GET", "/api/v1/admin/rpc/executions", n.ServiceKey, nil).Decode(t, &before)
		var left int
		return n.admin.QueryRow(t.Context(), `SELECT count(*) FROM rpc.schedules`).Scan(&left) == nil && left == 0
	})
	time.Sleep(1200 * time.Millisecond) // longer than a tick
	n.Want(200, "GET", "/api/v1/admin/rpc/executions", n.ServiceKey, nil).Decode(t, &after)
	if after.Total > before.Total+1 {
		t.Errorf("%d executions became %d", before.Total, after.Total)
	}
}

func TestProceduresCanBeSwitchedOffAndLimited(t *testing.T) {
	t.Parallel()
	off := servertest.Start(t, "RPC_ENABLED=false")
	for _, r := range [][2]string{{"POST", "/api/v1/rpc/default/x"}, {"GET", "/api/v1/rpc/executions/x"}, {"GET", "/api/v1/admin/rpc/executions"}} {
		got := off.Want(503, r[0], r[1], off.ServiceKey, nil)
		if !holds(t, got.Body, `{"code":"FEATURE_DISABLED","feature_key":"app.rpc.enabled"}`) {
			t.Errorf("%v: %s", r, got.Body)
		}
	}
	n := startTables(t, library, "RPC_RATE_LIMIT=3", "RPC_MAX_PENDING_PER_CALLER=1", "RPC_ASYNC_WORKERS=0", "RPC_DEFAULT_MAX_ROWS=5")
	procedures(t, n.Node, "default", calls)
	if r := n.Want(200, "POST", "/api/v1/rpc/default/many", n.bob.AccessToken, `{}`); !holds(t, r.Body, `{"rows_returned":5,"truncated":true}`) {
		t.Errorf("%s", r.Body)
	}
	n.enqueue(t, n.ann.AccessToken, "none", `{}`)
	if r := n.Want(429, "POST", "/api/v1/rpc/default/none", n.ann.AccessToken, `{"async":true}`); !holds(t, r.Body, `{"code":"RATE_LIMIT_EXCEEDED"}`) {
		t.Errorf("%s", r.Body)
	}
	n.Want(200, "POST", "/api/v1/rpc/default/none", n.ann.AccessToken, `{}`)
	n.Want(429, "POST", "/api/v1/rpc/default/none", n.ann.AccessToken, `{}`)
	n.Want(200, "POST", "/api/v1/rpc/default/none", n.bob.AccessToken, `{}`)
}
