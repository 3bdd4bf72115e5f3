package sql

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	pgquery "github.com/wasilibs/go-pgquery"
	"pgregory.net/rapid"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
)

// tree is what PostgreSQL's own grammar reads out of a statement.
type tree struct {
	// shape is the tree with every text replaced by a number in the order of their
	// first appearance, blank without even that.
	shape, blank string
	// texts are the replaced texts.
	texts []string
}

var numbered = regexp.MustCompile(`"text [0-9]+"`)

// treeOf parses one statement.
func treeOf(sql string) (*tree, error) {
	raw, err := pgquery.ParseToJSON(sql)
	if err != nil {
		return nil, err
	}
	var parsed struct {
		Stmts []struct{ Stmt any }
	}
	if err := json.Unmarshal([]byte(raw), &parsed); err != nil {
		return nil, err
	}
	if len(parsed.Stmts) != 1 {
		return nil, fmt.Errorf("%d statements", len(parsed.Stmts))
	}
	out := &tree{}
	numbers := map[string]int{}
	var walk func(v any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case string:
			n, known := numbers[v]
			if !known {
				n = len(numbers)
				numbers[v] = n
				out.texts = append(out.texts, v)
			}
			return fmt.Sprint("text ", n)
		case []any:
			for i := range v {
				v[i] = walk(v[i])
			}
			return v
		case map[string]any:
			delete(v, "location") // a byte of the text
			for _, key := range slices.Sorted(maps.Keys(v)) {
				v[key] = walk(v[key])
			}
			return v
		}
		return v
	}
	text, err := json.Marshal(walk(parsed.Stmts[0].Stmt))
	out.shape = string(text)
	out.blank = numbered.ReplaceAllString(out.shape, "text")
	return out, err
}

// apart tells whether names and values, and the labels that a plant makes of values,
// are all different from each other and from words, and too short to be cut.
func apart(names, values, words []string) bool {
	seen := map[string]bool{}
	for _, w := range words {
		seen[w] = true
	}
	all := slices.Concat(names, values)
	for _, v := range values {
		for letter := 'a'; letter <= 's'; letter++ {
			all = append(all, string(letter)+v)
		}
	}
	for _, text := range all {
		if seen[text] || len(text) > 20 {
			return false
		}
		seen[text] = true
	}
	return true
}

// odd draws names that PostgreSQL allows and hardly anybody uses: quotes, dots,
// operators, reserved words, other scripts, white space, and as many bytes as there
// may be.
func odd() *rapid.Generator[string] {
	return rapid.OneOf(
		hostile(),
		rapid.SampledFrom([]string{"select", "user", "table", "NULL", "true", "order", "group", "from", "public", "pg_catalog", "a.b", `a"."b`, "a b", " a", "a ", "\t", "\n", "\r\n", "\x01", "\x7f", "Ä", "ä", "İ", "ı", "名前", "😀", "e\u0301", "\u202e", "\u00a0", "\ufeff",
			strings.Repeat("x", 63), strings.Repeat("é", 31), strings.Repeat(`"`, 63), strings.Repeat("$", 20), "$body$", "body", "page", "item", "counted", "element", "field", "key_1", "fresh", "one", "?", "%s", "%", ":name", "@x", "#", "~", "`", "1", "1e5", "U&", "E'", "x::int", "--\n", "/* */", "x/*", "*/"}),
		rapid.StringN(1, 63, 63),
	).Filter(func(name string) bool {
		return name != "" && len(name) <= 63 && utf8.ValidString(name) && !strings.Contains(name, "\x00")
	})
}

// requests are all kinds of statements over a world, with texts from a plant.
var requests = []struct {
	name    string
	compile func(r relations, p *plant) (*Plan, error)
}{
	{"any", func(r relations, p *plant) (*Plan, error) { return p.compile(r) }},
	{"update", func(r relations, p *plant) (*Plan, error) {
		return Update(r, &query.Update{Relation: p.relation, Body: query.Body{JSON: []byte(p.value()), Rows: 1, Keys: p.columns[:6]}, Where: p.condition(3),
			Order: []query.Order{{Path: query.Column(p.columns[p.draw(6)])}}, Page: query.Page{Limit: query.NoLimit, Offset: int64(p.draw(2))},
			Returning: query.Returning{Rows: p.draw(2) == 0, Truncate: p.draw(3)}}, p.options())
	}},
	{"deletion", func(r relations, p *plant) (*Plan, error) {
		return Delete(r, &query.Delete{From: p.relation, Where: p.condition(3), Page: query.Page{Limit: query.NoLimit}, Returning: query.Returning{Rows: p.draw(2) == 0}}, p.options())
	}},
	{"insert", func(r relations, p *plant) (*Plan, error) {
		return Insert(r, &query.Insert{Into: p.relation, Body: query.Body{JSON: []byte(p.value()), Array: true, Rows: 2, Keys: p.columns[:6], Common: p.columns[:3], Uniform: p.draw(2) == 0},
			Conflict: query.Conflict(p.draw(3)), Missing: query.MissingDefaultMerge, Returning: query.Returning{Rows: p.draw(2) == 0}}, p.options())
	}},
	{"updates by key", func(r relations, p *plant) (*Plan, error) {
		return UpdateEach(r, &query.UpdateEach{Relation: p.relation, Where: p.condition(2),
			Body: query.Body{JSON: []byte(p.value()), Array: true, Rows: 2, Keys: p.columns[:4], Common: p.columns[:3]}}, p.options())
	}},
	{"groups", func(r relations, p *plant) (*Plan, error) {
		return Select(r, &query.Select{From: p.relation, Where: p.condition(2), Group: []query.Path{query.Column(p.columns[0]), {Column: p.columns[2], Steps: []query.Step{{Key: p.value(), Text: true}}}},
			Fields: query.Projection{&query.Aggregate{Function: "sum", Of: &query.Field{Path: query.Column(p.columns[1])}, Alias: "s" + p.value()}}, Count: query.Count(p.draw(4)), Page: query.Page{Limit: 2}}, p.options())
	}},
	{"truncated", func(r relations, p *plant) (*Plan, error) {
		return Select(r, &query.Select{From: p.relation, Truncate: 1 + p.draw(5), Where: p.condition(2), Page: query.Page{Limit: query.NoLimit}}, p.options())
	}},
	{"document", func(r relations, p *plant) (*Plan, error) {
		rel, _ := r.Relation(p.relation.Schema, p.relation.Name)
		related := &query.Related{Via: rel.Relationships[p.draw(2)].Key(), Where: nil}
		if p.draw(2) == 0 {
			related = &query.Related{Via: rel.Relationships[0].Key(), Where: query.Untrue{Condition: &query.Compare{Path: query.Column(p.columns[7]), Op: query.Equal, Value: p.value()}}}
		}
		fields := query.Projection{&query.Field{Path: query.Column(p.columns[0]), Alias: "k" + p.value()},
			&query.Object{Alias: "l" + p.value(), Fields: query.Projection{&query.Field{Path: query.Column(p.columns[1]), Alias: "m" + p.value()}, &query.Constant{Alias: "n", Text: p.value()}}}}
		list := query.Select{From: p.relation, Fields: fields, Where: query.And{p.condition(2), query.Not{Condition: related}}, Page: query.Page{Limit: 3},
			Order: []query.Order{{Path: query.Column(p.columns[p.draw(6)])}}}
		return Read(r, []query.Root{{Select: list}, {Select: list, Shape: query.ShapeObject}}, p.options())
	}},
	{"call", func(r relations, p *plant) (*Plan, error) {
		text := &catalog.Type{Schema: "pg_catalog", Name: "text", Kind: catalog.Base, Category: 'S'}
		routine := &catalog.Routine{Schema: p.relation.Schema, Name: p.relation.Name, Set: true, Type: text,
			Parameters: []catalog.Parameter{{Name: p.columns[7], Type: text}}, Columns: []catalog.Column{{Name: p.columns[0], Type: text}}}
		q := &query.Call{Page: query.Page{Limit: 2}, Where: &query.Compare{Path: query.Column(p.columns[0]), Op: query.Equal, Value: p.value()}}
		if p.draw(2) == 0 {
			q.Texts = []query.Text{{Name: p.columns[7], Value: p.value()}}
		} else {
			q.Body = query.Body{JSON: []byte(p.value()), Keys: []string{p.columns[7]}}
		}
		called, err := Call(r, routine, false, q, p.options())
		if err != nil {
			return nil, err
		}
		return called.Plan, nil
	}},
}

// options are the options of a statement, with what a write may be asked beside.
func (p *plant) options() Options {
	o := Options{MaxEmbedded: 5, Form: Form(p.draw(3)), MaxAffected: int64(p.draw(2) * 10)}
	switch p.draw(3) {
	case 0:
		o.Keep = []byte(p.value())
	case 1:
		o.Bound = &Bound{Least: 1, Most: 2, Fresh: p.draw(2) == 0}
	}
	return o
}

// TestNamesStayNames compiles the same trees with plain and with odd names and
// values. PostgreSQL's own grammar reads one statement of the same shape out of
// both, and in place of each name exactly that name.
func TestNamesStayNames(t *testing.T) {
	t.Parallel()
	compiled, compared := map[string]int{}, 0
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(odd(), 11, 11, rapid.ID[string]).Draw(t, "names")
		values := rapid.SliceOfN(hostile(), 5, 5).Draw(t, "values")
		shape := rapid.SliceOfN(rapid.IntRange(0, 1000), 17, 17).Draw(t, "shape")
		request := rapid.SampledFrom(requests).Draw(t, "request")
		compile := func(names, values []string) (*Plan, error) {
			r, columns := world(names)
			return request.compile(r, &plant{relation: query.Relation{Schema: names[0], Name: names[1]}, columns: columns, values: values, shape: shape})
		}
		plainNames := []string{"s9", "t9", "a9", "b9", "c9", "d9", "e9", "f9", "u9", "g9", "h9"}
		oddPlan, err := compile(names, values)
		if err != nil {
			return // a label or a value that PostgreSQL cannot take
		}
		plainPlan, err := compile(plainNames, []string{"1", "2", "3", "4", "5"})
		if err != nil {
			t.Fatalf("the plain tree is refused: %v", err)
		}
		for _, statement := range []func(*Plan) string{func(p *Plan) string { return p.SQL }, func(p *Plan) string { return p.Explain }} {
			hostileSQL, plainSQL := statement(oddPlan), statement(plainPlan)
			if (hostileSQL == "") != (plainSQL == "") {
				t.Fatalf("%q and %q", hostileSQL, plainSQL)
			}
			if hostileSQL == "" {
				continue
			}
			got, err := treeOf(hostileSQL)
			if err != nil {
				t.Fatalf("%v\n%s", err, hostileSQL)
			}
			want, err := treeOf(plainSQL)
			if err != nil {
				t.Fatalf("%v\n%s", err, plainSQL)
			}
			// Equal texts have one number, and a name that is cut may become another:
			// these are compared without numbers.
			distinct := apart(names, values, want.texts)
			if distinct {
				compared++
			}
			if distinct && got.shape != want.shape || got.blank != want.blank {
				t.Fatalf("the shape changed\nhostile %s\n  plain %s", hostileSQL, plainSQL)
			}
			for i, plain := range plainNames {
				if slices.Contains(want.texts, plain) && !slices.Contains(got.texts, names[i]) {
					t.Fatalf("the name %q is not in\n%s", names[i], hostileSQL)
				}
			}
			if request.name != "any" {
				compiled[request.name]++
			}
		}
	})
	t.Logf("compared %d shapes, compiled %v", compared, compiled)
	if compared == 0 {
		t.Error("no shapes were compared with their numbers")
	}
	for _, r := range requests[1:] {
		if compiled[r.name] == 0 {
			t.Errorf("no %s was compiled", r.name)
		}
	}
}
