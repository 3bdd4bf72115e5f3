package filter

import (
	"strings"
	"unicode/utf8"

	"fluxbase/persistence/query"
)

// scanner walks over one text.
type scanner struct {
	text string
	pos  int
}

func (s *scanner) end() bool  { return s.pos >= len(s.text) }
func (s *scanner) peek() byte { return s.text[s.pos] }

// at tells whether the text goes on with prefix.
func (s *scanner) at(prefix string) bool { return strings.HasPrefix(s.text[s.pos:], prefix) }

// skip moves past prefix if the text goes on with it.
func (s *scanner) skip(prefix string) bool {
	if !s.at(prefix) {
		return false
	}
	s.pos += len(prefix)
	return true
}

// space moves past white space.
func (s *scanner) space() {
	for !s.end() {
		switch s.peek() {
		case ' ', '\t', '\n', '\r':
			s.pos++
		default:
			return
		}
	}
}

func isNameByte(c byte) bool {
	return c == '_' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9'
}

// quoted reads a double-quoted text, in which a backslash takes the next
// character as it is.
func (s *scanner) quoted() (string, error) {
	start := s.pos
	s.pos++
	from := s.pos
	for !s.end() {
		switch s.peek() {
		case '"':
			text := s.text[from:s.pos]
			s.pos++
			return text, nil
		case '\\':
			s.pos = from
			return s.unescaped(start)
		default:
			s.pos++
		}
	}
	return "", s.openQuote(start)
}

func (s *scanner) openQuote(start int) error {
	return s.failAt(len(s.text), "", []string{`"\\"`, `"\""`}, "the quote in %q is not closed", s.text[start:])
}

// unescaped reads the rest of a quoted text that holds backslashes.
func (s *scanner) unescaped(start int) (string, error) {
	var b strings.Builder
	for !s.end() {
		c := s.peek()
		s.pos++
		switch c {
		case '"':
			return b.String(), nil
		case '\\':
			if s.end() {
				return "", s.openQuote(start)
			}
			b.WriteByte(s.peek())
			s.pos++
		default:
			b.WriteByte(c)
		}
	}
	return "", s.openQuote(start)
}

// name reads an identifier: quoted, or everything up to a character that the
// grammar uses. Space around it does not belong to it.
func (s *scanner) name() (string, error) {
	s.space()
	if s.end() {
		return "", s.fail([]string{aName}, "a name is missing at the end of %q", s.text)
	}
	if s.peek() == '"' {
		name, err := s.quoted()
		if err == nil && name == "" {
			err = invalid("a name is empty in %q", s.text)
		}
		s.space()
		return name, err
	}
	start := s.pos
	for !s.end() && !strings.ContainsRune(endOfName, rune(s.peek())) && !s.at("->") {
		s.pos++
	}
	name := strings.TrimSpace(s.text[start:s.pos])
	if name == "" {
		return "", s.failAt(start, "", []string{aName}, "a name is missing before %q", s.text[start:])
	}
	if !utf8.ValidString(name) || strings.IndexByte(name, 0) >= 0 {
		return "", invalid("%q is not a name", name)
	}
	return name, nil
}

// path reads a column and its JSON steps.
func (s *scanner) path() (query.Path, error) {
	column, err := s.name()
	if err != nil {
		return query.Path{}, err
	}
	p := query.Path{Column: column}
	for s.at("->") {
		if n := len(p.Steps); n > 0 && p.Steps[n-1].Text {
			return p, invalid("->> is not the last step of %q", s.text)
		}
		if len(p.Steps) == maxDepth {
			return p, invalid("the path %q is too deep", s.text)
		}
		s.pos += 2
		step := query.Step{Text: s.skip(">")}
		s.space()
		isQuoted := !s.end() && s.peek() == '"'
		if step.Key, err = s.name(); err != nil {
			return p, err
		}
		step.Index = !isQuoted && query.IsIndex(step.Key)
		p.Steps = append(p.Steps, step)
	}
	return p, nil
}

// ParsePath parses a column with its JSON steps, and nothing behind it.
func ParsePath(text string) (query.Path, error) {
	s := scanner{text: text}
	p, err := s.path()
	if err == nil && !s.end() {
		err = s.fail(append(afterName[:len(afterName):len(afterName)], aDot, theEnd), "unexpected %q in %q", s.text[s.pos:], text)
	}
	return p, err
}

// ParseNames parses a comma list of identifiers.
func ParseNames(text string) ([]string, error) {
	s := scanner{text: text}
	var names []string
	for {
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		names = append(names, name)
		if s.end() {
			return names, nil
		}
		if !s.skip(",") {
			return nil, s.fail([]string{"letter", "digit", `"-"`, `","`, theEnd}, "unexpected %q in %q", s.text[s.pos:], text)
		}
	}
}
