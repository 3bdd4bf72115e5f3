package catalog

import (
	"cmp"
	"crypto/sha256"
	"maps"
	"slices"
	"strings"
)

// Snapshot is the exposed schema at one moment. Nothing in it may be changed.
type Snapshot struct {
	version    uint64
	hash       [sha256.Size]byte
	schemas    []string
	relations  map[name]*Relation
	types      map[uint32]*Type
	routines   map[name][]*Routine
	extensions map[string]string
}

type name struct{ schema, relation string }

// Version rises by one with every change.
func (s *Snapshot) Version() uint64 { return s.version }

// DefaultSchema is the schema that is meant when none is named.
func (s *Snapshot) DefaultSchema() string { return s.schemas[0] }

// Schemas are the exposed schemas, the default one first.
func (s *Snapshot) Schemas() []string { return slices.Clone(s.schemas) }

// Exposed tells whether a schema is exposed.
func (s *Snapshot) Exposed(schema string) bool { return slices.Contains(s.schemas, schema) }

// Relation finds a relation by its exact name; an empty schema means the default
// one.
func (s *Snapshot) Relation(schema, relation string) (*Relation, bool) {
	if schema == "" {
		schema = s.schemas[0]
	}
	r, ok := s.relations[name{schema, relation}]
	return r, ok
}

// Relations are all exposed relations, ordered by schema and name.
func (s *Snapshot) Relations() []*Relation {
	return slices.SortedFunc(maps.Values(s.relations), func(a, b *Relation) int {
		if c := strings.Compare(a.Schema, b.Schema); c != 0 {
			return c
		}
		return strings.Compare(a.Name, b.Name)
	})
}

// Type finds a type that a column of an exposed relation has.
func (s *Snapshot) Type(oid uint32) (*Type, bool) {
	t, ok := s.types[oid]
	return t, ok
}

// Extension gives the version of an extension that the database has.
func (s *Snapshot) Extension(name string) (version string, ok bool) {
	version, ok = s.extensions[name]
	return version, ok
}

// Routines finds the functions of a name, which differ in their parameters.
func (s *Snapshot) Routines(schema, routine string) []*Routine {
	if schema == "" {
		schema = s.schemas[0]
	}
	return s.routines[name{schema, routine}]
}

// AllRoutines are all functions that can be called, ordered by schema and name.
func (s *Snapshot) AllRoutines() []*Routine {
	var all []*Routine
	for _, named := range s.routines {
		all = append(all, named...)
	}
	slices.SortStableFunc(all, func(a, b *Routine) int {
		return cmp.Or(strings.Compare(a.Schema, b.Schema), strings.Compare(a.Name, b.Name))
	})
	return all
}

// Routine is a function that can be called.
type Routine struct {
	Schema, Name string
	// Parameters are what goes in, in order.
	Parameters []Parameter
	// Type is what comes out, Set that it comes out in any number.
	Type *Type
	Set  bool
	// Columns are those of a row that comes out; nil for a single value. Relation is
	// the exposed relation whose rows they are, if there is one.
	Columns  []Column
	Relation *Relation
	// Volatility says what a call may do besides giving a result.
	Volatility Volatility
	Comment    string

	executors []string
}

// Volatility says whether a function changes anything.
type Volatility byte

// The volatilities, by PostgreSQL's letters: only a volatile function may write.
const (
	Immutable Volatility = 'i'
	Stable    Volatility = 's'
	Volatile  Volatility = 'v'
)

// Parameter is a parameter of a function.
type Parameter struct {
	// Name is empty for one that can only be given by its place.
	Name     string
	Type     *Type
	TypeName string
	// Optional tells that it has a default, Variadic that it takes any number of
	// values: its type is an array then.
	Optional, Variadic bool
}

// Kind is the kind of a relation.
type Kind byte

// The kinds of relations, by PostgreSQL's letters.
const (
	Table            Kind = 'r'
	PartitionedTable Kind = 'p'
	View             Kind = 'v'
	MaterializedView Kind = 'm'
	ForeignTable     Kind = 'f'
)

// Relation is a table or something that can be read like one.
type Relation struct {
	OID          uint32
	Schema, Name string
	Kind         Kind
	// Partition tells that it is a partition of another relation.
	Partition bool
	// Insertable, Updatable and Deletable tell what PostgreSQL can do with it at
	// all, triggers and rules included; grants and policies are another matter.
	Insertable, Updatable, Deletable bool
	// RowSecurity tells that policies apply, ForceRowSecurity that they apply to
	// the owner too.
	RowSecurity, ForceRowSecurity bool
	// Columns are in the order of the table.
	Columns []Column
	// PrimaryKey has the columns of the primary key in its order; nil without
	// one. A view that can be written has that of the table beneath it.
	PrimaryKey []string
	// Unique are the unique constraints and the unique indexes over plain columns
	// of all rows, the primary key left out, by name.
	Unique []Key
	// ForeignKeys are by name.
	ForeignKeys []ForeignKey
	// Relationships lead to other exposed relations, by their names.
	Relationships []Relationship
	// Computed are the functions of a row that give one value.
	Computed []Computed
	Comment  string

	columns map[string]int
	granted map[string]privileges // by role
}

// Column finds a column by its exact name.
func (r *Relation) Column(name string) (*Column, bool) {
	i, ok := r.columns[name]
	if !ok {
		return nil, false
	}
	return &r.Columns[i], true
}

// Key is a unique constraint or index.
type Key struct {
	Name    string
	Columns []string
}

// ForeignKey is a reference to another relation, which need not be exposed.
type ForeignKey struct {
	Name    string
	Columns []string
	// Schema and Table are what is referred to, Referenced its columns in the
	// order of Columns.
	Schema, Table string
	Referenced    []string
}

// Identity tells whether and how a column is an identity column.
type Identity byte

// The kinds of identity columns.
const (
	NoIdentity        Identity = 0
	IdentityAlways    Identity = 'a'
	IdentityByDefault Identity = 'd'
)

// Column is a column of a relation.
type Column struct {
	Name string
	// Position is PostgreSQL's number of the column, from 1; there may be gaps.
	Position int
	Type     *Type
	// TypeName is the type as SQL writes it, length and precision included:
	// character varying(10), numeric(8,2)[].
	TypeName string
	Nullable bool
	// Default is the SQL of the default; empty for none and for identity columns.
	Default string
	// Generated tells that the column is computed from others.
	Generated bool
	Identity  Identity
	// Sequence is the qualified and quoted name of the sequence that belongs to
	// the column; empty for none.
	Sequence string
	// Updatable is false for a column of a view that cannot be written.
	Updatable bool
	Comment   string
}

// Writable tells whether a value may be given for the column.
func (c *Column) Writable() bool {
	return c.Updatable && !c.Generated && c.Identity != IdentityAlways
}

// Optional tells whether a row may be inserted without a value for the column.
func (c *Column) Optional() bool {
	return c.Nullable || c.Default != "" || c.Generated || c.Identity != NoIdentity
}

// TypeKind is the kind of a type.
type TypeKind byte

// The kinds of types, by PostgreSQL's letters; arrays have one of their own.
const (
	Base       TypeKind = 'b'
	Array      TypeKind = 'a'
	Composite  TypeKind = 'c'
	Domain     TypeKind = 'd'
	Enum       TypeKind = 'e'
	Range      TypeKind = 'r'
	Multirange TypeKind = 'm'
	Pseudo     TypeKind = 'p'
)

// Type is a type of PostgreSQL.
type Type struct {
	OID          uint32
	Schema, Name string
	Kind         TypeKind
	// Category is PostgreSQL's typcategory: 'N' numeric, 'S' string, 'B' boolean,
	// 'D' date and time, 'U' user-defined and so on.
	Category byte
	// Element is the type of an array's elements or a range's bounds.
	Element *Type
	// Base is the type beneath a domain; it may be a domain again.
	Base *Type
	// Labels are the values of an enum in their order.
	Labels []string
}

// Underlying is the type itself or, for a domain, the one at the bottom.
func (t *Type) Underlying() *Type {
	for t.Kind == Domain && t.Base != nil {
		t = t.Base
	}
	return t
}
