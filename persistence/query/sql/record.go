package sql

import (
	"bytes"
	"fmt"
	"slices"
)

// readRecord reads the text of a record, as PostgreSQL writes one: (a,"b ""c""",).
// fields is reused; a nil field is NULL. The fields live until text changes.
func readRecord(text []byte, fields [][]byte) ([][]byte, error) {
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

// quotedInRecord are the bytes for which a field of a record stands in quotes.
var quotedInRecord = [256]bool{'"': true, '\\': true, '(': true, ')': true, ',': true, ' ': true, '\t': true, '\n': true, '\v': true, '\f': true, '\r': true}

// appendRecord writes the text of a record, as PostgreSQL does, without the
// parentheses.
func appendRecord(out []byte, fields [][]byte) []byte {
	for i, field := range fields {
		if i > 0 {
			out = append(out, ',')
		}
		switch {
		case field == nil:
		case len(field) > 0 && !slices.ContainsFunc(field, func(c byte) bool { return quotedInRecord[c] }):
			out = append(out, field...)
		default:
			out = append(out, '"')
			for _, c := range field {
				if c == '"' || c == '\\' {
					out = append(out, c)
				}
				out = append(out, c)
			}
			out = append(out, '"')
		}
	}
	return out
}
