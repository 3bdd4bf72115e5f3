package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// matrixPolicies are what may stand between a role and a table. Each statement is
// formatted with the table's name.
var matrixPolicies = []struct {
	name string
	sql  string
}{
	{"none", ``},
	{"closed", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY`},
	{"true", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (true)`},
	{"owner", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (owner = auth.uid()) WITH CHECK (owner = auth.uid())`},
	{"see all, change own", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY s ON %[1]s FOR SELECT USING (true);
		CREATE POLICY i ON %[1]s FOR INSERT WITH CHECK (owner = auth.uid()); CREATE POLICY u ON %[1]s FOR UPDATE USING (owner = auth.uid()); CREATE POLICY d ON %[1]s FOR DELETE USING (owner = auth.uid())`},
	{"write without reading", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY i ON %[1]s FOR INSERT WITH CHECK (true)`},
	{"give away", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (owner = auth.uid()) WITH CHECK (true)`},
	{"signed in", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s TO authenticated USING (true)`},
	{"anonymous", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s TO anon USING (owner IS NULL)`},
	{"claims", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (auth.role() = 'authenticated' AND auth.jwt() ->> 'email' LIKE 'ann@%%')`},
	{"restrictive", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (true); CREATE POLICY r ON %[1]s AS RESTRICTIVE USING (v <> 'hidden')`},
	{"settings", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s USING (owner::text = current_setting('request.jwt.claims', true)::json ->> 'sub')`},
	{"forced", `ALTER TABLE %[1]s ENABLE ROW LEVEL SECURITY; ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY; CREATE POLICY p ON %[1]s FOR SELECT USING (id < 3)`},
	{"no grant", `REVOKE ALL ON %[1]s FROM anon, authenticated`},
	{"read only", `REVOKE ALL ON %[1]s FROM anon, authenticated; GRANT SELECT ON %[1]s TO anon, authenticated`},
	{"append only", `REVOKE ALL ON %[1]s FROM anon, authenticated; GRANT SELECT, INSERT ON %[1]s TO authenticated`},
}

const matrixTable = `CREATE TABLE %[1]s (id int4 PRIMARY KEY, owner uuid DEFAULT auth.uid(), v text NOT NULL DEFAULT 'new');
GRANT ALL ON %[1]s TO anon, authenticated, service_role;`

// matrixVerb is a request and the statement that says what it should do. ANN and
// BOB stand for the ids of the users, TABLE for the table.
type matrixVerb struct {
	name, method, path, body, prefer string
	sql                              string
	// row is the id of the one row that the request names; 0 for a collection.
	row int
}

var matrixVerbs = []matrixVerb{
	{name: "list", method: "GET", path: "?order=id", sql: `SELECT * FROM TABLE ORDER BY id`},
	{name: "filter", method: "GET", path: "?v=eq.hidden&order=id", sql: `SELECT * FROM TABLE WHERE v = 'hidden' ORDER BY id`},
	{name: "get hers", method: "GET", path: "/1", sql: `SELECT * FROM TABLE WHERE id = 1`, row: 1},
	{name: "get his", method: "GET", path: "/2", sql: `SELECT * FROM TABLE WHERE id = 2`, row: 2},
	{name: "create with defaults", method: "POST", body: `{"id":10}`, sql: `INSERT INTO TABLE (id) VALUES (10) RETURNING *`},
	{name: "create hers", method: "POST", body: `{"id":10,"owner":"ANN"}`, sql: `INSERT INTO TABLE (id, owner) VALUES (10, 'ANN') RETURNING *`},
	{name: "create unseen", method: "POST", body: `{"id":10,"owner":"ANN"}`, prefer: "return=minimal", sql: `INSERT INTO TABLE (id, owner) VALUES (10, 'ANN')`},
	{name: "create hidden", method: "POST", body: `{"id":10,"owner":"ANN","v":"hidden"}`, sql: `INSERT INTO TABLE (id, owner, v) VALUES (10, 'ANN', 'hidden') RETURNING *`},
	{name: "create some", method: "POST", body: `[{"id":10,"owner":"ANN"},{"id":11,"owner":"BOB"}]`, sql: `INSERT INTO TABLE (id, owner) VALUES (10, 'ANN'), (11, 'BOB') RETURNING *`},
	{name: "merge", method: "POST", body: `{"id":1,"owner":"ANN","v":"merged"}`, prefer: "resolution=merge-duplicates",
		sql: `INSERT INTO TABLE (id, owner, v) VALUES (1, 'ANN', 'merged') ON CONFLICT (id) DO UPDATE SET owner = excluded.owner, v = excluded.v RETURNING *`},
	{name: "ignore", method: "POST", body: `[{"id":1,"owner":"ANN","v":"merged"}]`, prefer: "resolution=ignore-duplicates",
		sql: `INSERT INTO TABLE (id, owner, v) VALUES (1, 'ANN', 'merged') ON CONFLICT (id) DO NOTHING RETURNING *`},
	{name: "change hers", method: "PATCH", path: "/1", body: `{"v":"changed"}`, sql: `UPDATE TABLE SET v = 'changed' WHERE id = 1 RETURNING *`, row: 1},
	{name: "put his", method: "PUT", path: "/2", body: `{"v":"changed"}`, sql: `UPDATE TABLE SET v = 'changed' WHERE id = 2 RETURNING *`, row: 2},
	{name: "give away", method: "PATCH", path: "/1", body: `{"owner":"BOB"}`, sql: `UPDATE TABLE SET owner = 'BOB' WHERE id = 1 RETURNING *`, row: 1},
	{name: "take", method: "PATCH", path: "/2", body: `{"owner":"ANN"}`, sql: `UPDATE TABLE SET owner = 'ANN' WHERE id = 2 RETURNING *`, row: 2},
	{name: "hide", method: "PATCH", path: "?id=in.(1,2)", body: `{"v":"hidden"}`, sql: `UPDATE TABLE SET v = 'hidden' WHERE id IN (1, 2) RETURNING *`},
	{name: "change all", method: "PATCH", path: "?id=gt.0", body: `{"v":"changed"}`, sql: `UPDATE TABLE SET v = 'changed' WHERE id > 0 RETURNING *`},
	{name: "remove hers", method: "DELETE", path: "/1", sql: `DELETE FROM TABLE WHERE id = 1 RETURNING *`, row: 1},
	{name: "remove nobody's", method: "DELETE", path: "/3", sql: `DELETE FROM TABLE WHERE id = 3 RETURNING *`, row: 3},
	{name: "remove all", method: "DELETE", path: "?id=gt.0", sql: `DELETE FROM TABLE WHERE id > 0 RETURNING *`},
}

// TestWhoMayDoWhat asks for every verb as every role under every policy, and
// compares status, rows and what the table holds afterwards with what PostgreSQL
// does when a statement is run as that role.
func TestWhoMayDoWhat(t *testing.T) {
	t.Parallel()
	ddl := ""
	for i, p := range matrixPolicies {
		ddl += fmt.Sprintf(matrixTable+p.sql+";\n", matrixName(i))
	}
	n := startTables(t, ddl)
	for i, p := range matrixPolicies {
		for _, who := range []string{"anon", "ann", "bob", "service"} {
			for _, v := range matrixVerbs {
				t.Run(p.name+"/"+who+"/"+v.name, func(t *testing.T) { n.compare(t, matrixName(i), who, v) })
			}
		}
	}
}

func matrixName(i int) string { return fmt.Sprint("matrix", i) }

// outcome is what came of a verb.
type outcome struct {
	status int
	// rows are the rows that were answered, sorted.
	rows []string
	// table is what the table holds afterwards.
	table string
}

func (n *tablesNode) compare(t *testing.T, table, who string, v matrixVerb) {
	names := strings.NewReplacer("ANN", n.ann.ID, "BOB", n.bob.ID, "TABLE", table)
	n.exec(t, names.Replace(`DELETE FROM TABLE; INSERT INTO TABLE VALUES (1, 'ANN', 'a'), (2, 'BOB', 'b'), (3, NULL, 'c'), (4, 'ANN', 'hidden')`))
	want := n.asRole(t, table, who, names.Replace(v.sql), v)

	var body any
	if v.body != "" {
		body = names.Replace(v.body)
	}
	var headers []string
	if v.prefer != "" {
		headers = []string{"Prefer", v.prefer}
	}
	r := n.Do(v.method, "/api/v1/tables/"+table+v.path, n.token(t, who), body, headers...)
	got := outcome{status: r.Status, table: n.contents(t, n.admin, table)}
	if r.Status < 300 {
		got.rows = answered(t, r.Body)
	}
	if got.status != want.status || got.table != want.table {
		t.Errorf("got %+v\nwant %+v\n%s", got, want, r.Body)
	}
	// A row that was removed by its id is not shown.
	if r.Status < 300 && r.Status != 204 && !slices.Equal(got.rows, want.rows) {
		t.Errorf("got the rows %s\nwant %s", got.rows, want.rows)
	}
}

// answered are the rows of an answer of any shape.
func answered(t *testing.T, body []byte) []string {
	t.Helper()
	var all []json.RawMessage
	var deleted struct{ Records []json.RawMessage }
	switch {
	case len(body) == 0:
	case body[0] == '[':
		if err := json.Unmarshal(body, &all); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
	case strings.HasPrefix(string(body), `{"affected"`):
		if err := json.Unmarshal(body, &deleted); err != nil {
			t.Fatalf("%v: %s", err, body)
		}
		all = deleted.Records
	default:
		all = []json.RawMessage{body}
	}
	rows := make([]string, len(all))
	for i, row := range all {
		rows[i] = string(row)
	}
	slices.Sort(rows)
	return rows
}

// contents is the whole table as text.
func (n *tablesNode) contents(t *testing.T, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, table string) string {
	t.Helper()
	var text string
	if err := q.QueryRow(t.Context(), `SELECT coalesce(string_agg(m::text, ' ' ORDER BY id), '') FROM `+table+` m`).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}

// asRole runs a statement as somebody in a transaction that is rolled back, and
// says what an answer to the same wish must be.
func (n *tablesNode) asRole(t *testing.T, table, who, sql string, v matrixVerb) outcome {
	t.Helper()
	tx, err := n.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	must := func(sql string, args ...any) {
		t.Helper()
		if _, err := tx.Exec(t.Context(), sql, args...); err != nil {
			t.Fatal(err)
		}
	}
	n.become(t, tx, who)
	must(`SAVEPOINT verb`)
	rows, err := tx.Query(t.Context(), sql)
	var got []string
	if err == nil {
		got, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
			var r struct {
				ID    int     `json:"id"`
				Owner *string `json:"owner"`
				V     string  `json:"v"`
			}
			if err := row.Scan(&r.ID, &r.Owner, &r.V); err != nil {
				return "", err
			}
			raw, err := json.Marshal(r)
			return string(raw), err
		})
	}
	slices.Sort(got)
	want := outcome{rows: got}
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused) && refused.Code == "42501" && who == "anon":
		want.status = 401
	case errors.As(err, &refused) && refused.Code == "42501":
		want.status = 403
	case errors.As(err, &refused) && refused.Code == "23505":
		want.status = 409
	case err != nil:
		t.Fatalf("%s: %v", sql, err)
	case v.method == "POST" && v.prefer == "resolution=ignore-duplicates" && len(got) == 0:
		want.status = 200 // nothing was made
	case v.method == "POST":
		want.status = 201
	case v.row != 0 && len(got) == 0:
		want.status = 404
		if v.method != "GET" && n.visible(t, tx, table, v.row) {
			want.status = 403 // there, and not to be touched
			if who == "anon" {
				want.status = 401
			}
		}
	case v.row != 0 && v.method == "DELETE":
		want.status = 204
	default:
		want.status = 200
	}
	if err != nil {
		must(`ROLLBACK TO SAVEPOINT verb`)
	}
	must(`RESET ROLE`)
	want.table = n.contents(t, tx, table)
	return want
}

func (n *tablesNode) visible(t *testing.T, tx pgx.Tx, table string, id int) bool {
	t.Helper()
	var yes bool
	if err := tx.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM `+table+` WHERE id = $1)`, id).Scan(&yes); err != nil {
		t.Fatal(err)
	}
	return yes
}

// become makes a transaction somebody's.
func (n *tablesNode) become(t *testing.T, tx pgx.Tx, who string) {
	t.Helper()
	role, claims := "authenticated", map[string]string{"role": "authenticated"}
	switch who {
	case "anon":
		role, claims = "anon", map[string]string{"role": "anon"}
	case "service":
		role, claims = "service_role", map[string]string{"role": "service_role"}
	case "ann":
		claims["sub"], claims["email"] = n.ann.ID, n.ann.Email
	case "bob":
		claims["sub"], claims["email"] = n.bob.ID, n.bob.Email
	}
	raw, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SELECT set_config('request.jwt.claims', $1, true)`, string(raw)); err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), `SET LOCAL ROLE `+role); err != nil {
		t.Fatal(err)
	}
}
