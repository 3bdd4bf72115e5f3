package schema

import (
	"encoding"
	"encoding/json"
	"fmt"
	"path"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Described is implemented by types whose JSON is not what their Go form says.
type Described interface{ Schema() *Schema }

// Components collects the schemas that are referred to by name. The zero value is
// not ready; see NewComponents.
type Components struct {
	schemas map[string]*Schema
	names   map[reflect.Type]string
}

// NewComponents makes an empty collection.
func NewComponents() *Components {
	return &Components{schemas: map[string]*Schema{}, names: map[reflect.Type]string{}}
}

// Schemas are the components by name. The map is the collection's own.
func (c *Components) Schemas() map[string]*Schema { return c.schemas }

// ref refers to a component.
func ref(name string) *Schema { return &Schema{Ref: "#/components/schemas/" + name} }

// Of is the schema of a payload: a *Schema as it is, anything else by its type, as
// encoding/json writes it. Struct types with names become components.
//
// A member is required unless it has omitempty or omitzero. Struct tags say more:
// doc a description, format a format, enum a list of texts parted by commas.
func (c *Components) Of(v any) *Schema {
	if s, ok := v.(*Schema); ok {
		return c.Resolve(s)
	}
	return c.of(reflect.TypeOf(v))
}

// Resolve replaces what stands for Go values and components in a schema. A name that
// is there already keeps its first schema.
func (c *Components) Resolve(s *Schema) *Schema {
	if s == nil {
		return nil
	}
	if s.value != nil {
		return c.Of(s.value)
	}
	if s.name != "" {
		if _, ok := c.schemas[s.name]; !ok {
			c.schemas[s.name] = Any() // for one that contains itself
			c.schemas[s.name] = c.Resolve(s.Named(""))
		}
		return ref(s.name)
	}
	r := *s
	r.Items, r.Additional = c.Resolve(s.Items), c.Resolve(s.Additional)
	r.AllOf, r.OneOf, r.AnyOf = c.resolveAll(s.AllOf), c.resolveAll(s.OneOf), c.resolveAll(s.AnyOf)
	if len(s.Properties) > 0 {
		r.Properties = slices.Clone(s.Properties)
		for i := range r.Properties {
			r.Properties[i].Schema = c.Resolve(r.Properties[i].Schema)
		}
	}
	return &r
}

func (c *Components) resolveAll(all []*Schema) []*Schema {
	if len(all) == 0 {
		return nil
	}
	resolved := make([]*Schema, len(all))
	for i, s := range all {
		resolved[i] = c.Resolve(s)
	}
	return resolved
}

var (
	describedType = reflect.TypeFor[Described]()
	rawType       = reflect.TypeFor[json.RawMessage]()
	timeType      = reflect.TypeFor[time.Time]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
	textType      = reflect.TypeFor[encoding.TextMarshaler]()
)

func (c *Components) of(t reflect.Type) *Schema {
	switch {
	case t == nil:
		return Any()
	case t.Implements(describedType):
		return c.Resolve(reflect.Zero(t).Interface().(Described).Schema())
	case t == timeType:
		return Formatted("date-time")
	case t == rawType:
		return Any()
	case t.Kind() == reflect.Pointer:
		return c.of(t.Elem()).OrNull()
	case t.Implements(textType):
		return Text()
	case t.Implements(marshalerType):
		return Any()
	}
	switch t.Kind() {
	case reflect.Bool:
		return Boolean()
	case reflect.String:
		return Text()
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32:
		return Whole()
	case reflect.Int64:
		return &Schema{Type: "integer", Format: "int64"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return Whole().AtLeast(0)
	case reflect.Float32, reflect.Float64:
		return Number()
	case reflect.Interface:
		return Any()
	case reflect.Map:
		return Map(c.of(t.Elem()))
	case reflect.Array, reflect.Slice:
		if t.Elem().Kind() == reflect.Uint8 {
			return Formatted("byte")
		}
		return Array(c.of(t.Elem()))
	case reflect.Struct:
		return c.named(t)
	}
	panic(fmt.Sprintf("a %s has no JSON", t))
}

// named gives the reference to a struct's component, or the schema of one without a
// name.
func (c *Components) named(t reflect.Type) *Schema {
	if t.Name() == "" {
		return c.object(t)
	}
	if name, ok := c.names[t]; ok {
		return ref(name)
	}
	name := c.free(componentName(t))
	c.names[t] = name
	c.schemas[name] = Any() // for a type that contains itself
	c.schemas[name] = c.object(t)
	return ref(name)
}

// componentName is the package and the type in one word: auth.tokens is
// AuthTokens. It has no dot, which components of relations have.
func componentName(t reflect.Type) string {
	name, _, _ := strings.Cut(t.Name(), "[")
	return capital(path.Base(t.PkgPath())) + capital(name)
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// free is the name, or with a number if another type has it.
func (c *Components) free(name string) string {
	free := name
	for n := 2; ; n++ {
		if _, taken := c.schemas[free]; !taken {
			return free
		}
		free = fmt.Sprintf("%s%d", name, n)
	}
}

func (c *Components) object(t reflect.Type) *Schema {
	s := &Schema{Type: "object"}
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("json")
		if tag == "-" || f.PkgPath != "" && !f.Anonymous {
			continue
		}
		name, options, _ := strings.Cut(tag, ",")
		if f.Anonymous && name == "" {
			embedded := f.Type
			pointer := embedded.Kind() == reflect.Pointer
			if pointer {
				embedded = embedded.Elem()
			}
			if embedded.Kind() == reflect.Struct {
				inner := c.object(embedded)
				s.Properties = append(s.Properties, inner.Properties...)
				if !pointer {
					s.Required = append(s.Required, inner.Required...)
				}
				continue
			}
		}
		if f.PkgPath != "" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		s.Properties = append(s.Properties, Property{name, c.member(f)})
		if !tagged || !slices.ContainsFunc(strings.Split(options, ","), omits) {
			s.Required = append(s.Required, name)
		}
	}
	return s
}

func omits(option string) bool { return option == "omitempty" || option == "omitzero" }

// member is the schema of a field with what its tags say. A pointer that is left
// out when it is nil is never null.
func (c *Components) member(f reflect.StructField) *Schema {
	t := f.Type
	if t.Kind() == reflect.Pointer && strings.Contains(f.Tag.Get("json"), ",omit") {
		t = t.Elem()
	}
	s := c.of(t)
	if format := f.Tag.Get("format"); format != "" {
		own := *s
		own.Format = format
		s = &own
	}
	if list := f.Tag.Get("enum"); list != "" {
		s = s.among(strings.Split(list, ","))
	}
	return s.Described(f.Tag.Get("doc"))
}

// among is the same, or an array of the same, with its values listed.
func (s *Schema) among(values []string) *Schema {
	c := *s
	if c.Type == "array" {
		c.Items = c.Items.among(values)
		return &c
	}
	c.Enum = Enum(values...).Enum
	if c.Nullable {
		c.Enum = append(c.Enum, nil)
	}
	return &c
}
