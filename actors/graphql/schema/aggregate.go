package schema

import "github.com/vektah/gqlparser/v2/ast"

// aggregates are the functions of columns, with the field that they are given under.
var aggregates = []struct {
	name, suffix string
	of           []Class
}{
	{"sum", "Sum", []Class{Number}},
	{"avg", "Avg", []Class{Number}},
	{"min", "Min", []Class{Number, Text, Time, Enum}},
	{"max", "Max", []Class{Number, Text, Time, Enum}},
}

// defineAggregate adds the type of what rows of a table are together.
func (b *builder) defineAggregate(t *Table) {
	def := &ast.Definition{Kind: ast.Object, Name: t.aggregate, Description: "What rows of " + t.Type + " are together."}
	b.addField(def, &Field{Name: "count", Kind: CountField, description: "How many rows there are."}, ast.NonNullNamedType("Int", nil))
	for _, a := range aggregates {
		of := &ast.Definition{Kind: ast.Object, Name: t.Type + a.suffix}
		for _, f := range t.fields {
			if !contains(a.of, f.Leaf.Class) {
				continue
			}
			leaf := aggregated(a.name, f.Leaf)
			b.addField(of, &Field{Name: f.Name, Kind: AggregateField, Function: a.name, Column: f.Column, Leaf: leaf, Table: t}, leaf.Type)
		}
		if len(of.Fields) == 0 {
			continue
		}
		b.add(of)
		b.addField(def, &Field{Name: a.name, Kind: FunctionField, Function: a.name, Table: t}, ast.NonNullNamedType(of.Name, nil))
	}
	b.add(def)
}

// aggregated is the type of an aggregate of a column.
func aggregated(function string, of *Leaf) *Leaf {
	switch {
	case function == "avg":
		return &Leaf{Type: ast.NamedType("Float", nil), Cast: "float8", Class: Number}
	case function == "sum" && of.Name() == "Int":
		return &Leaf{Type: ast.NamedType("BigInt", nil), Cast: "text", Class: Number}
	case function == "sum" && of.Name() == "BigInt":
		return &Leaf{Type: ast.NamedType("Numeric", nil), Cast: "text", Class: Number}
	}
	return of
}
