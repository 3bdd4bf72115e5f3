package sql

import (
	"bytes"
	"encoding/json"
	"strings"
)

// arrayLiteral writes values as a PostgreSQL array literal. Every value is
// quoted, so that none is taken for NULL or for a nested array.
func arrayLiteral(values []string) string {
	n := 2
	for _, v := range values {
		n += len(v) + 3
	}
	var b strings.Builder
	b.Grow(n)
	b.WriteByte('{')
	for i, v := range values {
		if i > 0 {
			b.WriteByte(',')
		}
		quoteElement(&b, v)
	}
	b.WriteByte('}')
	return b.String()
}

func quoteElement(b *strings.Builder, v string) {
	b.WriteByte('"')
	for i := range len(v) {
		if v[i] == '"' || v[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(v[i])
	}
	b.WriteByte('"')
}

// listItems reads the inside of "(a,\"b,c\")". Text that is no such list gives
// ok false.
func listItems(value string) (items []string, ok bool) {
	if len(value) < 2 || value[0] != '(' || value[len(value)-1] != ')' {
		return nil, false
	}
	inner := value[1 : len(value)-1]
	items = []string{}
	if strings.TrimSpace(inner) == "" {
		return items, true
	}
	for {
		var item strings.Builder
		rest := strings.TrimLeft(inner, " ")
		if strings.HasPrefix(rest, `"`) {
			i := 1
			for ; i < len(rest) && rest[i] != '"'; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				item.WriteByte(rest[i])
			}
			if i >= len(rest) {
				return nil, false
			}
			inner = strings.TrimLeft(rest[i+1:], " ")
			if inner != "" && inner[0] != ',' {
				return nil, false
			}
		} else {
			i := strings.IndexByte(inner, ',')
			if i < 0 {
				i = len(inner)
			}
			item.WriteString(inner[:i])
			inner = inner[i:]
		}
		items = append(items, item.String())
		if inner == "" {
			return items, true
		}
		inner = inner[1:]
	}
}

// arrayValue turns the spellings of an array into a literal: {a,b} stays, (a,b)
// and JSON arrays are rewritten. Anything else stays, for PostgreSQL to judge.
func arrayValue(value string) string {
	trimmed := strings.TrimSpace(value)
	if items, ok := listItems(trimmed); ok {
		return arrayLiteral(items)
	}
	if strings.HasPrefix(trimmed, "[") && json.Valid([]byte(trimmed)) {
		var b strings.Builder
		if jsonArray(&b, []byte(trimmed)) == nil {
			return b.String()
		}
	}
	return value
}

// jsonArray writes a JSON array as an array literal; inner arrays become
// dimensions, objects their JSON text.
func jsonArray(b *strings.Builder, raw []byte) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(raw, &elements); err != nil {
		return err
	}
	b.WriteByte('{')
	for i, e := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		switch e = bytes.TrimSpace(e); e[0] {
		case '[':
			if err := jsonArray(b, e); err != nil {
				return err
			}
		case '"':
			var s string
			if err := json.Unmarshal(e, &s); err != nil {
				return err
			}
			quoteElement(b, s)
		case 'n':
			b.WriteString("NULL")
		default:
			quoteElement(b, string(e))
		}
	}
	b.WriteByte('}')
	return nil
}

// jsonValue turns the spellings of a value for a jsonb column into JSON: JSON
// stays; (a,b) and {a,b} become an array whose items are JSON where they read as
// numbers or words of JSON, and strings otherwise.
func jsonValue(value string) string {
	trimmed := strings.TrimSpace(value)
	if json.Valid([]byte(trimmed)) {
		return value
	}
	list := trimmed
	if len(list) >= 2 && list[0] == '{' && list[len(list)-1] == '}' {
		list = "(" + list[1:len(list)-1] + ")"
	}
	items, ok := listItems(list)
	if !ok {
		return value
	}
	out := make([]json.RawMessage, len(items))
	for i, item := range items {
		raw := json.RawMessage(item)
		if !json.Valid(raw) {
			encoded, err := json.Marshal(item)
			if err != nil {
				return value
			}
			raw = encoded
		}
		out[i] = raw
	}
	encoded, err := json.Marshal(out)
	if err != nil {
		return value
	}
	return string(encoded)
}

// numeric tells whether a value reads as a plain number.
func numeric(value string) bool {
	if value == "" || strings.TrimLeft(value, "+-0123456789.eE") != "" {
		return false
	}
	value = strings.TrimPrefix(strings.TrimPrefix(value, "-"), "+")
	digits, dot := 0, false
	for i := range len(value) {
		switch c := value[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c == '.' && !dot:
			dot = true
		case (c == 'e' || c == 'E') && digits > 0:
			exponent := strings.TrimLeft(value[i+1:], "+-")
			return exponent != "" && len(exponent) <= 3 && len(value[i+1:])-len(exponent) <= 1 && strings.Trim(exponent, "0123456789") == ""
		default:
			return false
		}
	}
	return digits > 0
}
