package sql

import (
	"bytes"
	"fmt"
)

// ReadRecord reads the text of a record, as PostgreSQL writes one: (a,"b ""c""",).
// fields is reused; a nil field is NULL. The fields live until text changes.
func ReadRecord(text []byte, fields [][]byte) ([][]byte, error) {
	fields = fields[:0]
	if len(text) < 2 || text[0] != '(' || text[len(text)-1] != ')' {
		return nil, fmt.Errorf("no record: %q", text)
	}
	rest := text[1 : len(text)-1]
	for {
		var field []byte
		switch {
		case len(rest) > 0 && rest[0] == '"':
			var err error
			if field, rest, err = quotedField(rest); err != nil {
				return nil, err
			}
		default:
			end := bytes.IndexByte(rest, ',')
			if end < 0 {
				end = len(rest)
			}
			if end > 0 {
				field = rest[:end]
			}
			rest = rest[end:]
		}
		fields = append(fields, field)
		if len(rest) == 0 {
			return fields, nil
		}
		if rest[0] != ',' {
			return nil, fmt.Errorf("no record: %q", text)
		}
		rest = rest[1:]
	}
}

// quotedField reads a field in quotes, in which quotes and backslashes are doubled.
func quotedField(text []byte) (field, rest []byte, err error) {
	field = make([]byte, 0, len(text))
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c != '"' && c != '\\':
			field = append(field, c)
		case i+1 < len(text) && (text[i+1] == c || c == '\\'):
			i++
			field = append(field, text[i])
		case c == '"':
			return field, text[i+1:], nil
		}
	}
	return nil, nil, fmt.Errorf("no record: a quote is not closed")
}
