package sql

import (
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
)

// Relations is what the compiler knows of a database: the exposed tables and
// views. A schema that is empty means the default one.
type Relations interface {
	Relation(schema, name string) (*Relation, bool)
}

// Relation is a table or a view.
type Relation struct {
	Schema, Name string
	// View tells a view or a materialized view.
	View bool
	// Locked are the kinds of writes that PostgreSQL has no way to do.
	Locked  Verb
	Columns []Column
	// Key are the columns of the primary key in its order; nil without one.
	Key []string
	// Unique are the columns of the unique constraints.
	Unique [][]string
	// Computed are functions of a row that can be read like columns.
	Computed []Column
	// Relationships lead to the relations that can be embedded.
	Relationships []catalog.Relationship

	byName map[string]*Column
	// row is how the server writes a whole row; nil where that is found when asked.
	row *rowShape
}

// Verb is a kind of write, or several.
type Verb uint8

// The kinds of writes.
const (
	Inserting Verb = 1 << iota
	Updating
	Deleting
)

// Column is a column of a relation.
type Column struct {
	Name string
	Type Type
	// Generated tells that the database computes the column always: a stored
	// expression, or an identity GENERATED ALWAYS.
	Generated bool
	// Default is the SQL of the column's default as the catalogue gives it, the
	// nextval of its sequence for an identity; empty for none.
	Default string
	// Function computes the column; nil for one that is stored.
	Function *catalog.Function
}

// Kind sorts types by what can be done with their values.
type Kind uint8

// The kinds of types.
const (
	KindScalar Kind = iota
	KindText
	KindBool
	KindNumber
	KindJSON  // json
	KindJSONB // jsonb
	KindArray
	KindRange
	KindComposite
	KindSearch  // tsvector
	KindSpatial // PostGIS geometry and geography
	KindVector  // pgvector's types
)

// Type is the type of a column; of a domain it is the type beneath.
type Type struct {
	// Schema and Name are those of pg_type. For an array they are the element's.
	Schema, Name string
	Kind         Kind
}

// Index makes the look-up by name. It must be called once, before the relation
// is used, and gives the relation back.
func (r *Relation) Index() *Relation {
	r.byName = make(map[string]*Column, len(r.Columns)+len(r.Computed))
	for i := range r.Computed {
		r.byName[r.Computed[i].Name] = &r.Computed[i]
	}
	for i := range r.Columns {
		r.byName[r.Columns[i].Name] = &r.Columns[i]
	}
	return r
}

// Column finds a column by its exact name, a stored one before a computed one.
func (r *Relation) Column(name string) (*Column, bool) {
	c, ok := r.byName[name]
	return c, ok
}

// Identity are the columns that address one row: the primary key, or the column
// id of a relation that has none; nil when there is neither.
func (r *Relation) Identity() []string {
	if len(r.Key) > 0 {
		return r.Key
	}
	if _, ok := r.byName["id"]; ok {
		return []string{"id"}
	}
	return nil
}

// conflictTarget are the columns that make a duplicate when the client names
// none: the primary key, or the only unique constraint.
func (r *Relation) conflictTarget() []string {
	if len(r.Key) > 0 {
		return r.Key
	}
	if len(r.Unique) == 1 {
		return r.Unique[0]
	}
	return nil
}

func (r *Relation) query() query.Relation {
	return query.Relation{Schema: r.Schema, Name: r.Name}
}
