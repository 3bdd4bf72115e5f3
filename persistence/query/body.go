package query

import (
	"bytes"
	"encoding/json"
	"fmt"
	"unicode/utf8"

	"fluxbase/persistence/fault"
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
	if len(raw) == 0 || !utf8.Valid(raw) || !json.Valid(raw) {
		return Body{}, fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("The body must be a JSON object or an array of objects.")
	}
	s := outline{text: raw, seen: make(map[string]int, 8)}
	b := Body{JSON: raw, Uniform: true}
	switch raw[0] {
	case '{':
		if err := s.object(1); err != nil {
			return Body{}, err
		}
		b.Rows = 1
	case '[':
		b.Array = true
		if err := s.array(); err != nil {
			return Body{}, err
		}
		b.Rows = s.rows
	default:
		return Body{}, fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("The body must be a JSON object or an array of objects.")
	}
	b.Keys, b.Common = s.keys, s.keys
	if s.uneven() {
		b.Uniform, b.Common = false, nil
		for _, key := range s.keys {
			if s.seen[key] == s.rows {
				b.Common = append(b.Common, key)
			}
		}
	}
	return b, nil
}

// outline walks over JSON that is known to be valid.
type outline struct {
	text []byte
	pos  int
	rows int
	keys []string
	// seen counts in how many objects a key was seen; last is the row that
	// counted it last, so that a repeated key counts once.
	seen map[string]int
	last map[string]int
}

// uneven tells whether a key is absent from an object.
func (s *outline) uneven() bool {
	for _, n := range s.seen {
		if n != s.rows && s.rows > 0 {
			return true
		}
	}
	return false
}

func (s *outline) space() {
	for s.pos < len(s.text) {
		switch s.text[s.pos] {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

// array walks the top-level array.
func (s *outline) array() error {
	s.pos++
	s.space()
	if s.text[s.pos] == ']' {
		return nil
	}
	for {
		s.space()
		if s.text[s.pos] != '{' {
			return fault.New(fault.InvalidRequestBody, "Invalid request body").
				WithHint(fmt.Sprintf("Element %d of the array is not an object.", s.rows+1))
		}
		if err := s.object(2); err != nil {
			return err
		}
		s.space()
		if s.text[s.pos] == ']' {
			return nil
		}
		s.pos++ // the comma
	}
}

// object walks one row, which starts at the current position, at that depth.
func (s *outline) object(depth int) error {
	s.rows++
	s.pos++
	s.space()
	if s.text[s.pos] == '}' {
		s.pos++
		return nil
	}
	for {
		s.space()
		if err := s.key(); err != nil {
			return err
		}
		s.space()
		s.pos++ // the colon
		if err := s.value(depth); err != nil {
			return err
		}
		s.space()
		s.pos++
		if s.text[s.pos-1] == '}' {
			return nil
		}
	}
}

func (s *outline) key() error {
	start := s.pos
	s.str()
	quoted := s.text[start:s.pos]
	raw := quoted[1 : len(quoted)-1]
	var key string
	if bytes.IndexByte(raw, '\\') < 0 {
		if _, known := s.seen[string(raw)]; known { // no allocation for a known key
			key = s.known(raw)
		} else {
			key = string(raw)
		}
	} else if err := json.Unmarshal(quoted, &key); err != nil {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithCause(err)
	}
	n, known := s.seen[key]
	if !known {
		s.keys = append(s.keys, key)
	} else if s.rows == 1 || s.last[key] == s.rows {
		return nil // the same key twice in one object
	}
	s.seen[key] = n + 1
	if s.rows > 1 {
		if s.last == nil {
			s.last = make(map[string]int, len(s.keys))
		}
		s.last[key] = s.rows
	}
	return nil
}

// known finds the string of a key that was seen, so that it is not made again.
func (s *outline) known(raw []byte) string {
	for _, k := range s.keys {
		if k == string(raw) {
			return k
		}
	}
	return string(raw)
}

// str moves past the string that starts here.
func (s *outline) str() {
	s.pos++
	for {
		switch s.text[s.pos] {
		case '\\':
			s.pos += 2
		case '"':
			s.pos++
			return
		default:
			s.pos++
		}
	}
}

// value moves past any value, which lies inside depth levels.
func (s *outline) value(depth int) error {
	s.space()
	open := depth
	for {
		switch c := s.text[s.pos]; c {
		case '"':
			s.str()
		case '{', '[':
			open++
			if open > MaxDepth {
				return fault.Newf(fault.JSONTooDeep, "JSON is nested deeper than %d levels", MaxDepth)
			}
			s.pos++
			continue
		case '}', ']':
			open--
			s.pos++
		case ',', ':', ' ', '\t', '\n', '\r':
			s.pos++
			continue
		default: // a number or a word
			for s.pos < len(s.text) && !bytes.ContainsRune(delimiters, rune(s.text[s.pos])) {
				s.pos++
			}
		}
		if open == depth {
			return nil
		}
	}
}

var delimiters = []byte(",:]} \t\n\r")
