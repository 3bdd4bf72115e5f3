package catalog_test

import (
	"fmt"
	"strings"
	"testing"

	"fluxbase/persistence/db/dbtest"
)

func TestRoutines(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE t (id int, name text);
		CREATE FUNCTION f(a int, b text DEFAULT 'x', VARIADIC c int[] DEFAULT '{}') RETURNS SETOF t LANGUAGE sql STABLE AS 'SELECT * FROM t';
		CREATE FUNCTION f(json) RETURNS json LANGUAGE sql IMMUTABLE RETURN $1;
		CREATE FUNCTION outs(INOUT x int, OUT y text) LANGUAGE sql IMMUTABLE AS 'SELECT 1, ''a''::text';
		CREATE FUNCTION tab(n int) RETURNS TABLE (k int, v text) LANGUAGE sql IMMUTABLE AS 'SELECT 1, ''a''::text';
		CREATE FUNCTION trig() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN new; END';
		CREATE PROCEDURE proc() LANGUAGE sql AS '';
		CREATE SCHEMA hidden; CREATE FUNCTION hidden.g() RETURNS int LANGUAGE sql RETURN 1`)
	s := open(t, d).Current()
	for name, want := range map[string]string{
		"f":    "(a integer, b? text, c?... integer[]) set of t of t [id name] | ( json) json",
		"outs": "(x integer) record [x y]", "tab": "(n integer) set of record [k v]", "trig": "", "proc": "",
	} {
		var all []string
		for _, r := range s.Routines("", name) {
			var parameters, columns []string
			for _, p := range r.Parameters {
				mark := ""
				if p.Optional {
					mark += "?"
				}
				if p.Variadic {
					mark += "..."
				}
				parameters = append(parameters, p.Name+mark+" "+p.TypeName)
			}
			for _, c := range r.Columns {
				columns = append(columns, c.Name)
			}
			text := "(" + strings.Join(parameters, ", ") + ") "
			if r.Set {
				text += "set of "
			}
			text += r.Type.Name
			if r.Relation != nil {
				text += " of " + r.Relation.Name
			}
			if columns != nil {
				text += fmt.Sprint(" ", columns)
			}
			all = append(all, text)
		}
		if got := strings.Join(all, " | "); got != want {
			t.Errorf("%s\n got %s\nwant %s", name, got, want)
		}
	}
	if s.Routines("hidden", "g") != nil {
		t.Error("a function of a hidden schema can be called")
	}
}
