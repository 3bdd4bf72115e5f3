package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
)

// defineInput adds the type of a row to write, and what an upsert needs. No column is
// demanded: a row to insert may have defaults, and one to update is given in part.
func (b *builder) defineInput(t *Table) {
	def := &ast.Definition{Kind: ast.InputObject, Name: t.Type + "Input", Description: "Columns of a row of " + t.Type + " to write; what is left out takes its default, or stays as it is."}
	known := map[string]string{}
	for _, f := range append(append([]*Field(nil), t.fields...), t.hidden...) {
		if f.stored && f.writable {
			def.Fields = append(def.Fields, &ast.FieldDefinition{Name: f.Name, Type: f.Leaf.Type, Description: f.description, Position: position})
			known[f.Name] = f.Column
		}
	}
	if len(def.Fields) == 0 || !writable(t.Relation) {
		return
	}
	t.input = def.Name
	b.schema.inputs[t.input] = known
	b.add(def)
	b.defineConflict(t)
}

// writable tells whether anything can be written into a relation at all.
func writable(r *catalog.Relation) bool {
	return r.Insertable || r.Updatable || r.Deletable
}

// defineConflict adds what an upsert says about rows that are there already.
func (b *builder) defineConflict(t *Table) {
	if len(t.Relation.PrimaryKey) == 0 && len(t.Relation.Unique) == 0 {
		return
	}
	t.column, t.conflict = t.Type+"Column", t.Type+"OnConflict"
	columns := &ast.Definition{Kind: ast.Enum, Name: t.column, Description: "The columns of " + t.Type + "."}
	known := map[string]string{}
	for _, f := range t.fields {
		if f.stored && isName(f.Name) {
			columns.EnumValues = append(columns.EnumValues, &ast.EnumValueDefinition{Name: f.Name})
			known[f.Name] = f.Column
		}
	}
	b.schema.columns[t.column] = known
	b.add(columns)
	if !b.conflicts {
		b.conflicts = true
		b.add(&ast.Definition{Kind: ast.Enum, Name: conflictAction, EnumValues: ast.EnumValueList{
			{Name: "MERGE", Description: "The row that is there takes the columns that were given."},
			{Name: "IGNORE", Description: "The row that is there stays as it is, and is not in the answer."},
		}})
	}
	b.add(&ast.Definition{Kind: ast.InputObject, Name: t.conflict, Description: "What becomes of a row whose key is there already.", Fields: ast.FieldList{
		{Name: "columns", Type: ast.ListType(ast.NonNullNamedType(t.column, nil), nil), Position: position,
			Description: "The columns that say what the same row is, which must have a unique constraint; the primary key when left out."},
		{Name: "action", Type: ast.NamedType(conflictAction, nil), Position: position,
			DefaultValue: &ast.Value{Raw: "MERGE", Kind: ast.EnumValue, Position: position}},
	}})
}

const conflictAction = "ConflictAction"
