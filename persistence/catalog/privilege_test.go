package catalog_test

import (
	"testing"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
)

// TestPrivileges: the catalogue knows what each role may do, and learns it anew when
// it is granted or revoked.
func TestPrivileges(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE open (id int PRIMARY KEY, body text);
		CREATE TABLE closed (id int PRIMARY KEY);
		CREATE TABLE partly (id int PRIMARY KEY, name text, secret text);
		CREATE SCHEMA locked;
		CREATE TABLE locked.things (id int);
		REVOKE ALL ON open, closed, partly FROM anon, authenticated;
		GRANT SELECT, DELETE ON open TO anon;
		GRANT SELECT (id, name), UPDATE (name) ON partly TO anon;
		GRANT ALL ON locked.things TO anon;
		REVOKE ALL ON SCHEMA locked FROM anon, public;
		CREATE FUNCTION loud(open) RETURNS text LANGUAGE sql STABLE AS 'SELECT upper($1.body)';
		CREATE FUNCTION twins(open) RETURNS SETOF open LANGUAGE sql STABLE AS 'SELECT * FROM open';
		CREATE FUNCTION touch(n int) RETURNS int LANGUAGE sql AS 'SELECT 1';
		COMMENT ON FUNCTION touch(int) IS 'leaves a mark';
		REVOKE ALL ON FUNCTION loud(open), twins(open), touch(int) FROM public, anon, authenticated;
		GRANT EXECUTE ON FUNCTION loud(open) TO anon`)
	c := open(t, d, "public", "locked")

	type ask struct {
		relation string
		p        catalog.Privilege
		column   string
		want     bool
	}
	for _, a := range []ask{
		{"open", catalog.Select, "", true}, {"open", catalog.Select, "body", true}, {"open", catalog.Delete, "", true},
		{"open", catalog.Insert, "", false}, {"open", catalog.Update, "body", false},
		{"closed", catalog.Select, "", false}, {"closed", catalog.Select, "id", false},
		{"partly", catalog.Select, "", true}, {"partly", catalog.Select, "name", true}, {"partly", catalog.Select, "secret", false},
		{"partly", catalog.Update, "name", true}, {"partly", catalog.Update, "id", false}, {"partly", catalog.Insert, "", false},
	} {
		r := relation(t, c, "", a.relation)
		got := r.Granted("anon", a.p)
		if a.column != "" {
			got = r.GrantedColumn("anon", a.p, a.column)
		}
		if got != a.want {
			t.Errorf("anon, %c of %s.%s: got %t", a.p, a.relation, a.column, got)
		}
	}
	if relation(t, c, "locked", "things").Granted("anon", catalog.Select) {
		t.Error("a grant counts although the schema is closed")
	}
	if relation(t, c, "", "open").Granted("postgres", catalog.Select) {
		t.Error("a role that callers do not run as has a privilege")
	}
	opened := relation(t, c, "", "open")
	if !opened.Computed[0].Executable("anon") || opened.Computed[0].Executable("authenticated") {
		t.Error("the grant on a computed column is wrong")
	}
	if len(opened.Relationships) != 1 || opened.Relationships[0].Executable("anon") {
		t.Errorf("the grant on a computed relationship is wrong: %+v", opened.Relationships)
	}
	touch := c.Current().Routines("public", "touch")[0]
	if touch.Executable("anon") || touch.Volatility != catalog.Volatile || touch.Comment != "leaves a mark" {
		t.Errorf("touch: %+v", touch)
	}

	seen := c.Current()
	d.Exec(`GRANT SELECT ON closed TO anon; GRANT SELECT (secret) ON partly TO anon; GRANT EXECUTE ON FUNCTION touch(int) TO anon`)
	if changed, err := c.Refresh(t.Context(), seen); err != nil || !changed {
		t.Fatalf("after grants: changed %t, %v", changed, err)
	}
	if !relation(t, c, "", "closed").Granted("anon", catalog.Select) || !relation(t, c, "", "partly").GrantedColumn("anon", catalog.Select, "secret") ||
		!c.Current().Routines("public", "touch")[0].Executable("anon") {
		t.Error("what was granted is not known")
	}
}

// TestRelationshipKeys: every relationship of a relation has a key of its own.
func TestRelationshipKeys(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE people (id int PRIMARY KEY, boss int REFERENCES people, deputy int REFERENCES people);
		CREATE TABLE friends (a int REFERENCES people, b int REFERENCES people, PRIMARY KEY (a, b));
		CREATE TABLE rivals (a int REFERENCES people, b int REFERENCES people, PRIMARY KEY (a, b));
		CREATE VIEW persons AS SELECT * FROM people;
		CREATE FUNCTION peers(people) RETURNS SETOF people LANGUAGE sql STABLE AS 'SELECT * FROM people'`)
	for _, r := range open(t, d).Current().Relations() {
		seen := map[string]bool{}
		for i := range r.Relationships {
			key := r.Relationships[i].Key()
			if seen[key] {
				t.Errorf("%s has two relationships %q", r.Name, key)
			}
			seen[key] = true
		}
		if r.Name == "people" && len(seen) < 13 {
			t.Errorf("people has %d relationships", len(seen))
		}
	}
}
