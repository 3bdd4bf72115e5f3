package policy

import (
	"math"
	"strconv"
	"strings"
)

// Kind is the type of values, as far as comparing goes.
type Kind uint8

// The kinds. Those of columns are Text, UUID, Integer and Boolean.
const (
	// Other values are not looked at.
	Other Kind = iota
	Text
	UUID
	Integer
	Boolean

	jsonKind
	jsonbKind
	nullKind // a NULL of no type
)

// Value is a value of a column or of a claim; the zero Value is NULL. It is
// comparable: of one kind, equal Values are equal to PostgreSQL.
type Value struct {
	set    bool
	number int64  // of integers and booleans
	text   string // of text, and of uuids in lower case
}

func textValue(s string) Value { return Value{set: true, text: s} }
func intValue(n int64) Value   { return Value{set: true, number: n} }
func boolValue(b bool) Value {
	v := Value{set: true}
	if b {
		v.number = 1
	}
	return v
}

func (v Value) isTrue() bool  { return v.set && v.number != 0 }
func (v Value) isFalse() bool { return v.set && v.number == 0 }

// asText is the value as its type's output prints it.
func (v Value) asText(k Kind) Value {
	if !v.set {
		return v
	}
	switch k {
	case Integer:
		return textValue(strconv.FormatInt(v.number, 10))
	case Boolean:
		return textValue(strconv.FormatBool(v.number != 0))
	}
	return v
}

// typeOf is what is known of a type.
type typeOf struct {
	kind     Kind
	list     bool
	min, max int64 // of integers
}

var types = map[string]typeOf{
	"text":              {kind: Text},
	"character varying": {kind: Text},
	"uuid":              {kind: UUID},
	"boolean":           {kind: Boolean},
	"smallint":          {kind: Integer, min: math.MinInt16, max: math.MaxInt16},
	"integer":           {kind: Integer, min: math.MinInt32, max: math.MaxInt32},
	"bigint":            {kind: Integer, min: math.MinInt64, max: math.MaxInt64},
	"json":              {kind: jsonKind},
	"jsonb":             {kind: jsonbKind},
}

// typeNamed finds a type, also of lists.
func typeNamed(name string) (typeOf, bool) {
	element, list := strings.CutSuffix(name, "[]")
	t, ok := types[element]
	t.list = list
	return t, ok && (!list || t.kind <= Boolean)
}

// parseValue reads a text as PostgreSQL's input of the type does. decided is
// false where it would refuse, and where it takes more than is taken here.
func parseValue(text string, t typeOf) (v Value, decided bool) {
	switch t.kind {
	case Text:
		return textValue(text), true
	case UUID:
		if !isUUID(text) {
			return Value{}, false
		}
		return textValue(strings.ToLower(text)), true
	case Integer:
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil || n < t.min || n > t.max || strconv.FormatInt(n, 10) != text {
			return Value{}, false
		}
		return intValue(n), true
	case Boolean:
		switch text {
		case "true", "t":
			return boolValue(true), true
		case "false", "f":
			return boolValue(false), true
		}
	}
	return Value{}, false
}

// isUUID tells whether a text is a uuid in the usual form.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		switch c := s[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			if c != '-' {
				return false
			}
		case c >= '0' && c <= '9', c >= 'a' && c <= 'f', c >= 'A' && c <= 'F':
		default:
			return false
		}
	}
	return true
}
