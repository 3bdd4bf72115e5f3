package data

import (
	"strings"
	"testing"

	"fluxbase/persistence/query"
)

// The catalogue of these tests is read once: whatever changes afterwards is unknown
// to the worker until it asks again. Rows are those of the newest schema all the
// same, in statements that were prepared before, too.
func TestRowsOfASchemaThatHasChanged(t *testing.T) {
	b := setup(t, `CREATE TABLE a (id int PRIMARY KEY, v text, w timestamptz); INSERT INTO a VALUES (1, 'x', '2024-01-01 00:00+00')`)
	service := b.Service()
	rows := func() string { return string(must[*Page](b, &List{Caller: service, Query: selection("a", nil)}).JSON) }
	total := func() string {
		q := selection("a", nil)
		q.Count = query.CountExact
		return string(must[*Page](b, &List{Caller: service, Query: q}).JSON)
	}
	written := func() string {
		returning := query.Returning{Rows: true}
		return string(must[*Written](b, &Update{Caller: service, Query: &query.Update{Relation: from("a"), Body: body(b, `{"id":1}`),
			Where: eq("id", "1"), Page: query.Page{Limit: query.NoLimit}, Returning: returning}}).JSON)
	}
	one := func() string {
		q := selection("a", nil)
		q.Order = nil
		return "[" + string(must[*Record](b, &Get{Caller: service, ID: "1", Query: q}).JSON) + "]"
	}
	exported := func() string {
		var out strings.Builder
		must[*Exported](b, &Export{Caller: service, Query: selection("a", nil), Format: JSON, Out: &out})
		return out.String()
	}
	all := map[string]func() string{"list": rows, "counted": total, "written": written, "one": one, "exported": exported}
	expect := func(what, want string) {
		t.Helper()
		for kind, get := range all {
			if got := get(); got != want {
				t.Errorf("%s, %s: %s, want %s", what, kind, got, want)
			}
		}
	}
	expect("as it was", `[{"id":1,"v":"x","w":"2024-01-01T00:00:00+00:00"}]`)
	for _, c := range []struct{ ddl, want string }{
		{`ALTER TABLE a ALTER v TYPE text[] USING ARRAY[v, 'y']`, `[{"id":1,"v":["x","y"],"w":"2024-01-01T00:00:00+00:00"}]`},
		{`ALTER TABLE a ALTER v TYPE uuid USING '11111111-1111-1111-1111-111111111111'`, `[{"id":1,"v":"11111111-1111-1111-1111-111111111111","w":"2024-01-01T00:00:00+00:00"}]`},
		{`ALTER TABLE a ALTER w TYPE int USING 7`, `[{"id":1,"v":"11111111-1111-1111-1111-111111111111","w":7}]`},
		{`ALTER TABLE a RENAME v TO renamed`, `[{"id":1,"renamed":"11111111-1111-1111-1111-111111111111","w":7}]`},
		{`ALTER TABLE a DROP renamed`, `[{"id":1,"w":7}]`},
	} {
		b.Exec(c.ddl)
		expect(c.ddl, c.want)
	}
	// What is not named anywhere is noticed where the columns come as they are.
	b.Exec(`ALTER TABLE a ADD n int[] DEFAULT '{1}'`)
	if got, want := rows(), `[{"id":1,"w":7,"n":[1]}]`; got != want {
		t.Errorf("added: %s, want %s", got, want)
	}
}
