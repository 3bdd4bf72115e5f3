// Package schema is the Schema Object of OpenAPI 3.0: what a value looks like in
// JSON. Schemas are written down (Object, Array, Text, ...) or taken from Go values
// (Of, and Components for values that are shared).
package schema

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Schema is a Schema Object. One that has a Ref has nothing else.
type Schema struct {
	Ref         string `json:"$ref,omitempty"`
	Type        string `json:"type,omitempty"`
	Format      string `json:"format,omitempty"`
	Description string `json:"description,omitempty"`
	Nullable    bool   `json:"nullable,omitempty"`
	ReadOnly    bool   `json:"readOnly,omitempty"`
	Enum        []any  `json:"enum,omitempty"`
	// Default is JSON.
	Default    json.RawMessage `json:"default,omitempty"`
	Example    json.RawMessage `json:"example,omitempty"`
	Minimum    *float64        `json:"minimum,omitempty"`
	Maximum    *float64        `json:"maximum,omitempty"`
	MaxLength  int             `json:"maxLength,omitempty"`
	MinItems   int             `json:"minItems,omitempty"`
	MaxItems   int             `json:"maxItems,omitempty"`
	Properties Properties      `json:"properties,omitempty"`
	// Required are the properties that are always there.
	Required []string `json:"required,omitempty"`
	// Additional is what further properties look like. Nil leaves them open, which
	// for an object with properties means that later versions may have more.
	Additional *Schema   `json:"additionalProperties,omitempty"`
	Items      *Schema   `json:"items,omitempty"`
	AllOf      []*Schema `json:"allOf,omitempty"`
	OneOf      []*Schema `json:"oneOf,omitempty"`
	AnyOf      []*Schema `json:"anyOf,omitempty"`

	// value, when not nil, is the Go value that the schema is to be taken from; name
	// the component that it is to become.
	value any
	name  string
}

// Property is a member of an object.
type Property struct {
	Name   string
	Schema *Schema
}

// Properties keep their order.
type Properties []Property

// MarshalJSON writes them as an object.
func (p Properties) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, member := range p {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(member.Name)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(member.Schema)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(text)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Any is any value. It says that null is one of them, which OpenAPI 3.0 takes for
// granted and some of its readers do not.
func Any() *Schema { return &Schema{Nullable: true} }

// Text is a string.
func Text() *Schema { return &Schema{Type: "string"} }

// Formatted is a string of a format: uuid, date-time, byte.
func Formatted(format string) *Schema { return &Schema{Type: "string", Format: format} }

// Whole is an integer.
func Whole() *Schema { return &Schema{Type: "integer"} }

// Number is any number.
func Number() *Schema { return &Schema{Type: "number"} }

// Boolean is true or false.
func Boolean() *Schema { return &Schema{Type: "boolean"} }

// Array is an array.
func Array(items *Schema) *Schema { return &Schema{Type: "array", Items: items} }

// Map is an object of values of one form.
func Map(of *Schema) *Schema { return &Schema{Type: "object", Additional: of} }

// Open is an object of whatever members.
func Open() *Schema { return Map(Any()) }

// Enum is one of some texts.
func Enum(values ...string) *Schema {
	s := Text()
	for _, v := range values {
		s.Enum = append(s.Enum, v)
	}
	return s
}

// OneOf is exactly one of some forms.
func OneOf(forms ...*Schema) *Schema { return &Schema{OneOf: forms} }

// AnyOf is at least one of some forms.
func AnyOf(forms ...*Schema) *Schema { return &Schema{AnyOf: forms} }

// Object has the members; all of them are required but those that were made with
// Optional.
func Object(members ...Member) *Schema {
	s := &Schema{Type: "object"}
	for _, m := range members {
		s.Properties = append(s.Properties, m.Property)
		if !m.optional {
			s.Required = append(s.Required, m.Name)
		}
	}
	return s
}

// Member is a property, and whether it may be missing.
type Member struct {
	Property
	optional bool
}

// Required is a member that is always there.
func Required(name string, s *Schema) Member { return Member{Property{name, s}, false} }

// Optional is a member that may be missing.
func Optional(name string, s *Schema) Member { return Member{Property{name, s}, true} }

// From stands for the form of a Go value inside of a schema that is written down.
func From(v any) *Schema { return &Schema{value: v} }

// Named is the same as a component of that name; see Name.
func (s *Schema) Named(name string) *Schema {
	c := *s
	c.name = name
	return &c
}

// Name makes the name of a component of any texts: what cannot stand in it is
// written in hexadecimal digits, so that different texts have different names. A
// dot parts the texts.
func Name(texts ...string) string {
	var b strings.Builder
	for i, text := range texts {
		if i > 0 {
			b.WriteByte('.')
		}
		for _, c := range []byte(text) {
			if c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' {
				b.WriteByte(c)
			} else {
				fmt.Fprintf(&b, "-%02x", c)
			}
		}
	}
	return b.String()
}

// refers tells whether the schema becomes a reference, beside which nothing is
// looked at.
func (s *Schema) refers() bool { return s.Ref != "" || s.value != nil || s.name != "" }

// OrNull is the same or null.
func (s *Schema) OrNull() *Schema {
	if s.refers() {
		return &Schema{Nullable: true, AllOf: []*Schema{s}}
	}
	c := *s
	c.Nullable = true
	if c.Enum != nil {
		c.Enum = append(slices.Clone(c.Enum), nil)
	}
	return &c
}

// Described is the same with a description.
func (s *Schema) Described(text string) *Schema {
	if text == "" {
		return s
	}
	if s.refers() {
		return &Schema{Description: text, AllOf: []*Schema{s}}
	}
	c := *s
	c.Description = text
	return &c
}

// Between is the same, for numbers from least to most.
func (s *Schema) Between(least, most float64) *Schema {
	c := *s
	c.Minimum, c.Maximum = &least, &most
	return &c
}

// AtLeast is the same, for numbers from least on.
func (s *Schema) AtLeast(least float64) *Schema {
	c := *s
	c.Minimum = &least
	return &c
}
