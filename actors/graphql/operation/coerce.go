package operation

import (
	"math"
	"strconv"
	"strings"

	"github.com/vektah/gqlparser/v2/ast"
)

// coercion turns what a client gave into values of the types that the schema says.
type coercion struct {
	types map[string]*ast.Definition
	// variables are those of the request, coerced.
	variables map[string]value
	// strict refuses a variable without a value wherever it stands: what it leaves out
	// would be a condition on what is written.
	strict bool
}

// argument coerces a literal of the document. absent tells that it is a variable
// without a value: as if it were not there.
func (c *coercion) argument(v *ast.Value, t *ast.Type, where string) (out value, absent bool, err error) {
	if v.Kind == ast.Variable {
		given, ok := c.variables[v.Raw]
		if !ok {
			if t.NonNull || c.strict {
				return value{}, false, badInput("%s needs the variable $%s, which has no value", where, v.Raw)
			}
			return value{}, true, nil
		}
		if given.kind == formNull && t.NonNull {
			return value{}, false, badInput("%s cannot be null", where)
		}
		// The rules say that the type of the variable fits. A value alone becomes a list.
		for e := t; e.Elem != nil && given.kind != formNull && given.kind != formList; e = e.Elem {
			given = value{kind: formList, list: []value{given}}
		}
		return given, false, nil
	}
	out, err = c.literal(v, t, where)
	return out, false, err
}

func (c *coercion) literal(v *ast.Value, t *ast.Type, where string) (value, error) {
	if v.Kind == ast.NullValue {
		if t.NonNull {
			return value{}, badInput("%s cannot be null", where)
		}
		return null, nil
	}
	if t.Elem != nil {
		if v.Kind != ast.ListValue {
			one, err := c.literal(v, t.Elem, where)
			return value{kind: formList, list: []value{one}}, err
		}
		out := value{kind: formList, list: make([]value, 0, len(v.Children))}
		for i, child := range v.Children {
			element, absent, err := c.argument(child.Value, t.Elem, where+"["+strconv.Itoa(i)+"]")
			if err != nil {
				return value{}, err
			}
			if absent {
				element = null
			}
			out.list = append(out.list, element)
		}
		return out, nil
	}
	def := c.types[t.NamedType]
	switch def.Kind {
	case ast.InputObject:
		if v.Kind != ast.ObjectValue {
			return value{}, badInput("%s must be a %s", where, def.Name)
		}
		return c.object(def, where, func(name string) (value, bool, error) {
			child := v.Children.ForName(name)
			if child == nil {
				return value{}, false, nil
			}
			out, absent, err := c.argument(child, def.Fields.ForName(name).Type, where+"."+name)
			return out, !absent, err
		}, func(known func(string) bool) error {
			for _, child := range v.Children {
				if !known(child.Name) {
					return unknownField(where, child.Name)
				}
			}
			return nil
		})
	case ast.Enum:
		if v.Kind != ast.EnumValue || def.EnumValues.ForName(v.Raw) == nil {
			return value{}, badInput("%s must be a %s", where, def.Name)
		}
		return value{kind: formLeaf, text: quoted(v.Raw)}, nil
	}
	out, _ := literal(v, c.variables)
	if v.Kind == ast.EnumValue {
		return value{}, badInput("%s must be a %s, not the word %s", where, def.Name, v.Raw)
	}
	return scalar(def.Name, out, where)
}

// given coerces JSON.
func (c *coercion) given(v value, t *ast.Type, where string) (value, error) {
	if v.kind == formNull {
		if t.NonNull {
			return value{}, badInput("%s cannot be null", where)
		}
		return null, nil
	}
	if t.Elem != nil {
		if v.kind != formList {
			one, err := c.given(v, t.Elem, where)
			return value{kind: formList, list: []value{one}}, err
		}
		out := value{kind: formList, list: make([]value, len(v.list))}
		for i := range v.list {
			var err error
			if out.list[i], err = c.given(v.list[i], t.Elem, where+"["+strconv.Itoa(i)+"]"); err != nil {
				return value{}, err
			}
		}
		return out, nil
	}
	def := c.types[t.NamedType]
	switch def.Kind {
	case ast.InputObject:
		if v.kind != formObject {
			return value{}, badInput("%s must be a %s", where, def.Name)
		}
		return c.object(def, where, func(name string) (value, bool, error) {
			given, ok := v.member(name)
			if !ok {
				return value{}, false, nil
			}
			out, err := c.given(given, def.Fields.ForName(name).Type, where+"."+name)
			return out, true, err
		}, func(known func(string) bool) error {
			for i := range v.members {
				if !known(v.members[i].name) {
					return unknownField(where, v.members[i].name)
				}
			}
			return nil
		})
	case ast.Enum:
		if v.kind != formLeaf || v.text[0] != '"' || def.EnumValues.ForName(v.leaf()) == nil {
			return value{}, badInput("%s must be a %s", where, def.Name)
		}
		return v, nil
	}
	return scalar(def.Name, v, where)
}

// object coerces the fields of an input object. field gives the coerced value of a
// field and whether there is one, unknown refuses what is no field.
func (c *coercion) object(def *ast.Definition, where string, field func(string) (value, bool, error), unknown func(known func(string) bool) error) (value, error) {
	if err := unknown(func(name string) bool { return def.Fields.ForName(name) != nil }); err != nil {
		return value{}, err
	}
	out := value{kind: formObject}
	for _, f := range def.Fields {
		given, ok, err := field(f.Name)
		switch {
		case err != nil:
			return value{}, err
		case ok:
		case f.DefaultValue != nil:
			if given, err = c.literal(f.DefaultValue, f.Type, where+"."+f.Name); err != nil {
				return value{}, err
			}
		case f.Type.NonNull:
			return value{}, badInput("%s.%s is missing", where, f.Name)
		default:
			continue
		}
		out.members = append(out.members, member{f.Name, given})
	}
	if def.Directives.ForName("oneOf") != nil && (len(out.members) != 1 || out.members[0].value.kind == formNull) {
		return value{}, badInput("%s must have exactly one field, which is not null", where)
	}
	return out, nil
}

// scalar refuses a value that is none of a scalar type. What PostgreSQL judges by
// itself, such as a date, is left to it.
func scalar(name string, v value, where string) (value, error) {
	if name == "JSON" {
		return v, nil
	}
	mismatch := func() (value, error) { return value{}, badInput("%s must be a %s", where, name) }
	if v.kind != formLeaf {
		return mismatch()
	}
	text := v.text[0] == '"'
	word := v.text[0] == 't' || v.text[0] == 'f'
	switch name {
	case "Boolean":
		if !word {
			return mismatch()
		}
	case "Int":
		// 1.0 is a whole number, too.
		n, err := strconv.ParseFloat(string(v.text), 64)
		if text || word || err != nil || n != math.Trunc(n) || n < math.MinInt32 || n > math.MaxInt32 {
			return mismatch()
		}
		v.text = strconv.AppendInt(nil, int64(n), 10)
	case "Float":
		if n, err := strconv.ParseFloat(string(v.text), 64); text || word || err != nil || math.IsInf(n, 0) {
			return mismatch()
		}
	case "BigInt":
		if word || !wholeNumber(v.leaf()) {
			return mismatch()
		}
	case "Numeric":
		if word {
			return mismatch()
		}
	default: // String, ID, and those that are written as texts
		if !text {
			return mismatch()
		}
	}
	return v, nil
}

// wholeNumber tells whether a text is a whole number, of any size.
func wholeNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	return s != "" && strings.Trim(s, "0123456789") == ""
}

// readVariables coerces the variables of a request for an operation.
func readVariables(types map[string]*ast.Definition, op *ast.OperationDefinition, raw []byte) (map[string]value, error) {
	given := value{kind: formObject}
	if len(raw) > 0 {
		var err error
		if given, err = readJSON(raw); err != nil || given.kind != formObject && given.kind != formNull {
			return nil, badInput("variables must be a JSON object")
		}
	}
	c := &coercion{types: types}
	out := make(map[string]value, len(op.VariableDefinitions))
	for _, d := range op.VariableDefinitions {
		where := "$" + d.Variable
		v, ok := given.member(d.Variable)
		var err error
		switch {
		case ok:
			v, err = c.given(v, d.Type, where)
		case d.DefaultValue != nil:
			v, err = c.literal(d.DefaultValue, d.Type, where)
		case d.Type.NonNull:
			err = badInput("%s of the type %s has no value", where, d.Type)
		default:
			continue
		}
		if err != nil {
			return nil, err
		}
		out[d.Variable] = v
	}
	return out, nil
}
