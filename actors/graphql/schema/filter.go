package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/query"
)

// Condition is what a field of a filter stands for.
type Condition struct {
	Kind ConditionKind
	// Column, Op and Leaf are those of a comparison.
	Column string
	Op     query.Operator
	Leaf   *Leaf
	// Via is the key of the relationship, Table what it leads to, of a condition on
	// related rows.
	Via   string
	Table *Table
}

// Filter is the name of the type that the condition's own filters are of.
func (c *Condition) Filter() string { return c.Table.filter }

// ConditionKind is the kind of a condition.
type ConditionKind uint8

// The kinds of conditions.
const (
	// Comparison compares a column with a value.
	Comparison ConditionKind = iota
	// IsNull takes whether the column is null.
	IsNull
	// All, Any and None join filters.
	All
	Any
	None
	// HasSome, HasNone and HasOnly say how many related rows match: one at least, none,
	// all of them. Lacks takes whether there is no related row.
	HasSome
	HasNone
	HasOnly
	Lacks
)

// Names of the operators in a filter, behind the name of the column.
var operators = []struct {
	suffix string
	op     query.Operator
	of     []Class
}{
	{"_eq", query.Equal, []Class{Text, Number, Time, UUID, Boolean, Enum, JSON, Array, Range, Other}},
	{"_neq", query.NotEqual, []Class{Text, Number, Time, UUID, Boolean, Enum, JSON, Array, Range, Other}},
	{"_gt", query.Greater, []Class{Text, Number, Time, Enum}},
	{"_gte", query.GreaterOrEqual, []Class{Text, Number, Time, Enum}},
	{"_lt", query.Less, []Class{Text, Number, Time, Enum}},
	{"_lte", query.LessOrEqual, []Class{Text, Number, Time, Enum}},
	{"_like", query.Like, []Class{Text}},
	{"_ilike", query.ILike, []Class{Text}},
	{"_match", query.Match, []Class{Text}},
	{"_imatch", query.IMatch, []Class{Text}},
	{"_search", query.WebTextSearch, []Class{Text, Search}},
	{"_in", query.In, []Class{Text, Number, Time, UUID, Enum, Other}},
	{"_contains", query.Contains, []Class{JSON, Array, Range}},
	{"_contained_by", query.ContainedBy, []Class{JSON, Array, Range}},
	{"_overlaps", query.Overlaps, []Class{Array, Range}},
}

// defineFilter adds the filter of a table. Conditions beside each other must all
// hold.
func (b *builder) defineFilter(t *Table) {
	def := &ast.Definition{Kind: ast.InputObject, Name: t.filter, Description: "Conditions on rows of " + t.Type + ", which must all hold."}
	known := map[string]*Condition{}
	add := func(name string, typ *ast.Type, c *Condition, description string) {
		def.Fields = append(def.Fields, &ast.FieldDefinition{Name: name, Type: typ, Description: description, Position: position})
		known[name] = c
	}
	list := ast.ListType(ast.NonNullNamedType(t.filter, nil), nil)
	add("_and", list, &Condition{Kind: All, Table: t}, "All of these hold.")
	add("_or", list, &Condition{Kind: Any, Table: t}, "One of these holds at least.")
	add("_not", ast.NamedType(t.filter, nil), &Condition{Kind: None, Table: t}, "This does not hold.")
	for _, f := range t.fields {
		for _, o := range operators {
			if !contains(o.of, f.Leaf.Class) {
				continue
			}
			typ := f.Leaf.Type
			switch o.op {
			case query.In:
				element := *typ
				element.NonNull = true
				typ = ast.ListType(&element, nil)
			case query.WebTextSearch:
				typ = ast.NamedType("String", nil)
			}
			add(f.Name+o.suffix, typ, &Condition{Kind: Comparison, Column: f.Column, Op: o.op, Leaf: f.Leaf}, "")
		}
		add(f.Name+"_is_null", ast.NamedType("Boolean", nil), &Condition{Kind: IsNull, Column: f.Column}, "")
	}
	for _, f := range t.relations {
		if f.Kind != RelatedField {
			continue
		}
		typ := ast.NamedType(f.Table.filter, nil)
		if f.Many {
			add(f.Name, typ, &Condition{Kind: HasSome, Via: f.Via, Table: f.Table}, "One at least of the related rows matches.")
			add(f.Name+"_none", typ, &Condition{Kind: HasNone, Via: f.Via, Table: f.Table}, "None of the related rows matches.")
			add(f.Name+"_every", typ, &Condition{Kind: HasOnly, Via: f.Via, Table: f.Table}, "All of the related rows match, if there are any.")
			continue
		}
		add(f.Name, typ, &Condition{Kind: HasSome, Via: f.Via, Table: f.Table}, "The related row matches.")
		add(f.Name+"_is_null", ast.NamedType("Boolean", nil), &Condition{Kind: Lacks, Via: f.Via, Table: f.Table}, "There is no related row.")
	}
	b.schema.filters[t.filter] = known
	b.add(def)
}

func contains(list []Class, c Class) bool {
	for _, one := range list {
		if one == c {
			return true
		}
	}
	return false
}
