package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
)

// Field is what a field of an object type stands for.
type Field struct {
	// Name is the field's.
	Name string
	Kind Kind
	// Column is the column of a ColumnField; Leaf is its type.
	Column string
	Leaf   *Leaf
	// Via is the key of the relationship of a related field.
	Via string
	// Table is what the rows of the field are; of an aggregate, what is aggregated.
	Table *Table
	// Function is the aggregate of an AggregateField: sum, avg, min or max.
	Function string
	// Many tells that there may be several related rows.
	Many bool
	// Routine is the function of a CallRoot. It gives values of Leaf, or rows.
	Routine *catalog.Routine

	parameters  []parameter
	result      string // the type of a function's rows that are no table's
	description string
	nullable    bool
	// writable tells whether the role may write the column.
	writable bool
	stored   bool
	// vectors tells that the column holds vectors.
	vectors bool
}

// Kind is the kind of thing that a field stands for.
type Kind uint8

// The kinds of fields.
const (
	// ColumnField is a column, stored or computed.
	ColumnField Kind = iota
	// RelatedField is rows of another table, RelatedAggregate what they are together.
	RelatedField
	RelatedAggregate
	// CountField counts rows, FunctionField is an object with one aggregate of several
	// columns, AggregateField one of them.
	CountField
	FunctionField
	AggregateField
	// Those of Query: a list of rows, one by its key, what the rows of a table are
	// together, and a word that the server lives.
	ListRoot
	SingleRoot
	AggregateRoot
	HealthRoot
	// CallRoot calls a function; Mutation has some, too.
	CallRoot
	// Those of Mutation.
	InsertRoot
	InsertManyRoot
	UpdateRoot
	UpdateManyRoot
	DeleteRoot
	DeleteManyRoot
)

// addFields names the columns of a table and the functions that are read like some.
func (b *builder) addFields(t *Table) {
	taken := names{}
	for i := range t.Relation.Columns {
		c := &t.Relation.Columns[i]
		f := &Field{
			Name: taken.take(camel(c.Name)), Kind: ColumnField, Column: c.Name, Leaf: b.leafOf(c.Type), Table: t,
			description: c.Comment, nullable: c.Nullable || isView(t.Relation), stored: true, vectors: holdsVectors(c.Type),
			writable: c.Writable() && (t.Relation.GrantedColumn(b.role, catalog.Insert, c.Name) || t.Relation.GrantedColumn(b.role, catalog.Update, c.Name)),
		}
		if t.Relation.GrantedColumn(b.role, catalog.Select, c.Name) {
			t.fields = append(t.fields, f)
		} else if f.writable {
			t.hidden = append(t.hidden, f)
		}
	}
	for i := range t.Relation.Computed {
		c := &t.Relation.Computed[i]
		if _, stored := t.Relation.Column(c.Name); stored || !c.Executable(b.role) || !b.wholeRow(t.Relation) {
			continue
		}
		t.fields = append(t.fields, &Field{
			Name: taken.take(camel(c.Name)), Kind: ColumnField, Column: c.Name, Leaf: b.leafOf(c.Type), Table: t, nullable: true,
		})
	}
	t.taken = taken
}

// wholeRow tells whether the role may read every column: a function of a row is given
// all of them.
func (b *builder) wholeRow(r *catalog.Relation) bool {
	for i := range r.Columns {
		if !r.GrantedColumn(b.role, catalog.Select, r.Columns[i].Name) {
			return false
		}
	}
	return true
}

func isView(r *catalog.Relation) bool {
	return r.Kind == catalog.View || r.Kind == catalog.MaterializedView
}

// define adds the types of a table: its object, and those around it.
func (b *builder) define(t *Table) {
	b.defineFilter(t)
	b.defineOrder(t)
	b.defineAggregate(t)
	b.defineInput(t)
	def := &ast.Definition{Kind: ast.Object, Name: t.Type, Description: t.Relation.Comment}
	b.schema.objects[t.Type] = make(map[string]*Field, len(t.fields)+len(t.relations))
	for _, f := range t.fields {
		typ := *f.Leaf.Type
		typ.NonNull = !f.nullable
		b.addField(def, f, &typ)
	}
	for _, f := range t.relations {
		switch {
		case f.Kind == RelatedAggregate:
			b.addField(def, f, ast.NonNullNamedType(f.Table.aggregate, nil), b.filterArgument(f.Table))
		case f.Many:
			b.addField(def, f, ast.NonNullListType(ast.NonNullNamedType(f.Table.Type, nil), nil), b.listArguments(f.Table)...)
		default:
			// A policy may hide a row that a key refers to.
			b.addField(def, f, ast.NamedType(f.Table.Type, nil))
		}
	}
	b.add(def)
}

// addField adds a field to an object type. Arguments that are nil are left out.
func (b *builder) addField(def *ast.Definition, f *Field, t *ast.Type, arguments ...*ast.ArgumentDefinition) {
	field := &ast.FieldDefinition{Name: f.Name, Description: f.description, Type: t, Position: position}
	for _, a := range arguments {
		if a != nil {
			field.Arguments = append(field.Arguments, a)
		}
	}
	def.Fields = append(def.Fields, field)
	if b.schema.objects[def.Name] == nil {
		b.schema.objects[def.Name] = map[string]*Field{}
	}
	b.schema.objects[def.Name][f.Name] = f
}

func argument(name string, t *ast.Type, description string) *ast.ArgumentDefinition {
	return &ast.ArgumentDefinition{Name: name, Type: t, Description: description, Position: position}
}

// filterArgument is the argument that narrows the rows of a table; nil for a table
// that has nothing to filter by.
func (b *builder) filterArgument(t *Table) *ast.ArgumentDefinition {
	if t.filter == "" {
		return nil
	}
	return argument("filter", ast.NamedType(t.filter, nil), "What the rows must match; all of it.")
}

// listArguments are the arguments of a list of rows of a table.
func (b *builder) listArguments(t *Table) []*ast.ArgumentDefinition {
	list := []*ast.ArgumentDefinition{b.filterArgument(t), nil}
	if t.order != "" {
		list[1] = argument("orderBy", ast.ListType(ast.NonNullNamedType(t.order, nil), nil), "What the rows are ordered by, the first one first.")
	}
	return append(list, b.pageArguments()...)
}

// pageArguments are those of anything that there may be many of.
func (b *builder) pageArguments() []*ast.ArgumentDefinition {
	return []*ast.ArgumentDefinition{
		argument("limit", ast.NamedType("Int", nil), "How many rows there are at most. The server has a limit of its own."),
		argument("offset", ast.NamedType("Int", nil), "How many rows are passed over."),
	}
}
