package ddl

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

func create(s *Store, t *testing.T, name string, columns ...Column) error {
	t.Helper()
	return s.CreateTable(t.Context(), Table{"public", name}, columns)
}

// TestTypesAndDefaults: a column gets the type and the default that were written, as
// PostgreSQL understands them.
func TestTypesAndDefaults(t *testing.T) {
	d := dbtest.New(t)
	s := New(d.DB, d.Tenant)
	d.Exec(`CREATE TYPE mood AS ENUM ('sad', 'glad'); CREATE DOMAIN age AS int CHECK (VALUE >= 0); GRANT USAGE ON TYPE mood, age TO service_role`)
	for i, c := range []struct{ typeName, expression, want, defaultWant string }{
		{"text", "", "text", ""},
		{"numeric(10,2)", "9.50", "numeric(10,2)", "9.50"},
		{"DECIMAL(10, 2)", "", "numeric(10,2)", ""},
		{"varchar(20)", "'it''s; -- fine'", "character varying(20)", "'it''s; -- fine'::character varying"},
		{"character varying(20)[]", "ARRAY['a', 'b']", "character varying(20)[]", "ARRAY['a'::text, 'b'::text]"},
		{"int[]", "'{}'", "integer[]", "'{}'::integer[]"},
		{"int[3][3]", "", "integer[]", ""},
		{"timestamptz(3)", "now() + interval '1 day'", "timestamp(3) with time zone", "(now() + '1 day'::interval)"},
		{"timestamp with time zone", "CURRENT_TIMESTAMP", "timestamp with time zone", "CURRENT_TIMESTAMP"},
		{"interval day to second(2)", "", "interval day to second(2)", ""},
		{"uuid", "gen_random_uuid()", "uuid", "gen_random_uuid()"},
		{"jsonb", `'{"a": [1, ")"]}'::jsonb`, "jsonb", `'{"a": [1, ")"]}'::jsonb`},
		{"boolean", "(1 > 2) or not false", "boolean", "((1 > 2) OR (NOT false))"},
		{"mood", "'glad'", "mood", "'glad'::mood"},
		{"public.age", "3", "age", "3"},
		{"age[]", "", "age[]", ""},
		{"double precision", "-1.5e3", "double precision", "'-1500'::integer"},
		{"serial", "", "integer", "nextval(%s)"},
		{"BigSerial", "", "bigint", "nextval(%s)"},
		{"bit(3)", "", "bit(3)", ""},
	} {
		name := fmt.Sprintf("t%d", i)
		if err := create(s, t, name, Column{Name: "a", Type: c.typeName, Default: c.expression}, Column{Name: "b", Type: "int", Nullable: true}); err != nil {
			t.Errorf("%s default %s: %v", c.typeName, c.expression, err)
			continue
		}
		var columns, typeName, expression string
		d.QueryRow(`SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0`, &columns, name)
		d.QueryRow(`SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass($1) AND attname = 'a'`, &typeName, name)
		d.QueryRow(`SELECT coalesce((SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = to_regclass($1)), '')`, &expression, name)
		want := strings.Replace(c.defaultWant, "%s", fmt.Sprintf("'%s_a_seq'::regclass", name), 1)
		if columns != "a! b" || typeName != c.want || expression != want && !strings.HasPrefix(expression, strings.TrimSuffix(want, "'::integer")) {
			t.Errorf("%s default %s: columns %s, type %s, default %s; want %s and %s", c.typeName, c.expression, columns, typeName, expression, c.want, want)
		}
	}
}

// TestTablesAreServicesOnly: nobody else has a grant on a table that was made, and it
// has the primary key that was asked for.
func TestTablesAreServicesOnly(t *testing.T) {
	d := dbtest.New(t)
	s := New(d.DB, d.Tenant)
	if err := s.CreateSchema(t.Context(), "shop"); err != nil {
		t.Fatal(err)
	}
	for _, table := range []Table{{"public", "made"}, {"shop", "Made"}} {
		if err := s.CreateTable(t.Context(), table, []Column{{Name: "b", Type: "int", PrimaryKey: true}, {Name: "a", Type: "text", PrimaryKey: true}}); err != nil {
			t.Fatal(err)
		}
		var grants, key string
		d.QueryRow(`SELECT coalesce(string_agg(DISTINCT r, ' '), '') FROM unnest(ARRAY['anon', 'authenticated', 'tenant_service', 'service_role']) r
			WHERE has_any_column_privilege(r, format('%I.%I', $1::text, $2::text), 'SELECT, INSERT, UPDATE') OR has_table_privilege(r, format('%I.%I', $1::text, $2::text), 'DELETE')`, &grants, table.Schema, table.Name)
		d.QueryRow(`SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = format('%I.%I', $1::text, $2::text)::regclass`, &key, table.Schema, table.Name)
		if grants != "service_role" || key != "PRIMARY KEY (b, a)" {
			t.Errorf("%v: grants to %q, %s", table, grants, key)
		}
	}
	schemas, err := s.Schemas(t.Context())
	if err != nil || !slices.ContainsFunc(schemas, func(x Schema) bool { return x.Name == "shop" }) || slices.ContainsFunc(schemas, func(x Schema) bool { return x.Name == "platform" }) {
		t.Errorf("schemas: %v %v", schemas, err)
	}
	tables, err := s.Tables(t.Context(), "shop")
	if err != nil || fmt.Sprint(tables) != "[{shop Made}]" {
		t.Errorf("tables: %v %v", tables, err)
	}
	if err := s.DropTable(t.Context(), Table{"shop", "Made"}); err != nil {
		t.Error(err)
	}
	if tables, _ := s.Tables(t.Context(), "shop"); len(tables) != 0 {
		t.Errorf("after the drop: %v", tables)
	}
}

// TestRefusals: what is wrong is a fault of its own, and leaves nothing behind.
func TestRefusals(t *testing.T) {
	d := dbtest.New(t)
	s := New(d.DB, d.Tenant)
	d.Exec(`CREATE TABLE others (id int PRIMARY KEY); CREATE VIEW seen AS SELECT * FROM others; CREATE SCHEMA foreign_one`)
	column := func(name, typeName, expression string) Column {
		return Column{Name: name, Type: typeName, Default: expression}
	}
	id := column("id", "int", "")
	type refusal struct {
		table   Table
		columns []Column
		want    fault.Code
	}
	var all []refusal
	for _, typeName := range []string{
		"nonsense", "int; drop table others", "int) ; --", "int, b text", "int default 1", "int not null", "int -- x", "int /* x */", "int check (true)", "int references others",
		"setof int", "record", "trigger", "anyelement", "numeric(10,2", "numeric(10;2)", "'int'", `"int"`, "text collate \"C\"", "numeric(2000,2)", "int[", "varchar(0)", "$1", "int\n--", strings.Repeat("x", 300),
		"public.nothing", "noschema.t", "others.id%type",
	} {
		all = append(all, refusal{Table{"public", "t"}, []Column{column("a", typeName, "")}, fault.InvalidInput})
	}
	for _, expression := range []string{
		"1), b int default (2", "1); drop table others; --", "1 -- ", "1 /*", "(1", "1)", "'open", `"open`, "$$a$$", "E'\\''", "[1)", "U&'\\0041'", "\x00", "now()\\g", strings.Repeat("(", 60) + strings.Repeat(")", 60),
		strings.Repeat("1+", 3000) + "1", "\xff",
	} {
		all = append(all, refusal{Table{"public", "t"}, []Column{column("a", "int", expression)}, fault.InvalidInput})
	}
	for _, expression := range []string{"(select count(*) from others)", "1, 2", "a", "unknown_function()", "others.id", "sum(1)", "1 as b", "generate_series(1, 2)"} {
		all = append(all, refusal{Table{"public", "t"}, []Column{column("a", "int", expression)}, ""})
	}
	all = append(all,
		refusal{Table{"public", "t"}, []Column{column("a", "int", "'x'")}, ""},
		refusal{Table{"public", "others"}, []Column{id}, fault.AlreadyExists},
		refusal{Table{"nowhere", "t"}, []Column{id}, fault.NotFound},
		refusal{Table{"auth", "t"}, []Column{id}, fault.InsufficientPermissions},
		refusal{Table{"platform", "t"}, []Column{id}, fault.InsufficientPermissions},
		refusal{Table{"foreign_one", "t"}, []Column{id}, fault.InsufficientPermissions},
		refusal{Table{"public", "select"}, []Column{id}, fault.InvalidInput},
		refusal{Table{"public", "t"}, []Column{column("User", "int", "")}, fault.InvalidInput},
		refusal{Table{"public", `a"b`}, []Column{id}, fault.InvalidInput},
		refusal{Table{"public", "1a"}, []Column{id}, fault.InvalidInput},
		refusal{Table{"public", strings.Repeat("a", 64)}, []Column{id}, fault.InvalidInput},
		refusal{Table{"public", ""}, []Column{id}, fault.MissingRequiredField},
		refusal{Table{"public", "t"}, nil, fault.MissingRequiredField},
		refusal{Table{"public", "t"}, []Column{column("a", "", "")}, fault.MissingRequiredField},
		refusal{Table{"public", "t"}, []Column{id, id}, fault.AlreadyExists},
		refusal{Table{"public", "t"}, make([]Column, 1601), fault.InvalidInput},
	)
	for _, r := range all {
		err := s.CreateTable(t.Context(), r.table, r.columns)
		code := fault.CodeOf(err)
		if err == nil || r.want != "" && code != r.want || code == fault.DatabaseError || code == fault.InternalError {
			t.Errorf("%v %.200v: got %v, want %s", r.table, r.columns, err, r.want)
		}
	}
	for name, want := range map[string]fault.Code{
		"public": fault.AlreadyExists, "pg_mine": fault.InvalidInput, "realtime": fault.InvalidInput, "information_schema": fault.InvalidInput,
		"table": fault.InvalidInput, "a-b": fault.InvalidInput, "": fault.MissingRequiredField,
	} {
		if err := s.CreateSchema(t.Context(), name); fault.CodeOf(err) != want {
			t.Errorf("schema %q: got %v, want %s", name, err, want)
		}
	}
	if err := create(s, t, "parent", Column{Name: "id", Type: "int", PrimaryKey: true}); err != nil {
		t.Fatal(err)
	}
	d.Exec(`CREATE TABLE child (id int REFERENCES parent)`)
	for table, want := range map[Table]fault.Code{
		{"public", "parent"}: fault.Conflict, {"public", "missing"}: fault.TableNotFound, {"nowhere", "t"}: fault.NotFound,
		{"public", "others"}: fault.InsufficientPermissions, {"platform", "tenants"}: fault.InsufficientPermissions, {"public", `x"; drop table others; --`}: fault.TableNotFound,
	} {
		if err := s.DropTable(t.Context(), table); fault.CodeOf(err) != want {
			t.Errorf("drop %v: got %v, want %s", table, err, want)
		}
	}
	tables, err := s.Tables(t.Context(), "public")
	if err != nil || fmt.Sprint(tables) != "[{public child} {public others} {public parent}]" {
		t.Errorf("what is left: %v %v", tables, err)
	}
}
