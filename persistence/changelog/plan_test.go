package changelog_test

import (
	"fmt"
	"slices"
	"testing"
)

// Whose rows a policy reads, however it comes to them.
func TestDependentsAreTheTablesWhosePoliciesReadATable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`
		CREATE TABLE member (uid uuid, org text); CREATE TABLE team (uid uuid, org text); CREATE TABLE parts (uid uuid) PARTITION BY HASH (uid);
		CREATE TABLE parts_0 PARTITION OF parts FOR VALUES WITH (MODULUS 1, REMAINDER 0);
		CREATE VIEW members AS SELECT * FROM member;
		CREATE FUNCTION of_team(o text) RETURNS boolean LANGUAGE sql STABLE RETURN EXISTS (SELECT FROM public.team WHERE team.org = o);
		CREATE FUNCTION opaque() RETURNS boolean LANGUAGE sql STABLE AS 'SELECT EXISTS (SELECT FROM public.team)';
		CREATE TABLE docs (id int, org text); ALTER TABLE docs ENABLE ROW LEVEL SECURITY;
		CREATE TABLE lines (doc int); ALTER TABLE lines ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON lines USING (EXISTS (SELECT FROM docs WHERE docs.id = doc))`)
	ids := map[string]int32{}
	for _, table := range []string{"member", "team", "parts", "docs", "lines"} {
		ids[table] = f.enable(table).ID
	}
	dependents := func(table string) (names []string) {
		t.Helper()
		_, plan, err := f.log.Now(f.ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range plan.Dependents(ids[table]) {
			dependent, _ := plan.Table(id)
			names = append(names, dependent.Name)
		}
		return names
	}
	for _, c := range []struct {
		policy string
		reads  []string
	}{
		{`USING (org = 'x')`, nil},
		{`USING (org IN (SELECT m.org FROM member m))`, []string{"member"}},
		{`USING (org IN (SELECT m.org FROM members m))`, []string{"member"}},
		{`USING (of_team(org))`, []string{"team"}},
		{`USING (opaque())`, nil},
		{`USING (EXISTS (SELECT FROM parts_0))`, []string{"parts"}},
		{`FOR UPDATE USING (EXISTS (SELECT FROM member))`, nil},
		{`AS RESTRICTIVE USING (EXISTS (SELECT FROM member m JOIN team USING (uid)))`, []string{"member", "team"}},
	} {
		r := f.tail()
		f.Exec(`DROP POLICY IF EXISTS p ON docs; CREATE POLICY p ON docs ` + c.policy)
		for _, table := range []string{"member", "team", "parts", "docs", "lines"} {
			var want []string
			if slices.Contains(c.reads, table) {
				want = []string{"docs", "lines"} // lines reads docs, and so what docs reads
			}
			if table == "docs" {
				want = []string{"lines"}
			}
			if got := dependents(table); !slices.Equal(got, want) {
				t.Errorf("%s: the dependents of %s are %v, want %v", c.policy, table, got, want)
			}
		}
		r.next()
		if docs, _ := r.plan.Named("public", "docs"); fmt.Sprint(docs.Policies) != fmt.Sprint(f.table("docs").Policies) {
			t.Errorf("%s: the log did not tell", c.policy)
		}
	}
}

// What a policy means changes with what it names.
func TestMarkersTellOfWhatPoliciesName(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int, org text); CREATE TABLE b (org text); CREATE TABLE c (org text); CREATE VIEW v AS SELECT org FROM b;
		ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a USING (EXISTS (SELECT FROM v))`)
	a, b, c := f.enable("a"), f.enable("b"), f.enable("c")
	r := f.tail()
	expect := func(sql string, reads ...int32) {
		t.Helper()
		f.Exec(sql)
		r.next()
		table, _ := r.plan.Table(a.ID)
		if !slices.Equal(table.Reads, reads) {
			t.Errorf("%s: a reads %v, want %v", sql, table.Reads, reads)
		}
	}
	expect(`CREATE OR REPLACE VIEW v AS SELECT org FROM c`, c.ID)
	expect(`CREATE OR REPLACE VIEW v AS SELECT org FROM b`, b.ID)
	expect(`CREATE TABLE other (id int); ALTER TABLE other ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON other USING (EXISTS (SELECT FROM c));
		CREATE OR REPLACE VIEW v AS SELECT org FROM b WHERE EXISTS (SELECT FROM other)`, b.ID, c.ID)
	expect(`DROP POLICY p ON other`, b.ID)
	expect(`DROP VIEW v CASCADE`)
}

// A plan that is read again changes nothing for those who follow a table, unless it
// says something else of it.
func TestPlansSayWhetherATableIsTheSame(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY); ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE TABLE b (id int)`)
	f.enable("a")
	before := f.table("a")
	for _, c := range []struct {
		sql  string
		same bool
	}{
		{`INSERT INTO a VALUES (1)`, true}, {`ALTER TABLE b ADD v text`, true}, {`CREATE POLICY p ON a USING (true)`, false}, {`ALTER POLICY p ON a USING (false)`, false},
		{`REVOKE SELECT ON a FROM anon`, false}, {`REVOKE EXECUTE ON FUNCTION auth.uid() FROM PUBLIC`, false}, {`ALTER TABLE a ADD v text`, false},
	} {
		f.Exec(c.sql)
		after := f.table("a")
		if after.Same(before) != c.same || !after.Same(f.table("a")) || after.Same(nil) {
			t.Errorf("after %s the table is the same: %v", c.sql, after.Same(before))
		}
		before = after
	}
}
