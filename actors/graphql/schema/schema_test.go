package schema_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
)

func build(t *testing.T, ddl, role string, schemas ...string) *schema.Schema {
	t.Helper()
	d := dbtest.New(t)
	d.Exec(ddl)
	c, err := catalog.Open(t.Context(), d.DB, catalog.Options{Schemas: schemas})
	if err != nil {
		t.Fatal(err)
	}
	s, err := schema.Build(c.Current(), role)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fields are the names of a type's fields, in order, but those that GraphQL adds.
func fields(t *testing.T, s *schema.Schema, name string) string {
	t.Helper()
	def := s.AST.Types[name]
	if def == nil {
		t.Fatalf("there is no type %s", name)
	}
	var out []string
	for _, f := range def.Fields {
		if !strings.HasPrefix(f.Name, "__") {
			out = append(out, f.Name)
		}
	}
	return strings.Join(out, " ")
}

// TestNamesCollide: whatever tables, columns, keys and functions are called, the schema
// is valid, every name stands for one thing, and the plain name is that of the plain
// thing.
func TestNamesCollide(t *testing.T) {
	t.Parallel()
	s := build(t, `
		CREATE TYPE users_filter AS ENUM ('a');
		CREATE TABLE users (id int PRIMARY KEY, data int, "user_Name" int, user_name int, "user__name" int, mood users_filter, manager int REFERENCES users, boss_id int REFERENCES users);
		CREATE TABLE "user" (id int PRIMARY KEY, users_id int REFERENCES users, second_users_id int REFERENCES users);
		CREATE TABLE many_users (data int, id int, PRIMARY KEY (data, id));
		CREATE TABLE users_aggregate (id int PRIMARY KEY);
		CREATE TABLE query (id int PRIMARY KEY, "__typename" text);
		CREATE TABLE mutation (id int PRIMARY KEY);
		CREATE TABLE string (id int PRIMARY KEY);
		CREATE TABLE "big_int" (id int PRIMARY KEY);
		CREATE TABLE "1st" (id int PRIMARY KEY, "2nd" text, "имя" text, "%" text);
		CREATE TABLE _health (id int PRIMARY KEY);
		CREATE TABLE conflict_action (id int PRIMARY KEY);
		CREATE SCHEMA other;
		CREATE TABLE other.users (id int PRIMARY KEY);
		CREATE TABLE other_users (id int PRIMARY KEY);
		CREATE FUNCTION users() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
		CREATE FUNCTION insert_users(data int) RETURNS int LANGUAGE sql AS 'SELECT 1';
		CREATE FUNCTION page(filter int, "limit" int) RETURNS SETOF users LANGUAGE sql STABLE AS 'SELECT * FROM users';
		GRANT USAGE ON SCHEMA other TO service_role;
		GRANT ALL ON ALL TABLES IN SCHEMA public, other TO service_role`, "service_role", "public", "other")
	if got := fields(t, s, "Users"); !strings.HasPrefix(got, "id data userName userName_2 userName_3 mood manager bossId ") {
		t.Errorf("Users: %s", got)
	}
	if got := fields(t, s, "_1st"); got != "id _2nd u0438U043cU044f unnamed" {
		t.Errorf("_1st: %s", got)
	}
	query := strings.Fields(fields(t, s, "Query"))
	for _, want := range []string{"_health", "users", "user", "usersByKey", "userByKey", "usersAggregate", "otherUsers", "otherUsers_2", "_1st", "users_2", "page"} {
		if !slices.Contains(query, want) {
			t.Errorf("Query lacks %s: %v", want, query)
		}
	}
	mutation := strings.Fields(fields(t, s, "Mutation"))
	for _, want := range []string{"insertUsers", "insertUser", "insertManyUsers", "insertManyUsers_2", "insertUsers_2", "updateManyUsers"} {
		if !slices.Contains(mutation, want) {
			t.Errorf("Mutation lacks %s: %v", want, mutation)
		}
	}
	// The row that a column points to, where the column's own name is taken by itself.
	users := fields(t, s, "Users")
	for _, want := range []string{" userByManager", " boss", " usersByManager", " usersByBoss", " userByUsers", " userBySecondUsers"} {
		if !strings.Contains(users, want) {
			t.Errorf("Users lacks%s: %s", want, users)
		}
	}
	for name, def := range s.AST.Types {
		seen := map[string]bool{}
		for _, f := range def.Fields {
			if seen[f.Name] {
				t.Errorf("%s has %s twice", name, f.Name)
			}
			seen[f.Name] = true
			arguments := map[string]bool{}
			for _, a := range f.Arguments {
				if arguments[a.Name] {
					t.Errorf("%s.%s takes %s twice", name, f.Name, a.Name)
				}
				arguments[a.Name] = true
			}
			if def.Kind == ast.Object && !def.BuiltIn && !strings.HasPrefix(f.Name, "__") && !strings.HasPrefix(name, "__") && s.Field(name, f.Name) == nil {
				t.Errorf("%s.%s stands for nothing", name, f.Name)
			}
		}
	}
	if c, ok := s.Column("UsersInput", "userName_2"); !ok || c != "user_name" {
		t.Errorf("userName_2 is %q", c)
	}
}

// TestNothing: a role that may use nothing has a schema all the same.
func TestNothing(t *testing.T) {
	t.Parallel()
	s := build(t, `CREATE TABLE things (id int PRIMARY KEY); REVOKE ALL ON things FROM anon`, "anon")
	if got := fields(t, s, "Query"); got != "_health" || s.AST.Mutation != nil {
		t.Errorf("Query: %s, Mutation: %v", got, s.AST.Mutation)
	}
}

// TestPartitions are read through their table.
func TestPartitions(t *testing.T) {
	t.Parallel()
	s := build(t, `
		CREATE TABLE logs (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
		CREATE TABLE logs_2024 PARTITION OF logs FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
		GRANT SELECT ON logs, logs_2024 TO anon; REVOKE INSERT, UPDATE, DELETE ON logs, logs_2024 FROM anon`, "anon")
	if got := fields(t, s, "Query"); got != "_health logs logsAggregate log" || s.AST.Mutation != nil {
		t.Errorf("Query: %s", got)
	}
}
