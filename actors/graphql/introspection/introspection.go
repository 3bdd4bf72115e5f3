// Package introspection answers what a query asks of the schema itself, from memory.
package introspection

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/graphql/operation"
	"fluxbase/persistence/fault"
)

// Arguments gives the argument of a field as JSON; nil when it has no value.
type Arguments func(f *operation.Selection, name string) ([]byte, error)

// Answer gives the value of a field __schema or __type as JSON.
func Answer(s *ast.Schema, f *operation.Selection, arguments Arguments) ([]byte, error) {
	w := &writer{schema: s, arguments: arguments}
	if f.Node.Name == "__type" {
		raw, err := arguments(f, "name")
		if err != nil {
			return nil, err
		}
		var name string
		if err := json.Unmarshal(raw, &name); err != nil {
			return nil, err
		}
		w.named(name, f.Fields)
	} else {
		w.root(f.Fields)
	}
	return w.out.Bytes(), w.err
}

// maxBytes is how long an answer may be: types lead to types, and an answer could
// repeat them many times over.
const maxBytes = 32 << 20

// writer writes the answer. The first error stays.
type writer struct {
	schema    *ast.Schema
	arguments Arguments
	out       bytes.Buffer
	err       error
}

// object writes the selected fields of an object; value writes one of them.
func (w *writer) object(fields []*operation.Selection, value func(f *operation.Selection)) {
	w.out.WriteByte('{')
	for i, f := range fields {
		if w.out.Len() > maxBytes && w.err == nil {
			w.err = fault.Newf(fault.GraphQLLimitExceeded, "the answer about the schema is longer than %d bytes", maxBytes)
		}
		if w.err != nil {
			return
		}
		if i > 0 {
			w.out.WriteByte(',')
		}
		w.text(f.Key)
		w.out.WriteByte(':')
		if f.Node.Name == "__typename" {
			w.text(f.Object)
			continue
		}
		value(f)
	}
	w.out.WriteByte('}')
}

func list[T any](w *writer, elements []T, write func(T)) {
	w.out.WriteByte('[')
	for i, e := range elements {
		if i > 0 {
			w.out.WriteByte(',')
		}
		write(e)
	}
	w.out.WriteByte(']')
}

func (w *writer) text(s string) {
	encoded, err := json.Marshal(s)
	if err != nil && w.err == nil {
		w.err = err
	}
	w.out.Write(encoded)
}

// optional writes a text, null for an empty one.
func (w *writer) optional(s string) {
	if s == "" {
		w.null()
		return
	}
	w.text(s)
}

func (w *writer) null() { w.out.WriteString("null") }

func (w *writer) boolean(b bool) {
	if b {
		w.out.WriteString("true")
	} else {
		w.out.WriteString("false")
	}
}

// deprecated tells whether a field's includeDeprecated is true.
func (w *writer) includeDeprecated(f *operation.Selection) bool {
	raw, err := w.arguments(f, "includeDeprecated")
	if err != nil && w.err == nil {
		w.err = err
	}
	return string(raw) == "true"
}

// root writes __Schema.
func (w *writer) root(fields []*operation.Selection) {
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "description":
			w.optional(w.schema.Description)
		case "types":
			list(w, slices.Sorted(maps.Keys(w.schema.Types)), func(name string) { w.named(name, f.Fields) })
		case "queryType":
			w.definition(w.schema.Query, f.Fields)
		case "mutationType":
			w.definition(w.schema.Mutation, f.Fields)
		case "subscriptionType":
			w.definition(w.schema.Subscription, f.Fields)
		case "directives":
			list(w, slices.Sorted(maps.Keys(w.schema.Directives)), func(name string) { w.directive(w.schema.Directives[name], f.Fields) })
		}
	})
}

func (w *writer) named(name string, fields []*operation.Selection) {
	w.definition(w.schema.Types[name], fields)
}

// definition writes __Type for a type with a name; null for none.
func (w *writer) definition(d *ast.Definition, fields []*operation.Selection) {
	if d == nil {
		w.null()
		return
	}
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "kind":
			w.text(string(d.Kind))
		case "name":
			w.text(d.Name)
		case "description":
			w.optional(d.Description)
		case "specifiedByURL":
			w.optional(directiveArgument(d.Directives, "specifiedBy", "url"))
		case "fields":
			if d.Kind != ast.Object {
				w.null()
				return
			}
			list(w, shown(d.Fields, func(f *ast.FieldDefinition) bool { return !strings.HasPrefix(f.Name, "__") }), func(field *ast.FieldDefinition) { w.field(field, f.Fields) })
		case "interfaces":
			if d.Kind != ast.Object {
				w.null()
				return
			}
			w.out.WriteString("[]")
		case "enumValues":
			if d.Kind != ast.Enum {
				w.null()
				return
			}
			all := w.includeDeprecated(f)
			list(w, shown(d.EnumValues, func(v *ast.EnumValueDefinition) bool { return all || v.Directives.ForName("deprecated") == nil }),
				func(v *ast.EnumValueDefinition) { w.enumValue(v, f.Fields) })
		case "inputFields":
			if d.Kind != ast.InputObject {
				w.null()
				return
			}
			list(w, d.Fields, func(field *ast.FieldDefinition) {
				w.input(field.Name, field.Description, field.Type, field.DefaultValue, f.Fields)
			})
		case "isOneOf":
			if d.Kind != ast.InputObject {
				w.null()
				return
			}
			w.boolean(d.Directives.ForName("oneOf") != nil)
		default: // possibleTypes and ofType, which no type with a name has here
			w.null()
		}
	})
}

// shown are the elements that are shown.
func shown[T any](list []T, show func(T) bool) []T {
	var out []T
	for _, e := range list {
		if show(e) {
			out = append(out, e)
		}
	}
	return out
}

func directiveArgument(list ast.DirectiveList, directive, argument string) string {
	if d := list.ForName(directive); d != nil {
		if a := d.Arguments.ForName(argument); a != nil {
			return a.Value.Raw
		}
	}
	return ""
}

// reference writes __Type for the type of a field or an argument.
func (w *writer) reference(t *ast.Type, fields []*operation.Selection) {
	if !t.NonNull && t.Elem == nil {
		w.named(t.NamedType, fields)
		return
	}
	kind, of := "LIST", t.Elem
	if t.NonNull {
		inner := *t
		inner.NonNull = false
		kind, of = "NON_NULL", &inner
	}
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "kind":
			w.text(kind)
		case "ofType":
			w.reference(of, f.Fields)
		default:
			w.null()
		}
	})
}

func (w *writer) field(d *ast.FieldDefinition, fields []*operation.Selection) {
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "name":
			w.text(d.Name)
		case "description":
			w.optional(d.Description)
		case "args":
			w.argumentList(d.Arguments, f.Fields)
		case "type":
			w.reference(d.Type, f.Fields)
		case "isDeprecated":
			w.boolean(d.Directives.ForName("deprecated") != nil)
		default:
			w.optional(directiveArgument(d.Directives, "deprecated", "reason"))
		}
	})
}

func (w *writer) argumentList(arguments ast.ArgumentDefinitionList, fields []*operation.Selection) {
	list(w, arguments, func(a *ast.ArgumentDefinition) { w.input(a.Name, a.Description, a.Type, a.DefaultValue, fields) })
}

// input writes __InputValue.
func (w *writer) input(name, description string, t *ast.Type, value *ast.Value, fields []*operation.Selection) {
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "name":
			w.text(name)
		case "description":
			w.optional(description)
		case "type":
			w.reference(t, f.Fields)
		case "defaultValue":
			if value == nil {
				w.null()
				return
			}
			w.text(value.String())
		case "isDeprecated":
			w.boolean(false)
		default:
			w.null()
		}
	})
}

func (w *writer) enumValue(v *ast.EnumValueDefinition, fields []*operation.Selection) {
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "name":
			w.text(v.Name)
		case "description":
			w.optional(v.Description)
		case "isDeprecated":
			w.boolean(v.Directives.ForName("deprecated") != nil)
		default:
			w.optional(directiveArgument(v.Directives, "deprecated", "reason"))
		}
	})
}

func (w *writer) directive(d *ast.DirectiveDefinition, fields []*operation.Selection) {
	w.object(fields, func(f *operation.Selection) {
		switch f.Node.Name {
		case "name":
			w.text(d.Name)
		case "description":
			w.optional(d.Description)
		case "isRepeatable":
			w.boolean(d.IsRepeatable)
		case "locations":
			list(w, d.Locations, func(l ast.DirectiveLocation) { w.text(string(l)) })
		case "args":
			w.argumentList(d.Arguments, f.Fields)
		default:
			w.null()
		}
	})
}
