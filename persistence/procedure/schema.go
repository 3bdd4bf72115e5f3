package procedure

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Type is what a request must give for a parameter. PostgreSQL decides what a
// value becomes: a parameter has the type that the statement wants in its place.
type Type string

// The types. AnyType takes every JSON value.
const (
	AnyType       Type = "any"
	UUIDType      Type = "uuid"
	TextType      Type = "text"
	NumberType    Type = "number"
	IntegerType   Type = "integer"
	BooleanType   Type = "boolean"
	TimestampType Type = "timestamp"
	DateType      Type = "date"
	TimeType      Type = "time"
	JSONType      Type = "json"
	ArrayType     Type = "array"
)

// typeNames are the words that annotations have for the types.
var typeNames = map[string]Type{
	"any":  AnyType,
	"uuid": UUIDType,
	"text": TextType, "string": TextType,
	"number": NumberType, "float": NumberType, "double": NumberType, "decimal": NumberType, "numeric": NumberType,
	"int": IntegerType, "integer": IntegerType, "bigint": IntegerType,
	"boolean": BooleanType, "bool": BooleanType,
	"timestamp": TimestampType, "datetime": TimestampType, "timestamptz": TimestampType,
	"date": DateType,
	"time": TimeType,
	"json": JSONType, "jsonb": JSONType, "object": JSONType,
	"array": ArrayType,
}

// Field is a member of a Schema.
type Field struct {
	Name string
	Type Type
	// Word is the type as it was written.
	Word     string
	Optional bool
}

// Schema says what a procedure takes or gives. The zero value takes anything.
type Schema struct {
	// Typed tells that Fields are all there is; otherwise nothing is checked.
	Typed  bool
	Fields []Field
}

// maxFields bounds a schema.
const maxFields = 100

// Find gives the field of a name, or nil.
func (s Schema) Find(name string) *Field {
	for i := range s.Fields {
		if s.Fields[i].Name == name {
			return &s.Fields[i]
		}
	}
	return nil
}

// ParseSchema reads a schema as annotations have it: "any", a JSON object of names
// and types, or the list "a:uuid, b?:text". Names end in a question mark where
// the value may be left out.
func ParseSchema(text string) (Schema, error) {
	text = strings.TrimSpace(text)
	switch {
	case text == "" || strings.EqualFold(text, "any"):
		return Schema{}, nil
	case text[0] == '{':
		var s Schema
		if err := json.Unmarshal([]byte(text), &s); err != nil {
			var f fieldError
			if errors.As(err, &f) {
				return Schema{}, f
			}
			return Schema{}, errors.New("is no JSON object of names and types")
		}
		return s, nil
	}
	s := Schema{Typed: true}
	for item := range strings.SplitSeq(text, ",") {
		name, word, found := strings.Cut(item, ":")
		if !found {
			return Schema{}, fmt.Errorf("%q has no type: write name:type", strings.TrimSpace(item))
		}
		if err := s.add(strings.TrimSpace(name), strings.TrimSpace(word)); err != nil {
			return Schema{}, err
		}
	}
	return s, nil
}

// fieldError is a member of a schema that is not as it should be.
type fieldError string

// Error implements error.
func (e fieldError) Error() string { return string(e) }

func (s *Schema) add(name, word string) error {
	name, optional := strings.CutSuffix(name, "?")
	kind, known := typeNames[strings.ToLower(word)]
	switch {
	case len(s.Fields) == maxFields:
		return fieldError(fmt.Sprintf("has more than %d members", maxFields))
	case !isPlaceholder(name):
		return fieldError(fmt.Sprintf("has the name %q: letters, digits and underscores are allowed, 63 at most", name))
	case !known:
		return fieldError(fmt.Sprintf("has the unknown type %q for %s", word, name))
	case s.Find(name) != nil:
		return fieldError(fmt.Sprintf("has %s twice", name))
	}
	s.Fields = append(s.Fields, Field{Name: name, Type: kind, Word: strings.ToLower(word), Optional: optional})
	return nil
}

// MarshalJSON gives the schema as an object in the order of its fields, or null
// for one that takes anything.
func (s Schema) MarshalJSON() ([]byte, error) {
	if !s.Typed {
		return []byte("null"), nil
	}
	out := []byte{'{'}
	for i, f := range s.Fields {
		if i > 0 {
			out = append(out, ',')
		}
		name := f.Name
		if f.Optional {
			name += "?"
		}
		key, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		word, err := json.Marshal(f.Word)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, key...), ':'), word...)
	}
	return append(out, '}'), nil
}

// UnmarshalJSON reads what MarshalJSON gives.
func (s *Schema) UnmarshalJSON(text []byte) error {
	*s = Schema{}
	if bytes.Equal(text, []byte("null")) {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(text))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return errors.Join(errors.New("a schema is an object"), err)
	}
	s.Typed = true
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return err
		}
		var word string
		if err := d.Decode(&word); err != nil {
			return fieldError(fmt.Sprintf("has no type, which is a text, for %v", key))
		}
		if err := s.add(key.(string), word); err != nil {
			return err
		}
	}
	_, err := d.Token()
	return err
}

// isPlaceholder tells whether a name can stand behind a dollar sign.
func isPlaceholder(name string) bool {
	if name == "" || len(name) > 63 || name[0] >= '0' && name[0] <= '9' {
		return false
	}
	return !slices.ContainsFunc([]byte(name), func(c byte) bool { return !isWordByte(c) })
}

func isWordByte(c byte) bool {
	return c == '_' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}
