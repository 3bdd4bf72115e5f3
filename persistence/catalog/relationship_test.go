package catalog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
)

// outlines writes relationships as people would.
func outlines(r *catalog.Relation) []string {
	out := make([]string, len(r.Relationships))
	for i, rel := range r.Relationships {
		text := rel.Cardinality.String() + " " + rel.Name
		switch {
		case rel.Function != nil:
			text += " by " + rel.Function.Name
		case rel.Junction != nil:
			text += fmt.Sprintf(" %s=%s.%s %s=%s", strings.Join(rel.Columns, ","), rel.Junction.Name, strings.Join(rel.Junction.Near.Columns, ","),
				strings.Join(rel.Junction.Far.Columns, ","), strings.Join(rel.Referenced, ","))
		default:
			text += fmt.Sprintf(" %s=%s", strings.Join(rel.Columns, ","), strings.Join(rel.Referenced, ","))
		}
		out[i] = text
	}
	return out
}

func TestRelationships(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE SCHEMA inner_;
		CREATE TABLE inner_.orders (id int PRIMARY KEY);
		CREATE TABLE inner_.lines (no int, "order" int REFERENCES inner_.orders, PRIMARY KEY (no, "order"));
		CREATE VIEW orders AS SELECT id AS "number" FROM inner_.orders;
		CREATE VIEW lines AS SELECT l.no, upper('x') AS shout, o."order" FROM inner_.lines l JOIN (SELECT "order", no FROM inner_.lines) o USING (no);

		CREATE TABLE users (id int PRIMARY KEY, boss int REFERENCES users);
		CREATE TABLE profiles (id int PRIMARY KEY REFERENCES users, bio text);
		CREATE TABLE rooms (a int, b int, PRIMARY KEY (b, a));
		CREATE TABLE seats (id int PRIMARY KEY, "in" int, at int, owner int, FOREIGN KEY (at, "in") REFERENCES rooms (b, a), FOREIGN KEY (owner) REFERENCES users);
		CREATE TABLE stays ("user" int REFERENCES users, a int, b int, PRIMARY KEY ("user", a, b), FOREIGN KEY (a, b) REFERENCES rooms (a, b));
		CREATE VIEW visits AS SELECT * FROM stays;
		CREATE VIEW people AS SELECT id AS person, boss FROM users;
		CREATE VIEW chiefs AS SELECT person AS chief FROM people;
		CREATE FUNCTION label(users) RETURNS text LANGUAGE sql STABLE RETURN 'u' || $1.id;
		CREATE FUNCTION neighbours(users) RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM users';
		CREATE FUNCTION chief(users) RETURNS SETOF users LANGUAGE sql STABLE ROWS 1 AS 'SELECT * FROM users';
		CREATE FUNCTION profile(users) RETURNS profiles LANGUAGE sql STABLE AS 'SELECT * FROM profiles'`)
	c := open(t, d)
	for _, want := range []struct{ relation, list string }{
		{"orders", `one-to-many lines number=order`},
		{"lines", `many-to-one orders order=number`},
		{"seats", `many-to-one chiefs owner=chief|many-to-one people owner=person|many-to-one rooms at,in=b,a|many-to-one users owner=id`},
		{"rooms", `one-to-many seats b,a=at,in|one-to-many stays a,b=a,b|one-to-many visits a,b=a,b|` +
			`many-to-many chiefs a,b=stays.a,b user=chief|many-to-many people a,b=stays.a,b user=person|many-to-many users a,b=stays.a,b user=id`},
		{"profiles", `one-to-one chiefs id=chief|one-to-one people id=person|one-to-one users id=id`},
	} {
		got := outlines(relation(t, c, "", want.relation))
		list := strings.Split(want.list, "|")
		slices.Sort(got)
		slices.Sort(list)
		if !slices.Equal(got, list) {
			t.Errorf("%s\n got %s\nwant %s", want.relation, strings.Join(got, "|"), strings.Join(list, "|"))
		}
	}
	users := relation(t, c, "", "users")
	got := outlines(users)
	for _, want := range []string{"one-to-one profiles id=id", "many-to-one users boss=id", "one-to-many users id=boss", "one-to-many people id=boss",
		"many-to-one users by chief", "one-to-many users by neighbours", "many-to-one profiles by profile", "many-to-many rooms id=stays.user a,b=a,b"} {
		if !slices.Contains(got, want) {
			t.Errorf("users have no %q among %q", want, got)
		}
	}
	if len(users.Computed) != 1 || users.Computed[0].Name != "label" || users.Computed[0].Type.Name != "text" {
		t.Errorf("computed: %+v", users.Computed)
	}
}

func TestRelationshipsOfPartitions(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE users (id int PRIMARY KEY);
		CREATE TABLE events (at date, "user" int REFERENCES users) PARTITION BY RANGE (at);
		CREATE TABLE events_1 PARTITION OF events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
		CREATE TABLE parts (id int PRIMARY KEY) PARTITION BY RANGE (id);
		CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
		CREATE TABLE uses (part int REFERENCES parts)`)
	c := open(t, d)
	for name, want := range map[string]string{
		"users": "one-to-many events id=user|one-to-many events_1 id=user", "uses": "many-to-one parts part=id", "parts_1": "",
	} {
		if got := strings.Join(outlines(relation(t, c, "", name)), "|"); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	for _, r := range relation(t, c, "", "users").Relationships {
		if r.OfPartition != (r.Name == "events_1") {
			t.Errorf("%s is a partition: %v", r.Name, r.OfPartition)
		}
	}
}

// TestRelationshipsAreNoticed checks that what is made without touching a table is
// seen by those who poll.
func TestRelationshipsAreNoticed(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int REFERENCES a); CREATE VIEW v AS SELECT 1 AS id`)
	c := open(t, d)
	if _, err := c.Refresh(t.Context(), c.Current()); err != nil { // learn the fingerprint
		t.Fatal(err)
	}
	for _, ddl := range []string{
		`CREATE FUNCTION shout(a) RETURNS text LANGUAGE sql RETURN 'x'`,
		`CREATE OR REPLACE VIEW v AS SELECT id FROM b`,
	} {
		seen := c.Current()
		d.Exec(ddl)
		if changed, err := c.Refresh(t.Context(), seen); err != nil || !changed {
			t.Errorf("%s is not noticed: %v", ddl, err)
		}
	}
}
