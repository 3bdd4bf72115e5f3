package scenario

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A relation of every kind, with policies and privileges between it and a role, is
// asked for in all dialects, and each answer compared with what PostgreSQL says to
// the statement that means the same, run as the role: rows, their number, the state,
// and what is in the table afterwards.

// relationKind makes the relation that is asked for, %[1]s, from the table %[2]s,
// which is made before it, holds the rows, and has the policies.
type relationKind struct {
	name string
	// table makes the table from %[2]s; empty for the ordinary one.
	table string
	sql   string
	// renew is run after the rows came back.
	renew string
	// unwritable tells that nobody can write it: a function that tries is broken.
	// readOnly tells that this is said before a right is looked at.
	unwritable, readOnly bool
}

const ordinaryTable = `CREATE TABLE %[2]s (id int4 PRIMARY KEY, owner uuid DEFAULT auth.uid(), v text NOT NULL DEFAULT 'new', folder int4 REFERENCES folders);`

var relationKinds = []relationKind{
	{name: "table"},
	{name: "partitions", table: `CREATE TABLE %[2]s (id int4 PRIMARY KEY, owner uuid DEFAULT auth.uid(), v text NOT NULL DEFAULT 'new', folder int4 REFERENCES folders) PARTITION BY HASH (id);
		CREATE TABLE %[2]s_0 PARTITION OF %[2]s FOR VALUES WITH (MODULUS 2, REMAINDER 0); CREATE TABLE %[2]s_1 PARTITION OF %[2]s FOR VALUES WITH (MODULUS 2, REMAINDER 1);`},
	{name: "view", sql: `CREATE VIEW %[1]s AS SELECT * FROM %[2]s`},
	{name: "invoker's view", sql: `CREATE VIEW %[1]s WITH (security_invoker) AS SELECT * FROM %[2]s`},
	{name: "view with a check", sql: `CREATE VIEW %[1]s AS SELECT id, owner, v, folder FROM %[2]s WHERE v <> 'hidden' WITH CHECK OPTION`},
	{name: "view that cannot be written", sql: `CREATE VIEW %[1]s AS SELECT id, owner, v, folder, count(*) OVER () AS n FROM %[2]s`, unwritable: true},
	{name: "materialized view", sql: `CREATE MATERIALIZED VIEW %[1]s AS SELECT * FROM %[2]s`, renew: `REFRESH MATERIALIZED VIEW %[1]s`, unwritable: true, readOnly: true},
	{name: "some columns", sql: `REVOKE ALL ON %[1]s FROM anon, authenticated; GRANT SELECT (id, v, folder), INSERT (id, v), UPDATE (v), DELETE ON %[1]s TO anon, authenticated`},
	{name: "owned by the role", sql: `ALTER TABLE %[1]s OWNER TO authenticated`},
	{name: "owned and forced", sql: `ALTER TABLE %[1]s OWNER TO authenticated; ALTER TABLE %[1]s FORCE ROW LEVEL SECURITY`},
}

// kindPolicies stand on the table, and no grant on what is asked for.
var kindPolicies = []struct{ name, onTable, onRelation string }{
	{"none", ``, ``},
	{"owner", `ALTER TABLE %[2]s ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON %[2]s USING (owner = auth.uid()) WITH CHECK (owner = auth.uid())`, ``},
	{"see all, change own", `ALTER TABLE %[2]s ENABLE ROW LEVEL SECURITY; CREATE POLICY s ON %[2]s FOR SELECT USING (v <> 'hidden');
		CREATE POLICY i ON %[2]s FOR INSERT WITH CHECK (owner = auth.uid()); CREATE POLICY u ON %[2]s FOR UPDATE USING (owner = auth.uid()); CREATE POLICY d ON %[2]s FOR DELETE USING (owner = auth.uid())`, ``},
	{"no grant", ``, `REVOKE ALL ON %[1]s FROM anon, authenticated`},
}

// kindVerb is what is asked for, in each dialect that can, and in SQL. REL stands for
// the relation, ANN and BOB for the users' ids.
type kindVerb struct {
	name string
	// of is what stands in the path in place of REL.
	of string
	// native and strict are method, path behind the relation's, and body; empty where
	// the dialect has no such thing.
	native, strict [3]string
	// graphql is a document; LIST stands for the relation's field, TYPE for its type.
	graphql string
	prefer  string
	// sql is the statement; rows are what it returns.
	sql string
	// silent tells that the rows are not answered.
	silent bool
	// merges tells an insert that may find its row there.
	merges bool
	// counted tells that the total is asked for: that of sql.
	counted bool
	// called tells a function that writes.
	called bool
}

const shown = "select=id,v&"

var kindVerbs = []kindVerb{
	{name: "everything", native: [3]string{"GET", "?order=id"}, strict: [3]string{"GET", "?order=id"}, sql: `SELECT * FROM REL ORDER BY id`},
	{name: "some columns", graphql: `{ LIST { id v } }`, native: [3]string{"GET", "?" + shown + "order=id"}, strict: [3]string{"GET", "?" + shown + "order=id"}, sql: `SELECT id, v FROM REL ORDER BY id`},
	{name: "filter", graphql: `{ LIST(filter: {owner_eq: "ANN"}) { id } }`, native: [3]string{"GET", "?select=id&owner=eq.ANN"}, strict: [3]string{"GET", "?select=id&owner=eq.ANN"}, sql: `SELECT id FROM REL WHERE owner = 'ANN'`},
	{name: "order by another", graphql: `{ LIST(orderBy: [{owner: ASC}, {id: ASC}]) { id } }`, native: [3]string{"GET", "?select=id&order=owner,id"}, strict: [3]string{"GET", "?select=id&order=owner,id"}, sql: `SELECT id FROM REL ORDER BY owner, id`},
	{name: "count", native: [3]string{"GET", "?select=id&v=neq.b"}, strict: [3]string{"GET", "?select=id&v=neq.b"}, prefer: "count=exact", sql: `SELECT id FROM REL WHERE v <> 'b'`, counted: true},
	{name: "aggregate", graphql: `{ LISTAggregate { count } }`, native: [3]string{"GET", "?select=count()"}, strict: [3]string{"GET", "?select=count()"}, sql: `SELECT count(*) FROM REL`},
	{name: "embed", native: [3]string{"GET", "?select=id,folders(name)&order=id"}, strict: [3]string{"GET", "?select=id,folders(name)&order=id"},
		sql: `SELECT id, (SELECT row_to_json(f) FROM (SELECT name FROM folders WHERE folders.id = r.folder) f) AS folders FROM REL r ORDER BY id`},
	{name: "embed inner", native: [3]string{"GET", "?select=id,folders!inner(id)&order=id"}, strict: [3]string{"GET", "?select=id,folders!inner(id)&order=id"},
		sql: `SELECT id, (SELECT row_to_json(f) FROM (SELECT id FROM folders WHERE folders.id = r.folder) f) AS folders FROM REL r WHERE EXISTS (SELECT FROM folders WHERE folders.id = r.folder) ORDER BY id`},
	{name: "embedded in another", of: "folders", native: [3]string{"GET", "?select=name,kept:REL(id,v)&kept.order=id&order=id"}, strict: [3]string{"GET", "?select=name,kept:REL(id,v)&kept.order=id&order=id"},
		sql: `SELECT name, array_to_json(ARRAY(SELECT row_to_json(x) FROM (SELECT id, v FROM REL r WHERE r.folder = f.id ORDER BY id) x)) AS kept FROM folders f ORDER BY id`},
	{name: "function", of: "rpc/of_REL", strict: [3]string{"POST", "?" + shown + "order=id", `{}`}, sql: `SELECT id, v FROM of_REL() ORDER BY id`, called: true},
	{name: "function read", of: "rpc/of_REL", strict: [3]string{"GET", "?select=id&owner=eq.ANN"}, sql: `SELECT id FROM of_REL() WHERE owner = 'ANN'`},
	{name: "definer's function", of: "rpc/their_REL", strict: [3]string{"GET", "?" + shown}, sql: `SELECT id, v FROM their_REL()`},
	{name: "function that writes", of: "rpc/take_REL", strict: [3]string{"POST", "", `{"taken":1}`}, sql: `SELECT take_REL(1)`, silent: true, called: true},
	{name: "definer's function that writes", of: "rpc/seize_REL", strict: [3]string{"POST", "", `{"taken":2}`}, sql: `SELECT seize_REL(2)`, silent: true, called: true},

	{name: "query", native: [3]string{"POST", "/query", `{"select":"id,v","filters":[{"column":"v","operator":"in","value":["a","b","hidden"]}]}`}, sql: `SELECT id, v FROM REL WHERE v IN ('a', 'b', 'hidden')`},
	{name: "export", native: [3]string{"GET", "/export?format=json&select=id,v"}, sql: `SELECT id, v FROM REL`},

	{name: "insert", graphql: `mutation { insertTYPE(data: {id: 10, v: "x"}) { id v } }`, native: [3]string{"POST", "?" + shown, `{"id":10,"v":"x"}`}, strict: [3]string{"POST", "?" + shown, `{"id":10,"v":"x"}`}, sql: `INSERT INTO REL (id, v) VALUES (10, 'x') RETURNING id, v`},
	{name: "insert hers", graphql: `mutation { insertTYPE(data: {id: 10, v: "x", owner: "ANN"}) { id v } }`, native: [3]string{"POST", "?" + shown, `{"id":10,"v":"x","owner":"ANN"}`}, strict: [3]string{"POST", "?" + shown, `{"id":10,"v":"x","owner":"ANN"}`},
		sql: `INSERT INTO REL (id, v, owner) VALUES (10, 'x', 'ANN') RETURNING id, v`},
	{name: "insert unseen", native: [3]string{"POST", "", `{"id":10,"v":"hidden","owner":"ANN"}`}, strict: [3]string{"POST", "", `{"id":10,"v":"hidden","owner":"ANN"}`}, prefer: "return=minimal", silent: true,
		sql: `INSERT INTO REL (id, v, owner) VALUES (10, 'hidden', 'ANN')`},
	{name: "insert two", graphql: `mutation { insertManyTYPE(data: [{id: 10, v: "x"}, {id: 11, v: "y"}]) { id v } }`, native: [3]string{"POST", "/bulk?" + shown, `[{"id":10,"v":"x"},{"id":11,"v":"y"}]`}, strict: [3]string{"POST", "?" + shown, `[{"id":10,"v":"x"},{"id":11,"v":"y"}]`},
		sql: `INSERT INTO REL (id, v) VALUES (10, 'x'), (11, 'y') RETURNING id, v`},
	{name: "insert what is there", graphql: `mutation { insertTYPE(data: {id: 2, v: "x"}) { id v } }`, native: [3]string{"POST", "?" + shown, `{"id":2,"v":"x"}`}, strict: [3]string{"POST", "?" + shown, `{"id":2,"v":"x"}`}, sql: `INSERT INTO REL (id, v) VALUES (2, 'x') RETURNING id, v`},
	{name: "insert into no folder", graphql: `mutation { insertTYPE(data: {id: 10, owner: "ANN", folder: 99}) { id v } }`, native: [3]string{"POST", "?" + shown, `{"id":10,"owner":"ANN","folder":99}`}, strict: [3]string{"POST", "?" + shown, `{"id":10,"owner":"ANN","folder":99}`},
		sql: `INSERT INTO REL (id, owner, folder) VALUES (10, 'ANN', 99) RETURNING id, v`},
	{name: "merge", native: [3]string{"POST", "?" + shown + "on_conflict=id", `[{"id":1,"v":"x"},{"id":10,"v":"y"}]`}, strict: [3]string{"POST", "?" + shown + "on_conflict=id", `[{"id":1,"v":"x"},{"id":10,"v":"y"}]`}, prefer: "resolution=merge-duplicates", merges: true,
		sql: `INSERT INTO REL (id, v) VALUES (1, 'x'), (10, 'y') ON CONFLICT (id) DO UPDATE SET v = excluded.v RETURNING id, v`},
	{name: "ignore", native: [3]string{"POST", "?" + shown + "on_conflict=id", `[{"id":2,"v":"x"},{"id":10,"v":"y"}]`}, strict: [3]string{"POST", "?" + shown + "on_conflict=id", `[{"id":2,"v":"x"},{"id":10,"v":"y"}]`}, prefer: "resolution=ignore-duplicates", merges: true,
		sql: `INSERT INTO REL (id, v) VALUES (2, 'x'), (10, 'y') ON CONFLICT (id) DO NOTHING RETURNING id, v`},
	{name: "change", graphql: `mutation { updateManyTYPE(filter: {id_in: [1, 2]}, data: {v: "x"}) { id v } }`, native: [3]string{"PATCH", "?" + shown + "id=in.(1,2)", `{"v":"x"}`}, strict: [3]string{"PATCH", "?" + shown + "id=in.(1,2)", `{"v":"x"}`}, sql: `UPDATE REL SET v = 'x' WHERE id IN (1, 2) RETURNING id, v`},
	{name: "change unseen", native: [3]string{"PATCH", "?v=neq.b", `{"v":"x"}`}, strict: [3]string{"PATCH", "?v=neq.b", `{"v":"x"}`}, prefer: "return=minimal", silent: true, sql: `UPDATE REL SET v = 'x' WHERE v <> 'b'`},
	{name: "give away", graphql: `mutation { updateManyTYPE(filter: {id_eq: 1}, data: {owner: "BOB"}) { id v } }`, native: [3]string{"PATCH", "?" + shown + "id=eq.1", `{"owner":"BOB"}`}, strict: [3]string{"PATCH", "?" + shown + "id=eq.1", `{"owner":"BOB"}`}, sql: `UPDATE REL SET owner = 'BOB' WHERE id = 1 RETURNING id, v`},
	{name: "hide", graphql: `mutation { updateManyTYPE(filter: {id_eq: 1}, data: {v: "hidden"}) { id v } }`, native: [3]string{"PATCH", "?" + shown + "id=eq.1", `{"v":"hidden"}`}, strict: [3]string{"PATCH", "?" + shown + "id=eq.1", `{"v":"hidden"}`}, sql: `UPDATE REL SET v = 'hidden' WHERE id = 1 RETURNING id, v`},
	{name: "change each", native: [3]string{"PATCH", "/bulk?" + shown, `[{"id":1,"v":"x"},{"id":2,"v":"y"}]`}, sql: `UPDATE REL AS t SET v = n.v FROM (VALUES (1, 'x'), (2, 'y')) AS n (id, v) WHERE t.id = n.id RETURNING t.id, t.v`},
	{name: "remove", graphql: `mutation { deleteManyTYPE(filter: {v_neq: "b"}) }`, native: [3]string{"DELETE", "?" + shown + "v=neq.b"}, strict: [3]string{"DELETE", "?" + shown + "v=neq.b"}, sql: `DELETE FROM REL WHERE v <> 'b' RETURNING id, v`},
	{name: "remove hers by owner", graphql: `mutation { deleteManyTYPE(filter: {owner_eq: "ANN"}) }`, native: [3]string{"DELETE", "?" + shown + "owner=eq.ANN"}, strict: [3]string{"DELETE", "?" + shown + "owner=eq.ANN"}, sql: `DELETE FROM REL WHERE owner = 'ANN' RETURNING id, v`},
	{name: "remove some", native: [3]string{"DELETE", "/bulk?" + shown, `{"ids":[1,2,3]}`}, sql: `DELETE FROM REL WHERE id IN (1, 2, 3) RETURNING id, v`},
}

// kindFunctions read and write a relation, as the caller and as its maker.
const kindFunctions = `SET check_function_bodies = off;
CREATE FUNCTION of_%[1]s() RETURNS SETOF %[1]s LANGUAGE sql STABLE AS 'SELECT * FROM %[1]s';
CREATE FUNCTION their_%[1]s() RETURNS SETOF %[1]s LANGUAGE sql STABLE SECURITY DEFINER AS 'SELECT * FROM %[1]s';
CREATE FUNCTION take_%[1]s(taken int4) RETURNS SETOF int4 LANGUAGE sql AS 'UPDATE %[1]s SET v = ''taken'' WHERE id = taken RETURNING id';
CREATE FUNCTION seize_%[1]s(taken int4) RETURNS SETOF int4 LANGUAGE sql SECURITY DEFINER AS 'UPDATE %[1]s SET v = ''seized'' WHERE id = taken RETURNING id'`

func TestWhoMayDoWhatWithWhichKind(t *testing.T) {
	t.Parallel()
	var ddl strings.Builder
	ddl.WriteString(`CREATE TABLE folders (id int4 PRIMARY KEY, owner uuid, name text); ALTER TABLE folders ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON folders USING (owner = auth.uid()); GRANT ALL ON folders TO anon, authenticated, service_role;`)
	for k, kind := range relationKinds {
		for p, policy := range kindPolicies {
			relation, table := kindNames(k, p)
			make := kind.table
			if make == "" {
				make = ordinaryTable
			}
			for _, sql := range []string{make, `GRANT ALL ON %[2]s TO anon, authenticated, service_role`, policy.onTable, kind.sql, `GRANT ALL ON %[1]s TO service_role`} {
				write(&ddl, sql, relation, table)
			}
			if strings.Contains(kind.sql, "VIEW") {
				write(&ddl, `GRANT ALL ON %[1]s TO anon, authenticated`, relation, table)
			}
			write(&ddl, policy.onRelation, relation, table)
			write(&ddl, kindFunctions, relation, table)
		}
	}
	n := startTables(t, ddl.String())
	n.exec(t, fmt.Sprintf(`INSERT INTO folders VALUES (1, '%s', 'hers'), (2, '%s', 'his')`, n.ann.ID, n.bob.ID))
	for k, kind := range relationKinds {
		for p, policy := range kindPolicies {
			m := &kindMatrix{tablesNode: n, kind: kind, changed: true}
			m.relation, m.table = kindNames(k, p)
			for _, who := range []string{"anon", "ann", "service"} {
				for _, v := range kindVerbs {
					if kind.unwritable && v.called && v.silent {
						continue
					}
					t.Run(kind.name+"/"+policy.name+"/"+who+"/"+v.name, func(t *testing.T) { m.compare(t, who, v) })
				}
			}
		}
	}
}

func write(ddl *strings.Builder, sql, relation, table string) {
	if sql != "" {
		// A statement need not name both.
		ddl.WriteString(strings.NewReplacer("%[1]s", relation, "%[2]s", table).Replace(sql) + ";\n")
	}
}

// kindNames are the relation's and the table's, which are one where the kind is a
// table.
func kindNames(kind, policy int) (relation, table string) {
	table = fmt.Sprintf("kind_%c%c", 'a'+kind, 'a'+policy)
	if strings.Contains(relationKinds[kind].sql, "VIEW") {
		return table + "_view", table
	}
	return table, table
}

type kindMatrix struct {
	*tablesNode
	kind            relationKind
	relation, table string
	// changed tells that the rows are not those of the beginning.
	changed bool
}

func (m *kindMatrix) seed(t *testing.T) {
	t.Helper()
	if !m.changed {
		return
	}
	sql := `DELETE FROM %[2]s; INSERT INTO %[2]s VALUES (1, 'ANN', 'a', 1), (2, 'BOB', 'b', 2), (3, NULL, 'c', NULL), (4, 'ANN', 'hidden', 2); ` + m.kind.renew
	m.exec(t, strings.NewReplacer("%[1]s", m.relation, "%[2]s", m.table, "ANN", m.ann.ID, "BOB", m.bob.ID).Replace(sql))
	m.changed = false
}

// judgment is what PostgreSQL says of a verb.
type judgment struct {
	// state is the SQLSTATE of the refusal; empty for success.
	state    string
	byPolicy bool
	rows     []string
	contents string
	// fresh is how many of an insert's rows are new.
	fresh int
}

func (m *kindMatrix) compare(t *testing.T, who string, v kindVerb) {
	names := strings.NewReplacer("REL", m.relation, "ANN", m.ann.ID, "BOB", m.bob.ID)
	m.seed(t)
	want := m.judge(t, who, names.Replace(v.sql), v.silent)
	mutation := strings.HasPrefix(v.graphql, "mutation")
	if v.graphql != "" && !(mutation && m.relation != m.table) { // views have no mutations
		m.seed(t)
		m.changed = mutation
		m.compareGraphQL(t, who, names.Replace(v.graphql), want)
	}
	for _, dialect := range []struct {
		name, base string
		asked      [3]string
	}{{"native", "/api/v1/tables/", v.native}, {"strict", "/rest/v1/", v.strict}} {
		if dialect.asked[0] == "" {
			continue
		}
		m.seed(t)
		method, strict := dialect.asked[0], dialect.name == "strict"
		var body any
		if dialect.asked[2] != "" {
			body = names.Replace(dialect.asked[2])
		}
		prefer := v.prefer
		if method != "GET" && strict && !v.silent {
			prefer += ",return=representation"
		}
		of := m.relation
		if v.of != "" {
			of = names.Replace(v.of)
		}
		r := m.Do(method, dialect.base+of+names.Replace(dialect.asked[1]), m.token(t, who), body, "Prefer", prefer)
		m.changed = method != "GET"
		got := judgment{contents: m.contents(t, m.admin, m.table)}
		if got.contents != want.contents {
			t.Errorf("%s: the table holds\n%s\nwant\n%s", dialect.name, got.contents, want.contents)
		}
		if want.state != "" {
			if m.kind.readOnly && method != "GET" && v.native[1] != "/query" && v.of == "" {
				want.state = "42809"
			}
			m.wantRefusal(t, dialect.name, who, want, r.Status, r.Body)
			continue
		}
		if status := v.status(dialect.name, method, want, len(r.Body)); r.Status != status {
			t.Errorf("%s: status %d, want %d: %s", dialect.name, r.Status, status, r.Body)
			continue
		}
		if v.silent {
			continue
		}
		if got.rows = answered(t, r.Body); !slices.Equal(got.rows, want.rows) {
			t.Errorf("%s: the rows are\n%s\nwant\n%s", dialect.name, got.rows, want.rows)
		}
		if total := fmt.Sprintf("/%d", len(want.rows)); v.counted && !strings.HasSuffix(r.Header.Get("Content-Range"), total) {
			t.Errorf("%s: Content-Range %q, want …%s", dialect.name, r.Header.Get("Content-Range"), total)
		}
	}
}

// compareGraphQL sends a document and compares what it does. What a role may not do is
// not in its schema; the codes of refusals are the table of cases' business.
func (m *kindMatrix) compareGraphQL(t *testing.T, who, document string, want judgment) {
	t.Helper()
	pascal := ""
	for _, word := range strings.Split(m.relation, "_") {
		pascal += strings.ToUpper(word[:1]) + word[1:]
	}
	document = strings.NewReplacer("LIST", strings.ToLower(pascal[:1])+pascal[1:], "TYPE", pascal).Replace(document)
	_, got, body := m.graphql(t, who, document, "", "")
	if contents := m.contents(t, m.admin, m.table); contents != want.contents {
		t.Errorf("graphql: the table holds\n%s\nwant\n%s", contents, want.contents)
	}
	if want.state != "" {
		if len(got.Errors) == 0 {
			t.Errorf("graphql: PostgreSQL refuses %s with %s, the answer is %s", document, want.state, body)
		}
		return
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(got.Data, &fields); err != nil || len(fields) != 1 || len(got.Errors) > 0 {
		t.Errorf("graphql: PostgreSQL does %s, the answer is %s", document, body)
		return
	}
	for _, value := range fields {
		if string(value) == strconv.Itoa(len(want.rows)) {
			return // a number of rows
		}
		if string(value) == "null" {
			value = nil
		}
		if rows := answered(t, value); !slices.Equal(rows, want.rows) {
			t.Errorf("graphql: the rows are\n%s\nwant\n%s", rows, want.rows)
		}
	}
}

// status is what success looks like.
func (v kindVerb) status(dialect, method string, want judgment, body int) int {
	switch {
	case v.called:
		return 200
	case method == "POST" && v.native[1] != "/query":
		if v.merges && (dialect == "native" && len(want.rows) == 0 || dialect == "strict" && strings.Contains(v.prefer, "merge") && want.fresh == 0) {
			return 200
		}
		return 201
	case v.silent && dialect == "strict":
		return 204
	}
	return 200
}

// wantRefusal checks that an answer refuses what PostgreSQL refuses, for its reason.
func (m *kindMatrix) wantRefusal(t *testing.T, dialect, who string, want judgment, status int, body []byte) {
	t.Helper()
	var f struct{ Code string }
	if err := json.Unmarshal(body, &f); err != nil {
		t.Fatalf("%s: %s refuses it with %s, the answer is %d %s", dialect, "PostgreSQL", want.state, status, body)
	}
	wantStatus, wantCode := 0, want.state
	switch want.state {
	case "42501":
		wantStatus = 403
		native := "INSUFFICIENT_PERMISSIONS"
		if want.byPolicy {
			native = "RLS_POLICY_VIOLATION"
		}
		if who == "anon" {
			wantStatus, native = 401, "AUTHENTICATION_REQUIRED"
		}
		if dialect == "native" {
			wantCode = native
		}
	case "23505", "23503":
		wantStatus = 409
		if dialect == "native" {
			wantCode = map[string]string{"23505": "DUPLICATE_KEY", "23503": "FOREIGN_KEY_VIOLATION"}[want.state]
		}
	case "44000":
		wantStatus = 400
		if dialect == "native" {
			wantCode = "CHECK_VIOLATION"
		}
	case "55000", "42809": // what cannot be written
		wantStatus = 405
		wantCode = f.Code
		if dialect == "native" {
			wantCode = "READ_ONLY_RELATION"
		}
	case "42P10": // no key to conflict on
		wantStatus, wantCode = 400, f.Code
	default:
		t.Fatalf("PostgreSQL refuses it with %s", want.state)
	}
	if status != wantStatus || f.Code != wantCode {
		t.Errorf("%s: %d %s, want %d %s: PostgreSQL refuses it with %s\n%s", dialect, status, f.Code, wantStatus, wantCode, want.state, body)
	}
}

// judge runs a statement as somebody, in a transaction that is rolled back.
func (m *kindMatrix) judge(t *testing.T, who, sql string, silent bool) (out judgment) {
	t.Helper()
	tx, err := m.admin.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(t.Context()) }()
	before := m.ids(t, tx)
	m.become(t, tx, who)
	if _, err := tx.Exec(t.Context(), `SAVEPOINT verb`); err != nil {
		t.Fatal(err)
	}
	if silent {
		_, err = tx.Exec(t.Context(), sql)
	} else {
		wrapped := `SELECT row_to_json(x)::text FROM (` + sql + `) x`
		if !strings.HasPrefix(sql, "SELECT") {
			wrapped = `WITH x AS (` + sql + `) SELECT row_to_json(x)::text FROM x`
		}
		var rows pgx.Rows
		if rows, err = tx.Query(t.Context(), wrapped); err == nil {
			out.rows, err = pgx.CollectRows(rows, pgx.RowTo[string])
		}
	}
	slices.Sort(out.rows)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		out.state, out.byPolicy = refused.Code, strings.Contains(refused.Message, "row-level security")
		if _, err := tx.Exec(t.Context(), `ROLLBACK TO SAVEPOINT verb`); err != nil {
			t.Fatal(err)
		}
	case err != nil:
		t.Fatalf("%s: %v", sql, err)
	}
	if _, err := tx.Exec(t.Context(), `RESET ROLE`); err != nil {
		t.Fatal(err)
	}
	out.contents = m.contents(t, tx, m.table)
	for _, id := range m.ids(t, tx) {
		if !slices.Contains(before, id) {
			out.fresh++
		}
	}
	return out
}

// ids are the keys of the table's rows.
func (m *kindMatrix) ids(t *testing.T, tx pgx.Tx) []int {
	t.Helper()
	rows, err := tx.Query(t.Context(), `SELECT id FROM `+m.table)
	if err != nil {
		t.Fatal(err)
	}
	ids, err := pgx.CollectRows(rows, pgx.RowTo[int])
	if err != nil {
		t.Fatal(err)
	}
	return ids
}
