package procedure_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

// bundle runs procedures as execution does.
type bundle struct {
	*dbtest.Database
	planner *procedure.Planner
	t       *testing.T
	number  int64
}

func setup(t *testing.T) *bundle {
	t.Helper()
	d := dbtest.New(t)
	d.Exec(`
		CREATE TYPE mood AS ENUM ('calm', 'wild');
		CREATE DOMAIN tags AS text[];
		CREATE TABLE things (
			id bigint PRIMARY KEY, owner uuid, title text, price numeric, size double precision, mood mood, flags boolean,
			list integer[], words text[], moods mood[], tagged tags, doc jsonb, docs jsonb[], day date, at timestamptz);
		INSERT INTO things (id, title, price, words, list, moods, doc)
			SELECT n, 'thing ' || n, n / 2.0, ARRAY['a' || n, 'b'], ARRAY[n, n + 1], '{calm}', '{"n":1}' FROM generate_series(1, 5) n`)
	c, err := catalog.Open(t.Context(), d.DB, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return &bundle{Database: d, planner: procedure.NewPlanner(d.DB, c), t: t}
}

func (b *bundle) caller() caller.Caller {
	return caller.Caller{Tenant: b.Tenant, DefaultTenant: true, Role: "editor", UserID: "0b7c62e4-5b6f-4a0e-9d8f-1f2e3d4c5b6a",
		Email: "ada@example.com", Claims: json.RawMessage(`{"role":"editor"}`)}
}

// run compiles and runs a procedure, and gives its rows joined by semicolons, or the
// number of rows written.
func (b *bundle) run(code, params string) (string, error) {
	b.t.Helper()
	p, err := procedure.Compile("default", "p", code, procedure.Limits{})
	if err != nil {
		b.t.Fatalf("%s\ndoes not compile: %v", code, err)
	}
	b.number++
	p.Revision = b.number
	args, err := p.Bind(json.RawMessage(params), procedure.Origin{Caller: b.caller()})
	if err != nil {
		return "", err
	}
	plan, err := b.planner.Plan(b.t.Context(), b.caller(), p)
	if err != nil {
		return "", err
	}
	statement := plan.Statement(args, 4)
	var found []string
	statement.Read = func(rows pgx.Rows) error {
		for rows.Next() {
			var text string
			if err := rows.Scan(&text); err != nil {
				return err
			}
			found = append(found, text)
		}
		if !p.Statement.Rows {
			found = append(found, rows.CommandTag().String())
		}
		return rows.Err()
	}
	err = b.DB.Run(b.t.Context(), b.caller(), statement)
	return strings.Join(found, ";"), err
}

func TestParametersAreBoundByTheTypeThatTheStatementWants(t *testing.T) {
	b := setup(t)
	for _, c := range []struct{ name, code, params, want string }{
		{"a scalar in a condition", "SELECT id FROM things WHERE id = $id", `{"id":3}`, `{"id":3}`},
		{"a text for a number", "SELECT id FROM things WHERE id = $id", `{"id":"3"}`, `{"id":3}`},
		{"the same one twice, as NULL", "-- @fluxbase:input title?:text\nSELECT id FROM things WHERE ($title IS NULL OR title = $title) ORDER BY id", `{}`, `{"id":1};{"id":2};{"id":3};{"id":4}`},
		{"the same one twice", "-- @fluxbase:input title?:text\nSELECT id FROM things WHERE ($title IS NULL OR title = $title)", `{"title":"thing 2"}`, `{"id":2}`},
		{"an optional limit", "-- @fluxbase:input {\"limit?\":\"integer\"}\nSELECT id FROM things ORDER BY id LIMIT COALESCE($limit, 2)", `{}`, `{"id":1};{"id":2}`},
		{"a limit", "-- @fluxbase:input {\"limit?\":\"integer\"}\nSELECT id FROM things ORDER BY id LIMIT COALESCE($limit, 2)", `{"limit":1.0}`, `{"id":1}`},
		{"an array of numbers", "SELECT id FROM things WHERE id = ANY ($ids) ORDER BY id", `{"ids":[5,"2",null]}`, `{"id":2};{"id":5}`},
		{"an array of texts", "SELECT id FROM things WHERE words && $w", `{"w":["a4","with \"quotes\", {} and \\"]}`, `{"id":4}`},
		{"nested arrays", "SELECT $m::int[][] AS m", `{"m":[[1,2],[3,4]]}`, `{"m":[[1,2],[3,4]]}`},
		{"an array of an enum", "SELECT count(*) FROM things WHERE moods @> $m", `{"m":["calm"]}`, `{"count":5}`},
		{"an array for a domain", "WITH x AS (SELECT 1) UPDATE things SET tagged = $t WHERE id = 1 RETURNING tagged", `{"t":["x","y z"]}`, `{"tagged":["x","y z"]}`},
		{"jsonb", "SELECT id FROM things WHERE doc @> $d ORDER BY id LIMIT 1", `{"d":{"n":1}}`, `{"id":1}`},
		{"a text for jsonb stays one", "SELECT jsonb_typeof($d::jsonb) AS t", `{"d":"x"}`, `{"t":"string"}`},
		{"an array for jsonb stays one", "SELECT jsonb_array_length($d::jsonb) AS n", `{"d":[1,[2],3]}`, `{"n":3}`},
		{"an array of jsonb", "SELECT array_length($d::jsonb[], 1) AS n, ($d::jsonb[])[2] AS second", `{"d":[1,["a\\b"]]}`, `{"n":2,"second":["a\\b"]}`},
		{"an object for text", "SELECT $d::text AS d", `{"d":{"a":1}}`, `{"d":"{\"a\":1}"}`},
		{"an array written as PostgreSQL's text", "SELECT id FROM things WHERE id = ANY ($ids)", `{"ids":"{4}"}`, `{"id":4}`},
		{"no type from its place", "-- @fluxbase:input n:integer, s:text\nSELECT jsonb_build_object('n', $n, 's', $s) AS o", `{"n":7,"s":"x"}`, `{"o":{"n": 7, "s": "x"}}`},
		{"a number in a select list", "-- @fluxbase:input n:integer, b:boolean, j:json\nSELECT $n AS n, $b AS b, $j AS j", `{"n":7,"b":true,"j":[1]}`, `{"n":7,"b":true,"j":[1]}`},
		{"a number compared with text stays a text", "-- @fluxbase:input n:integer\nSELECT id FROM things WHERE title = 'thing ' || $n", `{"n":2}`, `{"id":2}`},
		{"an operator that only types decide", "-- @fluxbase:input a:number, b:number\nSELECT $a + $b AS sum", `{"a":1,"b":2.5}`, `{"sum":3.5}`},
		{"several types", "-- @fluxbase:input x:integer\nSELECT count(*) FROM things WHERE id = $x OR list[1] = $x", `{"x":2}`, `{"count":1}`},
		{"a date and a time", "-- @fluxbase:input d:date, t:timestamp\nSELECT $d AS d, $t::timestamptz AS t", `{"d":"2026-02-03","t":"2026-02-03T04:05:06Z"}`, `{"d":"2026-02-03","t":"2026-02-03T04:05:06+00:00"}`},
		{"the caller", "SELECT $caller_id AS id, $caller_role AS role, $caller_email AS email", `{}`, `{"id":"0b7c62e4-5b6f-4a0e-9d8f-1f2e3d4c5b6a","role":"editor","email":"ada@example.com"}`},
		{"the caller as a uuid", "SELECT count(*) FROM things WHERE owner = $caller_id", `{}`, `{"count":0}`},
		{"not the schedule", "SELECT $_trigger AS t, $_scheduled_at AS at", `{}`, `{"t":null,"at":null}`},
		{"big numbers keep their digits", "SELECT $n::numeric AS n", `{"n":12345678901234567890.123456789}`, `{"n":12345678901234567890.123456789}`},
		{"rows of an insert, with its own WITH", "WITH given AS (SELECT $id::bigint AS id) INSERT INTO things (id, title) SELECT id, $title FROM given RETURNING id, title", `{"id":10,"title":"it's"}`, `{"id":10,"title":"it's"}`},
		{"rows of a select over a write", "WITH gone AS (DELETE FROM things WHERE id = $id RETURNING *), more AS (SELECT 1) SELECT id FROM gone -- the end", `{"id":10}`, `{"id":10}`},
		{"a recursive query that writes", "WITH RECURSIVE q(n) AS (SELECT 6 UNION ALL SELECT n + 1 FROM q WHERE n < $max) SEARCH DEPTH FIRST BY n SET o INSERT INTO things (id) SELECT n FROM q RETURNING id;", `{"max":7}`, `{"id":6};{"id":7}`},
		{"a write without rows", "DELETE FROM things WHERE id >= $from", `{"from":6}`, `DELETE 2`},
		{"no more rows than wanted", "TABLE things", `{}`, ""},
		{"a column with the name of the rows", "SELECT 7 AS r", `{}`, `{"r":7}`},
		{"a row with the name of the rows", "WITH x AS (UPDATE things SET price = 1 WHERE id = 1 RETURNING id) SELECT (SELECT t FROM (VALUES (1, 'x')) t (n, m)) AS r FROM x", `{}`, `{"r":{"n":1,"m":"x"}}`},
		{"a column that is called like the row", "SELECT 1 AS r, 2 AS x", `{}`, `{"r":1,"x":2}`},
		{"the same name twice", "SELECT 1 AS a, 2 AS a", `{}`, `{"a":1,"a":2}`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			got, err := b.run(c.code, c.params)
			if err != nil {
				t.Fatalf("%s\nwith %s: %v", c.code, c.params, err)
			}
			if c.want == "" {
				if n := strings.Count(got, `"id":`); n != 4 {
					t.Errorf("%d rows came, 4 were wanted: %s", n, got)
				}
				return
			}
			if got != c.want {
				t.Errorf("%s\nwith %s\n got %s\nwant %s", c.code, c.params, got, c.want)
			}
		})
	}
}

func TestAFaultOfTheStatementIsTheFirstOne(t *testing.T) {
	b := setup(t)
	for _, c := range []struct {
		name, code, params string
		want               fault.Code
	}{
		{"no such table", "SELECT * FROM nowhere WHERE id = $id", `{"id":1}`, fault.TableNotFound},
		{"no such column", "SELECT missing FROM things WHERE id = $id", `{"id":1}`, fault.UnknownColumn},
		{"a table of others", "-- @fluxbase:allowed-schemas auth\nSELECT * FROM auth.users WHERE id = $id", `{"id":"0b7c62e4-5b6f-4a0e-9d8f-1f2e3d4c5b6a"}`, fault.InsufficientPermissions},
		{"a value that is none of the type", "SELECT id FROM things WHERE id = $id", `{"id":"many"}`, fault.InvalidInput},
	} {
		t.Run(c.name, func(t *testing.T) {
			b.t = t
			if _, err := b.run(c.code, c.params); fault.CodeOf(err) != c.want {
				t.Errorf("%s: %v, want %s", c.code, err, c.want)
			}
		})
	}
}

// A plan is kept; what the schema makes of it is asked anew when that changes.
func TestPlansFollowTheSchema(t *testing.T) {
	b := setup(t)
	c, err := catalog.Open(t.Context(), b.DB, catalog.Options{})
	if err != nil {
		t.Fatal(err)
	}
	planner := procedure.NewPlanner(b.DB, c)
	p, err := procedure.Compile("default", "p", "SELECT count(*) FROM things WHERE words = $w", procedure.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	p.Revision = 1
	first, err := planner.Plan(t.Context(), b.caller(), p)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := planner.Plan(t.Context(), b.caller(), p); err != nil || again != first {
		t.Errorf("the plan was made anew: %v", err)
	}
	b.Exec(`ALTER TABLE things ALTER words TYPE jsonb USING to_jsonb(words)`)
	if err := c.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	plan, err := planner.Plan(t.Context(), b.caller(), p)
	if err != nil {
		t.Fatal(err)
	}
	args, err := p.Bind(json.RawMessage(`{"w":["a1","b"]}`), procedure.Origin{})
	if err != nil {
		t.Fatal(err)
	}
	if got := plan.Statement(args, 1).Args[0]; got != `["a1","b"]` {
		t.Errorf("an array for a jsonb column is %v", got)
	}
	if got := first.Statement(args, 1).Args[0]; got != `{"a1","b"}` {
		t.Errorf("an array for an array column is %v", got)
	}
}
