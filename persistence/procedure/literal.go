package procedure

import (
	"bytes"
	"encoding/json"
	"strings"
)

// target is what PostgreSQL wants in a parameter's place.
type target struct {
	// json is json or jsonb, array an array, and elements tells that it is one of
	// json or jsonb.
	json, array, elements bool
}

// text gives a value as PostgreSQL reads it for a parameter of this kind: nil for
// NULL. A JSON text is taken as it is whatever is wanted, so that what has no form of
// its own in JSON can be written out.
func (t target) text(value json.RawMessage) any {
	switch {
	case value == nil:
		return nil
	case t.json:
		return string(value)
	case t.array && value[0] == '[':
		var b strings.Builder
		t.writeArray(&b, value)
		return b.String()
	}
	return plain(value)
}

// plain is a text without its quotes, and everything else as JSON has it.
func plain(value json.RawMessage) string {
	var text string
	if value[0] == '"' && json.Unmarshal(value, &text) == nil {
		return text
	}
	return string(value)
}

// writeArray writes an array constant: {1,"a b",NULL,{…}}.
func (t target) writeArray(b *strings.Builder, array json.RawMessage) {
	var items []json.RawMessage
	if json.Unmarshal(array, &items) != nil {
		b.Write(array) // it was valid when it was bound
		return
	}
	b.WriteByte('{')
	for i, item := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		item = bytes.TrimSpace(item)
		switch {
		case isNull(item):
			b.WriteString("NULL")
		case t.elements:
			quoteElement(b, string(item))
		case item[0] == '[':
			t.writeArray(b, item)
		default:
			quoteElement(b, plain(item))
		}
	}
	b.WriteByte('}')
}

func quoteElement(b *strings.Builder, text string) {
	b.WriteByte('"')
	for i := range len(text) {
		if text[i] == '"' || text[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(text[i])
	}
	b.WriteByte('"')
}
