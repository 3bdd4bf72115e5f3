package query

import (
	"bytes"
	"encoding/json"
	"fmt"

	"fluxbase/persistence/fault"
)

// outline reads the rows of a body in one pass: it checks the grammar of RFC 8259,
// the depth, and that rows are objects, and gathers their keys. It makes nothing of
// the values but their ends.
type outline struct {
	text []byte
	pos  int
	rows int

	// keys are the distinct keys in order of appearance. seen counts in how many
	// rows each was, last is the row that counted it last: a key that a row repeats
	// counts once.
	keys []string
	seen []int
	last []int
	// next is where the key of a row like the one before would be found.
	next int
	// places finds a key among many; nil as long as they are few.
	places map[string]int
}

// fewKeys is how many keys are looked through one by one.
const fewKeys = 16

// errSyntax is a body that is no JSON, or not the JSON of rows.
var errSyntax = fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint("The body must be a JSON object or an array of objects.")

// read reads the whole text, which is an object or an array of objects.
func (s *outline) read() (array bool, err error) {
	s.space()
	switch s.peek() {
	case '{':
		err = s.row(1)
	case '[':
		array, err = true, s.array()
	default:
		err = errSyntax
	}
	if err != nil {
		return array, err
	}
	if s.space(); s.pos != len(s.text) {
		return array, errSyntax
	}
	return array, nil
}

// peek is the byte at the current position; 0, which begins nothing, at the end.
func (s *outline) peek() byte {
	if s.pos < len(s.text) {
		return s.text[s.pos]
	}
	return 0
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

// array reads the top-level array.
func (s *outline) array() error {
	s.pos++
	s.space()
	if s.peek() == ']' {
		s.pos++
		return nil
	}
	for {
		if s.space(); s.peek() != '{' {
			return fault.New(fault.InvalidRequestBody, "Invalid request body").
				WithHint(fmt.Sprintf("Element %d of the array is not an object.", s.rows+1))
		}
		if err := s.row(2); err != nil {
			return err
		}
		more, err := s.more(']')
		if !more {
			return err
		}
	}
}

// more moves past what stands behind an element: a comma, or the end.
func (s *outline) more(end byte) (bool, error) {
	s.space()
	c := s.peek()
	s.pos++
	switch c {
	case ',':
		return true, nil
	case end:
		return false, nil
	}
	return false, errSyntax
}

// row reads one row, which starts at the current position, at that depth.
func (s *outline) row(depth int) error {
	s.rows++
	s.next = 0
	s.pos++
	s.space()
	if s.peek() == '}' {
		s.pos++
		return nil
	}
	for {
		if err := s.key(); err != nil {
			return err
		}
		if err := s.member(depth); err != nil {
			return err
		}
		more, err := s.more('}')
		if !more {
			return err
		}
	}
}

// member reads the colon and the value behind a key.
func (s *outline) member(depth int) error {
	s.space()
	if s.peek() != ':' {
		return errSyntax
	}
	s.pos++
	return s.value(depth)
}

// key reads and counts a key of a row.
func (s *outline) key() error {
	s.space()
	start := s.pos
	plain, ok := s.str()
	if !ok {
		return errSyntax
	}
	raw := s.text[start+1 : s.pos-1]
	if !plain {
		var key string
		if err := json.Unmarshal(s.text[start:s.pos], &key); err != nil {
			return errSyntax.WithCause(err)
		}
		raw = []byte(key)
	}
	place := s.place(raw)
	if place == len(s.keys) {
		s.keys, s.seen, s.last = append(s.keys, string(raw)), append(s.seen, 0), append(s.last, 0)
		if s.places != nil {
			s.places[s.keys[place]] = place
		}
	}
	if s.last[place] != s.rows {
		s.seen[place]++
		s.last[place] = s.rows
	}
	s.next = place + 1
	return nil
}

// place is where the key is among the known ones; behind them when it is new.
func (s *outline) place(key []byte) int {
	if s.next < len(s.keys) && s.keys[s.next] == string(key) {
		return s.next
	}
	if len(s.keys) > fewKeys && s.places == nil {
		s.places = make(map[string]int, 4*fewKeys)
		for i, k := range s.keys {
			s.places[k] = i
		}
	}
	if s.places != nil {
		if i, ok := s.places[string(key)]; ok {
			return i
		}
		return len(s.keys)
	}
	for i, k := range s.keys {
		if k == string(key) {
			return i
		}
	}
	return len(s.keys)
}

// ordinary are the bytes that stand for themselves in a string.
var ordinary = func() (t [256]bool) {
	for c := range t {
		t[c] = c >= ' ' && c != '"' && c != '\\'
	}
	return t
}()

// str moves past a string; plain tells that it has no escapes.
func (s *outline) str() (plain, ok bool) {
	if s.peek() != '"' {
		return false, false
	}
	plain = true
	text, i := s.text, s.pos+1
	for {
		for i < len(text) && ordinary[text[i]] {
			i++
		}
		if i >= len(text) {
			return false, false
		}
		switch text[i] {
		case '"':
			s.pos = i + 1
			return plain, true
		case '\\':
			n := escape(text[i+1:])
			if n == 0 {
				return false, false
			}
			plain = false
			i += 1 + n
		default: // a control character
			return false, false
		}
	}
}

// escape is the length of what follows a backslash; 0 when nothing sensible does.
func escape(text []byte) int {
	if len(text) == 0 {
		return 0
	}
	switch text[0] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
		if len(text) < 5 {
			return 0
		}
		for _, c := range text[1:5] {
			if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
				return 0
			}
		}
		return 5
	}
	return 0
}

// value moves past any value, which lies inside depth levels.
func (s *outline) value(depth int) error {
	s.space()
	ok := false
	switch c := s.peek(); c {
	case '"':
		_, ok = s.str()
	case '{', '[':
		if depth == MaxDepth {
			return fault.Newf(fault.JSONTooDeep, "JSON is nested deeper than %d levels", MaxDepth)
		}
		return s.nested(c == '{', depth+1)
	case 't':
		ok = s.word("true")
	case 'f':
		ok = s.word("false")
	case 'n':
		ok = s.word("null")
	default:
		ok = s.number()
	}
	if !ok {
		return errSyntax
	}
	return nil
}

// nested moves past an object or an array inside a row.
func (s *outline) nested(object bool, depth int) error {
	end := byte(']')
	if object {
		end = '}'
	}
	s.pos++
	s.space()
	if s.peek() == end {
		s.pos++
		return nil
	}
	for {
		var err error
		if object {
			s.space()
			if _, ok := s.str(); !ok {
				return errSyntax
			}
			err = s.member(depth)
		} else {
			err = s.value(depth)
		}
		if err != nil {
			return err
		}
		more, err := s.more(end)
		if !more {
			return err
		}
	}
}

func (s *outline) word(w string) bool {
	if !bytes.HasPrefix(s.text[s.pos:], []byte(w)) {
		return false
	}
	s.pos += len(w)
	return true
}

// number moves past a number.
func (s *outline) number() bool {
	if s.peek() == '-' {
		s.pos++
	}
	if s.peek() == '0' {
		s.pos++
	} else if !s.digits() {
		return false
	}
	if s.peek() == '.' {
		s.pos++
		if !s.digits() {
			return false
		}
	}
	if s.peek()|0x20 == 'e' {
		s.pos++
		if c := s.peek(); c == '+' || c == '-' {
			s.pos++
		}
		return s.digits()
	}
	return true
}

// digits moves past digits; there must be one at least.
func (s *outline) digits() bool {
	start := s.pos
	for c := s.peek(); c >= '0' && c <= '9'; c = s.peek() {
		s.pos++
	}
	return s.pos > start
}
