package query

import (
	"bytes"
	"slices"
	"unicode/utf8"
)

// MaxDepth is how deep JSON in a body may be nested.
const MaxDepth = 64

// Body is the JSON of a write. The text is kept as it came: PostgreSQL converts
// it, so that no digit is lost. Only its outline is known here.
type Body struct {
	// JSON is one object, or an array of objects.
	JSON []byte
	// Array tells which of the two.
	Array bool
	// Rows is the number of objects.
	Rows int
	// Keys are the distinct keys of all objects, in order of appearance.
	Keys []string
	// Common are those of Keys that every object has.
	Common []string
	// Uniform tells that every object has all Keys.
	Uniform bool
}

// ReadBody reads the outline of raw. It fails with INVALID_REQUEST_BODY when
// raw is no object and no array of objects, and with JSON_TOO_DEEP when it is
// nested deeper than MaxDepth. The body keeps raw: the caller must not reuse it.
func ReadBody(raw []byte) (Body, error) {
	raw = bytes.TrimSpace(raw)
	if !utf8.Valid(raw) {
		return Body{}, errSyntax
	}
	s := outline{text: raw}
	array, err := s.read()
	if err != nil {
		return Body{}, err
	}
	b := Body{JSON: raw, Array: array, Rows: s.rows, Keys: s.keys, Common: s.keys, Uniform: true}
	if !slices.ContainsFunc(s.seen, func(n int) bool { return n != s.rows }) {
		return b, nil
	}
	b.Uniform, b.Common = false, nil
	for i, key := range s.keys {
		if s.seen[i] == s.rows {
			b.Common = append(b.Common, key)
		}
	}
	return b, nil
}
