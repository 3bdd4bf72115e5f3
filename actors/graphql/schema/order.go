package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/query"
)

// Order is what a field of an order stands for: a column, the distance of its vectors,
// or a related row by whose columns to order.
type Order struct {
	Column string
	// Distance tells that it is the distance of the column's vectors from one.
	Distance bool
	Via      string
	Table    *Table
}

// OrderInput is the name of the type that an order by rows of the table is of.
func (t *Table) OrderInput() string { return t.order }

// Directions are the values of an order's enum.
var Directions = map[string]query.Order{
	"ASC":              {},
	"ASC_NULLS_FIRST":  {Nulls: query.NullsFirst},
	"ASC_NULLS_LAST":   {Nulls: query.NullsLast},
	"DESC":             {Desc: true},
	"DESC_NULLS_FIRST": {Desc: true, Nulls: query.NullsFirst},
	"DESC_NULLS_LAST":  {Desc: true, Nulls: query.NullsLast},
}

var directionNames = []struct{ name, description string }{
	{"ASC", "Ascending, nulls last."}, {"ASC_NULLS_FIRST", ""}, {"ASC_NULLS_LAST", ""},
	{"DESC", "Descending, nulls first."}, {"DESC_NULLS_FIRST", ""}, {"DESC_NULLS_LAST", ""},
}

// orderable tells whether values of a class have an order.
func orderable(c Class) bool { return c != Opaque && c != JSON && c != Search }

// nameOrders says which tables can be ordered, before their orders speak of each
// other.
func (b *builder) nameOrders() {
	for _, t := range b.tableList {
		for _, f := range t.fields {
			if orderable(f.Leaf.Class) || f.vectors {
				t.order = t.Type + "OrderBy"
			}
		}
	}
}

// defineOrder adds the order of a table: one column each, or one of a related row.
func (b *builder) defineOrder(t *Table) {
	if t.order == "" {
		return
	}
	direction := &ast.Definition{Kind: ast.Enum, Name: t.Type + "OrderDirection"}
	for _, d := range directionNames {
		direction.EnumValues = append(direction.EnumValues, &ast.EnumValueDefinition{Name: d.name, Description: d.description})
	}
	b.add(direction)
	def := &ast.Definition{
		Kind: ast.InputObject, Name: t.order, Description: "What rows of " + t.Type + " are ordered by: one of these.",
		Directives: ast.DirectiveList{{Name: "oneOf", Position: position}},
	}
	known := map[string]*Order{}
	for _, f := range t.fields {
		if orderable(f.Leaf.Class) {
			def.Fields = append(def.Fields, &ast.FieldDefinition{Name: f.Name, Type: ast.NamedType(direction.Name, nil), Position: position})
			known[f.Name] = &Order{Column: f.Column}
		}
	}
	for _, f := range t.fields {
		if f.vectors {
			name := t.taken.take(f.Name + "Distance")
			def.Fields = append(def.Fields, &ast.FieldDefinition{Name: name, Type: b.distanceType(), Position: position})
			known[name] = &Order{Column: f.Column, Distance: true}
		}
	}
	for _, f := range t.relations {
		if f.Kind == RelatedField && !f.Many && f.Table.order != "" {
			def.Fields = append(def.Fields, &ast.FieldDefinition{Name: f.Name, Type: ast.NamedType(f.Table.order, nil), Position: position})
			known[f.Name] = &Order{Via: f.Via, Table: f.Table}
		}
	}
	b.schema.orders[t.order] = known
	b.add(def)
}
