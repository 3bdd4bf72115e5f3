package sql

import (
	"regexp"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
)

// token splits SQL as PostgreSQL's scanner does, as far as the compiler uses it.
var token = regexp.MustCompile(`"(?:[^"]|"")*"|'(?:[^']|'')*'|\$[0-9]+|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|\s+|.`)

// skeleton is the statement with every quoted identifier made equal.
func skeleton(sql string) string {
	var b strings.Builder
	for _, t := range token.FindAllString(sql, -1) {
		switch {
		case t[0] == '"':
			b.WriteString(`"i"`)
		case strings.TrimSpace(t) == "":
			b.WriteByte(' ')
		default:
			b.WriteString(t)
		}
	}
	return b.String()
}

// hostile draws texts that try to leave their place.
func hostile() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.SampledFrom([]string{`"`, `""`, `'`, `\`, `$1`, `--`, `/*`, `;`, `"; DROP TABLE posts; --`, `' OR '1'='1`, `x" = "x" OR "x`, `\"`, `{`, `}`, `NULL`,
			`::text`, `a"::"b`, `$$`, `E'\''`, `id`, "\u2028", `U&"\0061"`, `)`, `(`, `*`}),
		rapid.StringN(1, 20, 60),
	)
}

// world is a relation whose names are given, with one column of each kind.
func world(names []string) (relations, []string) {
	rel := &Relation{Schema: names[0], Name: names[1]}
	kinds := []struct {
		name string
		kind Kind
	}{{"text", KindText}, {"int8", KindNumber}, {"jsonb", KindJSONB}, {"text", KindArray}, {"tsvector", KindSearch}, {"bool", KindBool}}
	var columns []string
	for i, k := range kinds {
		name := names[2+i]
		rel.Columns = append(rel.Columns, scalar(name, k.name, k.kind))
		columns = append(columns, name)
	}
	rel.Key = columns[:2]
	child := &Relation{Schema: names[0], Name: names[8], Columns: []Column{scalar(names[9], "text", KindText), scalar(names[10], "int8", KindNumber)}}
	relate(rel, child, "")
	out := relations{}
	for _, r := range []*Relation{rel, child} {
		out[r.Schema+"."+r.Name] = r.Index()
	}
	return out, append(columns, child.Name, child.Columns[0].Name, child.Columns[1].Name)
}

// relate makes a foreign key from the first column of many to that of one, and
// lets many stand between one and itself.
func relate(one, many *Relation, constraint string) {
	here, there := []string{one.Columns[0].Name}, []string{many.Columns[0].Name}
	one.Relationships = []catalog.Relationship{
		{Cardinality: catalog.OneToMany, Constraint: constraint, Columns: here, Schema: many.Schema, Name: many.Name, Referenced: there, Inverse: true},
		{Cardinality: catalog.ManyToMany, Columns: here, Schema: one.Schema, Name: one.Name, Referenced: here, Self: true,
			Junction: &catalog.Junction{Schema: many.Schema, Name: many.Name, Near: catalog.Reference{Columns: there}, Far: catalog.Reference{Columns: []string{many.Columns[1].Name}}}},
	}
	many.Relationships = []catalog.Relationship{{Constraint: constraint, Columns: there, Schema: one.Schema, Name: one.Name, Referenced: here}}
}

// plant builds the same trees from any set of texts: the shape is drawn once,
// the texts are put in afterwards.
type plant struct {
	relation        query.Relation
	columns, values []string
	shape           []int
	next            int
}

func (p *plant) draw(n int) int {
	v := p.shape[p.next%len(p.shape)] % n
	p.next++
	return v
}

func (p *plant) value() string { p.next++; return p.values[p.next%len(p.values)] }

func (p *plant) condition(depth int) query.Condition {
	switch p.draw(6) {
	case 0:
		if depth > 0 {
			return query.And{p.condition(depth - 1), p.condition(depth - 1)}
		}
	case 1:
		if depth > 0 {
			return query.Or{p.condition(depth - 1), query.Not{Condition: p.condition(depth - 1)}}
		}
	case 2:
		return &query.Compare{Path: query.Column(p.columns[1]), Op: query.In, Values: []string{p.value(), p.value()}}
	case 3:
		return &query.Compare{Path: query.Path{Column: p.columns[2], Steps: []query.Step{{Key: p.value()}, {Key: p.value(), Text: true}}}, Op: query.Equal, Value: p.value()}
	case 4:
		return &query.Compare{Path: query.Column(p.columns[3]), Op: query.Contains, Value: p.value()}
	}
	switch p.draw(3) {
	case 0:
		return &query.Compare{Path: query.Column(p.columns[4]), Op: query.TextSearch, Language: p.value(), Value: p.value()}
	case 1:
		return &query.Compare{Path: query.Column(p.columns[0]), Op: query.Like, Quantifier: query.QuantifyAny, Values: []string{p.value()}}
	}
	return &query.Compare{Path: query.Column(p.columns[0]), Op: query.Equal, Value: p.value()}
}

func (p *plant) compile(r relations) (*Plan, error) {
	o := Options{Columns: p.draw(2) == 0, Form: Form(p.draw(int(Records) + 1))}
	where := p.condition(3)
	fields := query.Projection{
		&query.Field{Path: query.Column(p.columns[0]), Alias: "a" + p.value()},
		&query.Field{Path: query.Path{Column: p.columns[2], Steps: []query.Step{{Key: p.value()}}}, Alias: "b" + p.value()},
	}
	child := func(spread bool) *query.Embed {
		return &query.Embed{Name: p.columns[6], Alias: "c" + p.value(), Inner: p.draw(2) == 0, Spread: spread, Page: query.Page{Limit: 2},
			Where: &query.Compare{Path: query.Column(p.columns[7]), Op: query.Equal, Value: p.value()}, Order: []query.Order{{Path: query.Column(p.columns[8])}},
			Fields: query.Projection{&query.Field{Path: query.Column(p.columns[7]), Alias: "d" + p.value()},
				&query.Embed{Name: p.relation.Name, Alias: "e" + p.value(), Spread: p.draw(2) == 0, Page: query.Page{Limit: query.NoLimit},
					Fields: query.Projection{&query.Field{Path: query.Column(p.columns[0]), Alias: "f" + p.value()}}}}}
	}
	switch p.draw(4) {
	case 0:
		e := child(false)
		fields = append(fields, e)
		where = query.Or{where, &query.Compare{Path: query.Column(e.Alias), Op: query.Is, Value: "null"}}
	case 1:
		fields = append(fields, child(true))
	case 2:
		fields = append(fields, &query.Embed{Name: p.relation.Name, Hint: p.columns[8], Alias: "g" + p.value(), Page: query.Page{Limit: query.NoLimit},
			Fields: query.Projection{query.Star{}}})
	case 3:
		return Select(r, &query.Select{From: p.relation, Where: where, Page: query.Page{Limit: 3}, Count: query.Count(p.draw(4)), Fields: append(fields, child(false),
			&query.Aggregate{Function: "max", Of: &query.Field{Path: query.Column(p.columns[1])}, Alias: "h" + p.value(), Cast: "text"}),
			Order: []query.Order{{Path: query.Column(fields[0].(*query.Field).Alias)}}}, o)
	}
	order := []query.Order{{Path: query.Column(p.columns[p.draw(6)]), Desc: p.draw(2) == 0}}
	page := query.Page{Limit: 3, Offset: 1}
	switch p.draw(3) {
	case 0:
		return Select(r, &query.Select{From: p.relation, Fields: fields, Where: where, Order: order, Page: page, Count: query.Count(p.draw(4))}, o)
	case 1:
		return Delete(r, &query.Delete{From: p.relation, Where: where, Order: order, Page: page, Returning: query.Returning{Rows: true, Fields: fields}}, o)
	}
	return Insert(r, &query.Insert{Into: p.relation, Body: query.Body{JSON: []byte(p.value()), Rows: 1, Keys: p.columns[:6], Uniform: p.draw(2) == 0},
		Conflict: query.ConflictMerge, Missing: query.MissingDefaultMerge, Returning: query.Returning{Rows: true, Fields: fields}}, o)
}

// TestShape checks that neither names nor values change a statement's shape: the
// same tree with harmless texts has the same skeleton and as many parameters.
func TestShape(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(hostile(), 11, 11, rapid.ID[string]).Draw(t, "names")
		values := rapid.SliceOfN(hostile(), 5, 5).Draw(t, "values")
		shape := rapid.SliceOfN(rapid.IntRange(0, 1000), 17, 17).Draw(t, "shape")
		badWorld, badColumns := world(names)
		bad := &plant{relation: query.Relation{Schema: names[0], Name: names[1]}, columns: badColumns, values: values, shape: shape}
		hostilePlan, err := bad.compile(badWorld)
		if err != nil {
			return // refused: a label or a value that PostgreSQL cannot take
		}
		goodWorld, goodColumns := world([]string{"s", "t", "a", "b", "c", "d", "e", "f", "u", "g", "h"})
		good := &plant{relation: query.Relation{Schema: "s", Name: "t"}, columns: goodColumns, values: []string{"1", "2", "3", "4", "5"}, shape: shape}
		plainPlan, err := good.compile(goodWorld)
		if err != nil {
			t.Fatalf("the harmless tree is refused: %v", err)
		}
		if a, b := skeleton(hostilePlan.SQL), skeleton(plainPlan.SQL); a != b {
			t.Fatalf("the shape changed\nhostile %s\n  plain %s", hostilePlan.SQL, plainPlan.SQL)
		}
		if len(hostilePlan.Args) != len(plainPlan.Args) {
			t.Fatalf("%d parameters, want %d", len(hostilePlan.Args), len(plainPlan.Args))
		}
	})
}

// TestShapeOfCalls does the same for functions, whose names and parameters come
// from the catalogue, and for updates by key.
func TestShapeOfCalls(t *testing.T) {
	t.Parallel()
	compile := func(names, values []string, shape int) ([]*Plan, error) {
		world, columns := world(names)
		text := &catalog.Type{Schema: "pg_catalog", Name: "text", Kind: catalog.Base, Category: 'S'}
		array := &catalog.Type{Schema: "pg_catalog", Name: "_text", Kind: catalog.Array, Category: 'A', Element: text}
		r := &catalog.Routine{Schema: names[0], Name: names[1], Set: true, Type: text, Parameters: []catalog.Parameter{
			{Name: names[9], Type: text}, {Name: names[10], Type: array, Variadic: true}}}
		if shape&1 != 0 {
			r.Columns = []catalog.Column{{Name: names[2], Type: text}, {Name: names[3], Type: text}}
		}
		q := &query.Call{Page: query.Page{Limit: 1}}
		if shape&2 != 0 {
			q.Texts = []query.Text{{Name: names[9], Value: values[0]}, {Name: names[10], Value: values[1]}, {Name: names[10], Value: values[2]}}
		} else {
			q.Body = query.Body{JSON: []byte(values[0]), Keys: []string{names[9], names[10]}}
		}
		if r.Columns != nil {
			q.Where = &query.Compare{Path: query.Column(names[2]), Op: query.Equal, Value: values[3]}
			q.Count = query.Count(shape & 4 / 4)
		}
		called, err := Call(world, r, false, q, Options{})
		if err != nil {
			return nil, err
		}
		each, err := UpdateEach(world, &query.UpdateEach{Relation: query.Relation{Schema: names[0], Name: names[1]},
			Body: query.Body{JSON: []byte(values[0]), Array: true, Rows: 2, Keys: columns[:4], Common: columns[:3]}}, Options{})
		return []*Plan{called.Plan, each}, err
	}
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOfNDistinct(hostile(), 11, 11, rapid.ID[string]).Draw(t, "names")
		values := rapid.SliceOfN(hostile(), 5, 5).Draw(t, "values")
		shape := rapid.IntRange(0, 7).Draw(t, "shape")
		bad, err := compile(names, values, shape)
		if err != nil {
			return // a value that PostgreSQL cannot take
		}
		good, err := compile([]string{"s", "t", "a", "b", "c", "d", "e", "f", "u", "g", "h"}, []string{"1", "2", "3", "4", "5"}, shape)
		if err != nil {
			t.Fatalf("the harmless call is refused: %v", err)
		}
		for i := range bad {
			if a, b := skeleton(bad[i].SQL), skeleton(good[i].SQL); a != b || len(bad[i].Args) != len(good[i].Args) {
				t.Fatalf("the shape changed\nhostile %s\n  plain %s", bad[i].SQL, good[i].SQL)
			}
		}
	})
}

func FuzzLiterals(f *testing.F) {
	for _, s := range []string{"(a,b)", `("a,b",c)`, "{a}", `[1,"x",[2]]`, `{"a":1}`, "1e5", "-"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if got := arrayValue(value); got != value && (got[0] != '{' || got[len(got)-1] != '}') {
			t.Fatalf("array %q of %q", got, value)
		}
		jsonValue(value)
		if numeric(value) && strings.TrimLeft(value, "+-0123456789.eE") != "" {
			t.Fatalf("%q is no number", value)
		}
	})
}
