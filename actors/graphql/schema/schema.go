// Package schema makes a typed GraphQL schema of what a database role may use.
//
// A table or view is an object type, named for it: order_items is OrderItems, its
// columns are fields, created_at is createdAt. What the role has no privilege for is
// not in its schema, so that it is neither told of nor offered. A Schema knows for
// each of its names what it stands for in the database; it compiles nothing itself.
package schema

import (
	"cmp"
	"slices"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/validator"

	"fluxbase/persistence/catalog"
)

// Schema is what a role may ask for. It is immutable and safe for use by many
// goroutines.
type Schema struct {
	// AST is the schema in the form that documents are checked against.
	AST *ast.Schema
	// Tables are by the names of their object types.
	Tables map[string]*Table

	objects map[string]map[string]*Field
	// filters, orders and inputs say what the fields of input types stand for, by the
	// names of the types.
	filters map[string]map[string]*Condition
	orders  map[string]map[string]*Order
	inputs  map[string]map[string]string
	columns map[string]map[string]string
}

// Table is a relation as an object type.
type Table struct {
	Relation *catalog.Relation
	// Type is the name of the object type.
	Type string

	fields    []*Field
	relations []*Field
	// hidden are columns that the role may write and not read.
	hidden []*Field
	keys   []keyArgument
	taken  names
	// The names of the types around it; empty where it has none.
	filter, order, input, column, conflict, aggregate string
}

// Field finds what a field of an object type stands for; nil for what the schema does
// not have, and for what GraphQL adds to every type.
func (s *Schema) Field(object, field string) *Field { return s.objects[object][field] }

// Condition finds what a field of a filter stands for.
func (s *Schema) Condition(input, field string) *Condition { return s.filters[input][field] }

// Order finds what a field of an order stands for.
func (s *Schema) Order(input, field string) *Order { return s.orders[input][field] }

// Column finds the column that a field of a row to write stands for.
func (s *Schema) Column(input, field string) (string, bool) {
	name, ok := s.inputs[input][field]
	return name, ok
}

// ColumnOf finds the column that a value of an enum of columns stands for.
func (s *Schema) ColumnOf(enum, value string) (string, bool) {
	name, ok := s.columns[enum][value]
	return name, ok
}

// builder gathers the definitions of a schema.
type builder struct {
	role      string
	snapshot  *catalog.Snapshot
	schema    *Schema
	types     names
	enums     map[uint32]string
	tables    map[*catalog.Relation]*Table
	tableList []*Table
	document  *ast.SchemaDocument
	conflicts bool // the type of what becomes of a conflict is there
	// distance is the name of the type of orders by distance; empty until one is made.
	distance string
}

// position stands for places in a source, which a schema that is built has none of.
var position = &ast.Position{Src: &ast.Source{Name: "schema"}}

func (b *builder) add(d *ast.Definition) {
	d.Position = position
	b.document.Definitions = append(b.document.Definitions, d)
}

// Build makes the schema of a database role over a snapshot of the catalogue.
func Build(snapshot *catalog.Snapshot, role string) (*Schema, error) {
	b := &builder{
		role: role, snapshot: snapshot, types: names{}, enums: map[uint32]string{}, tables: map[*catalog.Relation]*Table{},
		document: validator.PreludeDocument(),
		schema: &Schema{
			Tables: map[string]*Table{}, objects: map[string]map[string]*Field{}, filters: map[string]map[string]*Condition{},
			orders: map[string]map[string]*Order{}, inputs: map[string]map[string]string{}, columns: map[string]map[string]string{},
		},
	}
	// Answers are given whole.
	b.document.Directives = slices.DeleteFunc(b.document.Directives, func(d *ast.DirectiveDefinition) bool { return d.Name == "defer" })
	for _, d := range b.document.Definitions {
		b.types[d.Name] = true
	}
	for _, name := range []string{"Query", "Mutation", "Subscription", conflictAction} {
		b.types[name] = true
	}
	for _, s := range scalars {
		b.types[s.name] = true
		def := &ast.Definition{Kind: ast.Scalar, Name: s.name, Description: s.description}
		if s.specification != "" {
			def.Directives = ast.DirectiveList{{Name: "specifiedBy", Position: position, Arguments: ast.ArgumentList{{
				Name: "url", Position: position, Value: &ast.Value{Raw: s.specification, Kind: ast.StringValue, Position: position},
			}}}}
		}
		b.add(def)
	}
	b.nameTables()
	for _, t := range b.tableList {
		b.addFields(t)
	}
	for _, t := range b.tableList {
		b.addRelations(t)
	}
	b.nameOrders()
	for _, t := range b.tableList {
		t.filter, t.aggregate = t.Type+"Filter", t.Type+"Aggregate"
	}
	for _, t := range b.tableList {
		b.define(t)
	}
	b.roots()
	var err error
	b.schema.AST, err = validator.ValidateSchemaDocument(b.document)
	return b.schema, err
}

// nameTables finds the relations that the role may read and names their types. Those
// of the default schema come first and have their names to themselves; a partition
// is read through its table.
func (b *builder) nameTables() {
	relations := slices.DeleteFunc(b.snapshot.Relations(), func(r *catalog.Relation) bool {
		return r.Partition || !slices.ContainsFunc(r.Columns, func(c catalog.Column) bool {
			return r.GrantedColumn(b.role, catalog.Select, c.Name)
		})
	})
	slices.SortStableFunc(relations, func(a, c *catalog.Relation) int {
		return cmp.Compare(b.foreign(a.Schema), b.foreign(c.Schema))
	})
	for _, r := range relations {
		t := &Table{Relation: r, Type: b.typeName(b.qualified(r))}
		b.tables[r], b.schema.Tables[t.Type] = t, t
		b.tableList = append(b.tableList, t)
	}
}

// qualified is the name of a relation, with its schema unless that is the default one.
func (b *builder) qualified(r *catalog.Relation) string {
	if r.Schema == b.snapshot.DefaultSchema() {
		return r.Name
	}
	return r.Schema + "_" + r.Name
}

// derived are what is put behind the name of a table's type to name the types around
// it.
var derived = []string{"", "Filter", "OrderBy", "OrderDirection", "Input", "Column", "OnConflict", "Aggregate", "Sum", "Avg", "Min", "Max", "Group", "GroupKey"}

// typeName takes the name of a table's type, and those around it.
func (b *builder) typeName(name string) string {
	wanted, probe := pascal(name), names{}
	for {
		base := probe.take(wanted)
		if !slices.ContainsFunc(derived, func(suffix string) bool { return b.types[base+suffix] }) {
			for _, suffix := range derived {
				b.types[base+suffix] = true
			}
			return base
		}
	}
}

// table finds the object type of a relation; nil when the role may not read it.
func (b *builder) table(schema, name string) *Table {
	r, ok := b.snapshot.Relation(schema, name)
	if !ok {
		return nil
	}
	return b.tables[r]
}
