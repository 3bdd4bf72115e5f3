// Package exposed says what the tables, views and functions of a database look
// like in documents: rows, what can be written, and what can be asked, each as far
// as a role may.
package exposed

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi/schema"
)

// value is a value of a type as an answer has it.
func value(t *catalog.Type, typeName string) *schema.Schema {
	if t == nil {
		return schema.Any()
	}
	switch t.Kind {
	case catalog.Domain:
		if t.Base != nil {
			return value(t.Base, t.Base.Name)
		}
	case catalog.Enum:
		return schema.Enum(t.Labels...)
	case catalog.Array:
		// How many dimensions an array has is a matter of its value.
		return schema.Array(element(t.Element))
	case catalog.Composite:
		return schema.Open()
	case catalog.Range, catalog.Multirange:
		return schema.Formatted(t.Name)
	case catalog.Pseudo:
		return schema.Any()
	}
	switch t.Name {
	case "bool":
		return schema.Boolean()
	case "int2", "int4":
		return &schema.Schema{Type: "integer", Format: "int32"}
	case "int8":
		return &schema.Schema{Type: "integer", Format: "int64"}
	case "float4":
		return &schema.Schema{Type: "number", Format: "float"}
	case "float8":
		return &schema.Schema{Type: "number", Format: "double"}
	case "numeric":
		return schema.Number()
	case "json", "jsonb":
		return schema.Any()
	case "uuid":
		return schema.Formatted("uuid")
	case "timestamptz":
		return schema.Formatted("date-time")
	case "date":
		return schema.Formatted("date")
	case "hstore", "geometry", "geography":
		return schema.Open()
	case "text", "varchar", "bpchar", "name", "citext", "xml":
		return schema.Text()
	}
	return schema.Formatted(t.Name)
}

// element is a value in an array, which may be null.
func element(t *catalog.Type) *schema.Schema {
	if t == nil {
		return schema.Any()
	}
	return value(t, t.Name).OrNull()
}

// describe is what there is to say of a column beside its form.
func describe(c *catalog.Column, r *catalog.Relation) string {
	said := c.TypeName
	if c.Comment != "" {
		said = c.Comment + " (" + c.TypeName + ")"
	}
	if slices.Contains(r.PrimaryKey, c.Name) {
		said += ", primary key"
	}
	for _, k := range r.ForeignKeys {
		if i := slices.Index(k.Columns, c.Name); i >= 0 {
			said += ", refers to " + k.Schema + "." + k.Table + "." + k.Referenced[i]
		}
	}
	return said
}

// read is a column of a row that is answered.
func read(c *catalog.Column, r *catalog.Relation) *schema.Schema {
	s := value(c.Type, c.TypeName)
	if c.Nullable {
		s = s.OrNull()
	}
	s = s.Described(describe(c, r))
	if c.Generated || c.Identity == catalog.IdentityAlways {
		s.ReadOnly = true
	}
	return s
}

// written is a column of a row that is given. PostgreSQL reads the value: a text is
// as good as a number.
func written(c *catalog.Column, r *catalog.Relation) *schema.Schema {
	s := value(c.Type, c.TypeName)
	if c.Nullable {
		s = s.OrNull()
	}
	s = s.Described(describe(c, r))
	if n := length(c.TypeName); n > 0 && s.Type == "string" {
		s.MaxLength = n
	}
	if d, ok := constant(c.Default); ok {
		s.Default = d
	} else if c.Default != "" {
		s.Description += ", by default " + c.Default
	}
	return s
}

// length is the n of character varying(n) and character(n); 0 for none.
func length(typeName string) int {
	for _, name := range []string{"character varying(", "character("} {
		if rest, ok := strings.CutPrefix(typeName, name); ok {
			if n, err := strconv.Atoi(strings.TrimSuffix(rest, ")")); err == nil {
				return n
			}
		}
	}
	return 0
}

// constant is a default that is a number, a truth value or a text.
func constant(expression string) (json.RawMessage, bool) {
	switch expression {
	case "true", "false":
		return json.RawMessage(expression), true
	}
	if rest, ok := strings.CutPrefix(expression, "'"); ok {
		text, cast, closed := strings.Cut(rest, "'")
		// A cast follows the text; what is quoted in the text is left alone.
		if kind, ok := strings.CutPrefix(cast, "::"); closed && ok && (kind == "text" || strings.HasPrefix(kind, "character")) {
			literal, err := json.Marshal(text)
			return literal, err == nil
		}
		return nil, false
	}
	if json.Valid([]byte(expression)) && expression != "null" && strings.Trim(expression, "-0123456789.") == "" {
		return json.RawMessage(expression), true
	}
	return nil, false
}
