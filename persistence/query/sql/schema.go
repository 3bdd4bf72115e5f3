package sql

import (
	"strings"
	"sync"
	"sync/atomic"

	"fluxbase/persistence/catalog"
)

// Schema is a catalogue in the form that the compiler wants. It follows the
// catalogue: a new snapshot is taken over with the next look-up. It is safe for
// use by many goroutines.
type Schema struct {
	catalog *catalog.Catalog
	current atomic.Pointer[snapshot]
}

// NewSchema makes the compiler's view of c.
func NewSchema(c *catalog.Catalog) *Schema { return &Schema{catalog: c} }

// Current is the newest snapshot. Use one for the whole of a message, so that
// all of its statements see the same schema.
func (s *Schema) Current() Relations {
	from := s.catalog.Current()
	if known := s.current.Load(); known != nil && known.from == from {
		return known
	}
	fresh := &snapshot{from: from}
	s.current.Store(fresh)
	return fresh
}

// Of is the compiler's view of one snapshot, whatever comes after it.
func Of(from *catalog.Snapshot) Relations { return &snapshot{from: from} }

// snapshot turns relations over as they are asked for.
type snapshot struct {
	from  *catalog.Snapshot
	known sync.Map // of *catalog.Relation to *Relation
}

// Relation finds an exposed relation.
func (s *snapshot) Relation(schema, name string) (*Relation, bool) {
	from, ok := s.from.Relation(schema, name)
	if !ok {
		return nil, false
	}
	if known, ok := s.known.Load(from); ok {
		return known.(*Relation), true
	}
	relation := relationFrom(from)
	s.known.Store(from, relation)
	return relation, true
}

// Routines finds the functions of a name.
func (s *snapshot) Routines(schema, name string) []*catalog.Routine {
	return s.from.Routines(schema, name)
}

func relationFrom(from *catalog.Relation) *Relation {
	r := &Relation{
		Schema: from.Schema, Name: from.Name, View: from.Kind == catalog.View || from.Kind == catalog.MaterializedView,
		Key: from.PrimaryKey, Columns: make([]Column, len(from.Columns)), Relationships: from.Relationships,
	}
	for verb, open := range map[Verb]bool{Inserting: from.Insertable, Updating: from.Updatable, Deleting: from.Deletable} {
		if !open {
			r.Locked |= verb
		}
	}
	for i := range from.Computed {
		c := &from.Computed[i]
		r.Computed = append(r.Computed, Column{Name: c.Name, Type: typeFrom(c.Type), Generated: true, Function: &c.Function})
	}
	for _, u := range from.Unique {
		r.Unique = append(r.Unique, u.Columns)
	}
	for i := range from.Columns {
		c := &from.Columns[i]
		r.Columns[i] = Column{Name: c.Name, Type: typeFrom(c.Type), Generated: !c.Writable(), Default: c.Default}
		if c.Identity == catalog.IdentityByDefault && c.Sequence != "" {
			r.Columns[i].Default = `nextval('` + strings.ReplaceAll(c.Sequence, `'`, `''`) + `'::regclass)`
		}
	}
	r.row = wholeRow(r.Columns, false)
	return r.Index()
}

func typeFrom(from *catalog.Type) Type {
	t := from.Underlying()
	if t.Kind == catalog.Array && t.Element != nil {
		return Type{Schema: t.Element.Schema, Name: t.Element.Name, Kind: KindArray}
	}
	return Type{Schema: t.Schema, Name: t.Name, Kind: kindOf(t)}
}

func kindOf(t *catalog.Type) Kind {
	switch t.Kind {
	case catalog.Composite:
		return KindComposite
	case catalog.Range, catalog.Multirange:
		return KindRange
	case catalog.Enum:
		return KindScalar
	}
	switch t.Name {
	case "json":
		return KindJSON
	case "jsonb":
		return KindJSONB
	case "tsvector":
		return KindSearch
	case "geometry", "geography":
		return KindSpatial
	case "vector", "halfvec", "sparsevec":
		return KindVector
	}
	switch t.Category {
	case 'S':
		return KindText
	case 'B':
		return KindBool
	case 'N':
		return KindNumber
	}
	return KindScalar
}
