package schema

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/catalog"
)

// Class sorts types by what can be done with their values.
type Class uint8

// The classes.
const (
	// Other is what is only read, compared and written as text.
	Other Class = iota
	Text
	Number
	Time
	UUID
	Boolean
	Enum
	JSON
	Array
	Range
	Search
	// Opaque is what has no condition but being null.
	Opaque
)

// scalars are the types that GraphQL does not have itself, with what they are.
var scalars = []struct{ name, description, specification string }{
	{"BigInt", "A whole number of 64 bits. Given as a text, so that no digit is lost; taken as a text or a number.", ""},
	{"Numeric", "A number of any size and precision. Given as a text, so that no digit is lost; taken as a text or a number.", ""},
	{"UUID", "A universally unique identifier.", "https://www.rfc-editor.org/rfc/rfc9562"},
	{"DateTime", "A date with its time in ISO 8601, with an offset where the column has a time zone.", ""},
	{"Date", "A date: 2024-12-31.", ""},
	{"Time", "A time of day: 23:59:59, with an offset where the column has one.", ""},
	{"JSON", "Any JSON.", ""},
}

// Leaf is the type of a value that is not selected from further.
type Leaf struct {
	// Type is the type in GraphQL, without whether it may be null.
	Type *ast.Type
	// Cast is the type of PostgreSQL that a value is converted to before it is
	// printed; empty for none.
	Cast  string
	Class Class
	// Element is what an array holds; nil for others.
	Element *Leaf
}

// Name is the name of the type, or of what its lists hold.
func (l *Leaf) Name() string { return l.Type.Name() }

// leafOf gives the GraphQL type of a type of PostgreSQL.
func (b *builder) leafOf(t *catalog.Type) *Leaf {
	if t == nil {
		return &Leaf{Type: ast.NamedType("String", nil), Class: Opaque}
	}
	t = t.Underlying()
	named := func(name, cast string, class Class) *Leaf {
		return &Leaf{Type: ast.NamedType(name, nil), Cast: cast, Class: class}
	}
	switch t.Kind {
	case catalog.Array:
		if t.Element == nil {
			break
		}
		element := b.leafOf(t.Element)
		cast := ""
		if element.Cast != "" {
			cast = element.Cast + "[]"
		}
		class := Array
		if element.Class == Opaque || element.Class == JSON {
			class = Opaque
		}
		return &Leaf{Type: ast.ListType(element.Type, nil), Cast: cast, Class: class, Element: element}
	case catalog.Enum:
		if name := b.enumOf(t); name != "" {
			return named(name, "", Enum)
		}
		return named("String", "", Other)
	case catalog.Composite:
		return named("JSON", "", Opaque)
	case catalog.Range, catalog.Multirange:
		return named("String", "", Range)
	}
	switch t.Name {
	case "bool":
		return named("Boolean", "", Boolean)
	case "int2", "int4":
		return named("Int", "", Number)
	case "int8":
		return named("BigInt", "text", Number)
	case "oid":
		return named("BigInt", "text", Other)
	case "float4", "float8":
		return named("Float", "", Number)
	case "numeric":
		return named("Numeric", "text", Number)
	case "uuid":
		return named("UUID", "", UUID)
	case "json", "jsonb":
		return named("JSON", "", JSON)
	case "timestamptz", "timestamp":
		return named("DateTime", "", Time)
	case "date":
		return named("Date", "", Time)
	case "time", "timetz":
		return named("Time", "", Time)
	case "interval":
		return named("String", "", Time)
	case "tsvector":
		return named("String", "", Search)
	case "geometry", "geography":
		return named("JSON", "", Opaque)
	case "vector", "halfvec", "sparsevec", "xml", "point", "line", "lseg", "box", "path", "polygon", "circle":
		return named("String", "text", Opaque)
	}
	if t.Category == 'S' {
		return named("String", "", Text)
	}
	// Whatever it prints as in JSON, it is a text here.
	return named("String", "text", Other)
}

// enumOf gives the name of the GraphQL enum for an enum of the database; empty when a
// label of it is no name in GraphQL.
func (b *builder) enumOf(t *catalog.Type) string {
	if name, known := b.enums[t.OID]; known {
		return name
	}
	name := ""
	if valid(t.Labels) {
		name = b.types.take(pascal(t.Name), pascal(t.Schema+"_"+t.Name))
		def := &ast.Definition{Kind: ast.Enum, Name: name}
		for _, label := range t.Labels {
			def.EnumValues = append(def.EnumValues, &ast.EnumValueDefinition{Name: label})
		}
		b.add(def)
	}
	b.enums[t.OID] = name
	return name
}

func valid(labels []string) bool {
	for _, l := range labels {
		if !isName(l) {
			return false
		}
	}
	return len(labels) > 0
}
