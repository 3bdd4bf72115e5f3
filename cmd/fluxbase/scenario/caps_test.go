package scenario

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const capsDDL = `
CREATE TABLE shelves (id int4 PRIMARY KEY, up int4 REFERENCES shelves, v text, n int4);
INSERT INTO shelves SELECT g, g, repeat('x', 100), g FROM generate_series(1, 5000) g;
CREATE TABLE crates (id int4 PRIMARY KEY, v text);
INSERT INTO crates SELECT g, 'x' FROM generate_series(1, 21) g;
CREATE VIEW naps AS SELECT 1 AS id, pg_sleep(30)::text AS nap;
CREATE FUNCTION nap() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1 FROM pg_sleep(30)';
CREATE FUNCTION drowsy() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(30); RETURN new; END';
CREATE TABLE beds (id int4 PRIMARY KEY, v int4);
INSERT INTO beds VALUES (1, 1);
CREATE TRIGGER drowsy BEFORE INSERT OR UPDATE ON beds FOR EACH ROW EXECUTE FUNCTION drowsy();
GRANT ALL ON shelves, crates, naps, beds TO anon, authenticated, service_role;
GRANT EXECUTE ON FUNCTION nap() TO anon, authenticated, service_role;
ANALYZE shelves, crates`

// capsCase is a request that asks for too much, in one of the dialects.
type capsCase struct {
	name, as, method, path, body string
	status                       int
	// code is in both dialects the same unless strict names PostgREST's.
	code string
}

var many = strings.Repeat("1,", 30) + "1"

var capsCases = []capsCase{
	{name: "conditions", method: "GET", path: "/api/v1/tables/shelves?or=(" + strings.Repeat("id.eq.1,", 10) + "id.eq.1)", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "conditions over parameters", method: "GET", path: "/api/v1/tables/shelves?x=x.1" + strings.Repeat("&id=gt.0", 11), status: 400, code: "INVALID_QUERY"},
	{name: "conditions in many parameters", method: "DELETE", path: "/api/v1/tables/shelves?id=eq.0" + strings.Repeat("&id=gt.0", 10), status: 400, code: "QUERY_TOO_LARGE"},
	{name: "strict conditions", method: "GET", path: "/rest/v1/shelves?or=(" + strings.Repeat("id.eq.1,", 10) + "id.eq.1)", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "conditions of embeds", method: "GET", path: "/rest/v1/shelves?select=id,up(id)&up.or=(" + strings.Repeat("id.eq.1,", 10) + "id.eq.1)", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "conditions in a body", method: "POST", path: "/api/v1/tables/shelves/query", body: `{"filters":[` + strings.Repeat(`{"column":"id","operator":"eq","value":1},`, 10) + `{"column":"id","operator":"eq","value":1}]}`, status: 400, code: "QUERY_TOO_LARGE"},
	{name: "a list", method: "GET", path: "/api/v1/tables/shelves?id=in.(" + many + ")", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "a list in a body", method: "POST", path: "/api/v1/tables/shelves/query", body: `{"filters":[{"column":"id","operator":"in","value":[` + many + `]}]}`, status: 400, code: "QUERY_TOO_LARGE"},
	{name: "a list of any", method: "PATCH", path: "/rest/v1/shelves?id=eq(any).{" + many + "}", body: `{"v":"y"}`, status: 400, code: "QUERY_TOO_LARGE"},
	{name: "embeds", method: "GET", path: "/api/v1/tables/shelves?select=id,a:up(id),b:up(id),c:up(id),d:up(id)", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "deep embeds", method: "GET", path: "/rest/v1/shelves?select=id,up(id,up(id,up(id)))", status: 400, code: "QUERY_TOO_LARGE"},
	{name: "deep embeds of a write", method: "POST", path: "/api/v1/tables/shelves?select=id,up(id,up(id,up(id)))", body: `{"id":-1}`, status: 400, code: "QUERY_TOO_LARGE"},
	{name: "columns", method: "GET", path: "/rest/v1/shelves?select=" + columnsOf(1001), status: 400, code: "QUERY_TOO_LARGE"},
	{name: "columns as a service", as: "service", method: "GET", path: "/api/v1/tables/shelves?select=" + columnsOf(1001), status: 400, code: "QUERY_TOO_LARGE"},
	{name: "order", method: "GET", path: "/api/v1/tables/shelves?order=id" + strings.Repeat(",id", 100), status: 400, code: "QUERY_TOO_LARGE"},
	{name: "nesting", method: "GET", path: "/api/v1/tables/shelves?or=" + strings.Repeat("(and", 40) + "(id.eq.1)" + strings.Repeat(")", 40), status: 400, code: "INVALID_QUERY"},
	{name: "parameters", method: "GET", path: "/api/v1/tables/shelves?id=eq.1" + strings.Repeat("&a=eq.1", 500), status: 400, code: "INVALID_QUERY"},
	{name: "header", method: "GET", path: "/api/v1/tables/shelves?v=eq." + strings.Repeat("x", 20<<10), status: 431, code: "HEADERS_TOO_LARGE"},
	{name: "a batch", method: "POST", path: "/rest/v1/shelves", body: "[" + strings.Repeat(`{"id":-1},`, 1000) + `{"id":-1}]`, status: 400, code: "PGRST102"},

	{name: "changed rows", method: "PATCH", path: "/api/v1/tables/crates?id=lte.21", body: `{"v":"y"}`, status: 400, code: "TOO_MANY_ROWS"},
	{name: "strict changed rows", method: "PATCH", path: "/rest/v1/crates?id=lte.21", body: `{"v":"y"}`, status: 400, code: "TOO_MANY_ROWS"},
	{name: "every row", method: "PATCH", path: "/rest/v1/crates", body: `{"v":"y"}`, status: 400, code: "TOO_MANY_ROWS"},
	{name: "removed rows", as: "anon", method: "DELETE", path: "/api/v1/tables/crates?id=gt.0", status: 400, code: "TOO_MANY_ROWS"},
	{name: "strict removed rows", method: "DELETE", path: "/rest/v1/crates", status: 400, code: "TOO_MANY_ROWS"},
	{name: "bulk changes by a filter", method: "PATCH", path: "/api/v1/tables/crates/bulk", body: `{"filters":[{"column":"id","operator":"gt","value":0}],"data":{"v":"y"}}`, status: 400, code: "TOO_MANY_ROWS"},
	{name: "bulk removal by a filter", method: "DELETE", path: "/api/v1/tables/crates/bulk", body: `{"filters":[{"column":"id","operator":"gt","value":0}]}`, status: 400, code: "TOO_MANY_ROWS"},

	{name: "a large answer", as: "service", method: "GET", path: "/api/v1/tables/shelves?limit=200", status: 400, code: "ANSWER_TOO_LARGE"},
	{name: "strict large answer", as: "service", method: "GET", path: "/rest/v1/shelves?limit=200", status: 400, code: "ANSWER_TOO_LARGE"},

	{name: "cost", method: "GET", path: "/api/v1/tables/shelves?n=eq.7", status: 400, code: "STATEMENT_TOO_COSTLY"},
	{name: "strict cost", method: "GET", path: "/rest/v1/shelves?n=eq.7", status: 400, code: "STATEMENT_TOO_COSTLY"},
	{name: "cost of a change", method: "PATCH", path: "/rest/v1/shelves?n=eq.7", body: `{"v":"y"}`, status: 400, code: "STATEMENT_TOO_COSTLY"},
	{name: "cost of an export", method: "GET", path: "/api/v1/tables/shelves/export", status: 400, code: "STATEMENT_TOO_COSTLY"},
	{name: "cost of a query", method: "POST", path: "/api/v1/tables/shelves/query", body: `{"filters":[{"column":"n","operator":"eq","value":7}]}`, status: 400, code: "STATEMENT_TOO_COSTLY"},
	{name: "no cost of a service", as: "service", method: "GET", path: "/rest/v1/shelves?n=eq.7&select=id", status: 200},
	{name: "a cheap one", method: "GET", path: "/rest/v1/shelves?id=eq.7&select=id", status: 200},

	{name: "time", as: "anon", method: "GET", path: "/api/v1/tables/naps", status: 504, code: "TIMEOUT"},
	{name: "strict time", as: "anon", method: "GET", path: "/rest/v1/naps", status: 504, code: "57014"},
	{name: "time of a function", as: "anon", method: "POST", path: "/rest/v1/rpc/nap", body: `{}`, status: 504, code: "57014"},
	{name: "time of a write", as: "anon", method: "PATCH", path: "/api/v1/tables/beds?id=eq.1", body: `{"v":2}`, status: 504, code: "TIMEOUT"},
	{name: "time of one row", as: "anon", method: "PATCH", path: "/api/v1/tables/beds/1", body: `{"v":2}`, status: 504, code: "TIMEOUT"},
}

// columnsOf is a select list of n columns.
func columnsOf(n int) string {
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprintf("c%d:id", i)
	}
	return strings.Join(names, ",")
}

// TestCaps asks for more than the settings allow, through every door: it is refused
// with a code, and nothing has changed.
func TestCaps(t *testing.T) {
	t.Parallel()
	n := startTables(t, capsDDL, "API_MAX_CONDITIONS=10", "API_MAX_LIST_VALUES=30", "API_MAX_EMBEDS=3", "API_MAX_EMBED_DEPTH=2",
		"API_MAX_AFFECTED_ROWS=20", "API_MAX_ANSWER_BYTES=16KB", "API_MAX_STATEMENT_COST=120", "API_STATEMENT_TIMEOUT_ANON=200ms")
	contents := `SELECT md5(string_agg(s::text, ',' ORDER BY id)) || (SELECT string_agg(b::text, ',') FROM beds b) || (SELECT string_agg(c::text, ',' ORDER BY id) FROM crates c) FROM shelves s`
	before := n.text(t, contents)
	for _, c := range capsCases {
		t.Run(c.name, func(t *testing.T) {
			as := c.as
			if as == "" {
				as = "ann"
			}
			var body any
			if c.body != "" {
				body = c.body
			}
			r := n.Do(c.method, c.path, n.token(t, as), body)
			var f struct{ Code string }
			if err := json.Unmarshal(r.Body, &f); c.code != "" && err != nil {
				t.Fatalf("%v: %s", err, r.Body)
			}
			if r.Status != c.status || f.Code != c.code {
				t.Errorf("status %d, want %d %s: %s", r.Status, c.status, c.code, r.Body)
			}
		})
	}
	if n.text(t, contents) != before {
		t.Error("something was changed")
	}
}

// TestAggregatesSwitchedOff: no dialect computes values over rows then, and all of
// them count the rows of a list.
func TestAggregatesSwitchedOff(t *testing.T) {
	t.Parallel()
	n := startTables(t, capsDDL, "API_AGGREGATES_ENABLED=false")
	for _, c := range []struct {
		name, method, path, body string
		status                   int
		want                     string
	}{
		{"native", "GET", "/api/v1/tables/crates?select=count(*)", "", 400, `"code":"AGGREGATES_DISABLED"`},
		{"native, in a body", "POST", "/api/v1/tables/crates/query", `{"select":"max(id)"}`, 400, `"code":"AGGREGATES_DISABLED"`},
		{"strict", "GET", "/rest/v1/crates?select=id.max()", "", 400, `{"code":"PGRST123","message":"Use of aggregate functions is not allowed","details":null,"hint":null}`},
		{"strict, in an embed", "GET", "/rest/v1/shelves?select=id,up(n.sum())&limit=1", "", 400, `"code":"PGRST123"`},
		{"strict, of a write", "PATCH", "/rest/v1/crates?id=eq.1&select=count()", `{"v":"y"}`, 400, `"code":"PGRST123"`},
		{"GraphQL", "POST", "/graphql", `{"query":"{ cratesAggregate { count } }"}`, 400, `"code":"AGGREGATES_DISABLED"`},
		{"GraphQL, inside of an object", "POST", "/graphql", `{"query":"{ cratesAggregate { max { id } } }"}`, 400, `"code":"AGGREGATES_DISABLED"`},
		{"a list with its count", "GET", "/api/v1/tables/crates?select=id&id=eq.1&count=exact", "", 200, `[{"id":1}]`},
		{"a strict list", "GET", "/rest/v1/crates?select=id&id=eq.1", "", 200, `[{"id":1}]`},
	} {
		t.Run(c.name, func(t *testing.T) {
			var body any
			if c.body != "" {
				body = c.body
			}
			r := n.Do(c.method, c.path, n.token(t, "ann"), body, "Prefer", "return=representation")
			if r.Status != c.status || !strings.Contains(string(r.Body), c.want) {
				t.Errorf("status %d, want %d %s: %s", r.Status, c.status, c.want, r.Body)
			}
		})
	}
	if got := n.text(t, `SELECT v FROM crates WHERE id = 1`); got != "x" {
		t.Errorf("the row was changed to %q", got)
	}
}

// A client that hangs up takes along what it asked for, whatever that was: nothing
// of it stays.
func TestHangUpUndoesWhatRuns(t *testing.T) {
	t.Parallel()
	n := startTables(t, capsDDL)
	sleeping := func() (count int) {
		t.Helper()
		if err := n.admin.QueryRow(t.Context(), `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	await := func(want int) {
		t.Helper()
		for end := time.Now().Add(15 * time.Second); sleeping() != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d statements sleep, want %d", sleeping(), want)
			}
		}
	}
	for _, c := range []struct{ name, method, path, body string }{
		{"list", "GET", "/api/v1/tables/naps", ""},
		{"export", "GET", "/api/v1/tables/naps/export", ""},
		{"insert", "POST", "/api/v1/tables/beds", `{"id":2}`},
		{"update by id", "PATCH", "/api/v1/tables/beds/1", `{"v":2}`},
		{"strict list", "GET", "/rest/v1/naps", ""},
		{"strict insert", "POST", "/rest/v1/beds", `{"id":2}`},
		{"function", "POST", "/rest/v1/rpc/nap", `{}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
				c.method, c.path, n.ServiceKey, len(c.body), c.body)
			await(1)
			conn.Close()
			await(0)
		})
	}
	if got := n.text(t, `SELECT string_agg(b::text, ' ') FROM beds b`); got != "(1,1)" {
		t.Errorf("beds holds %s", got)
	}
}

// HEAD of what is streamed has the header of a GET, and the connection goes on.
func TestHeadOfAStream(t *testing.T) {
	t.Parallel()
	n := startTables(t, capsDDL)
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, format := range []string{"csv", "json", "csv"} {
		fmt.Fprintf(conn, "HEAD /api/v1/tables/shelves/export?format=%s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", format, n.ServiceKey)
		resp, err := http.ReadResponse(answers, &http.Request{Method: "HEAD"})
		if err != nil {
			t.Fatal(err)
		}
		if resp.StatusCode != 200 || resp.Close || !strings.Contains(resp.Header.Get("Content-Type"), format) || resp.ContentLength >= 0 {
			t.Errorf("%d, %d bytes, %v", resp.StatusCode, resp.ContentLength, resp.Header)
		}
	}
	busy := `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%shelves%' AND state <> 'idle' AND pid <> pg_backend_pid()`
	for end := time.Now().Add(10 * time.Second); n.text(t, busy) != "0"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("an export goes on without anybody to read it")
		}
	}
}

// An answer whose single row is larger than a connection takes is refused, and the
// node goes on.
func TestRowsBeyondMemory(t *testing.T) {
	t.Parallel()
	n := startTables(t, `CREATE VIEW wide AS SELECT repeat('x', 80000000) AS v; GRANT SELECT ON wide TO service_role`, "API_MAX_ANSWER_BYTES=1MB")
	for range 3 {
		r := n.Do("GET", "/api/v1/tables/wide", n.ServiceKey, nil)
		if wantFailure(t, r, http.StatusBadRequest, "ANSWER_TOO_LARGE").Error == "" {
			t.Errorf("%s", r.Body)
		}
	}
	n.Want(200, "GET", "/ready", "", nil)
	running := `SELECT count(*)::text FROM pg_stat_activity WHERE datname = current_database() AND query LIKE '%wide%' AND state = 'active' AND pid <> pg_backend_pid()`
	for end := time.Now().Add(10 * time.Second); n.text(t, running) != "0"; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("statements still run")
		}
	}
}
