package filter

import "strings"

// list reads a list of values in parentheses. Commas part them; a value in
// double quotes may hold anything. A missing pair of parentheses is an error, an
// empty list is not.
func list(text string) ([]string, error) {
	inner := strings.TrimSpace(text)
	if len(inner) < 2 || inner[0] != '(' || inner[len(inner)-1] != ')' {
		s := scanner{text: text}
		if s.space(); s.skip("(") {
			return nil, s.failAt(len(text), "", []string{`","`, `")"`}, "%q is not a list of values", text).WithHint("Write a list as (a,b,c).")
		}
		return nil, s.fail([]string{`"("`}, "%q is not a list of values", text).WithHint("Write a list as (a,b,c).")
	}
	return items(inner[1:len(inner)-1], text)
}

// array reads a one-dimensional array literal: {a,"b,c"}; parentheses are
// taken too.
func array(text string) ([]string, error) {
	inner := strings.TrimSpace(text)
	if len(inner) >= 2 && (inner[0] == '{' && inner[len(inner)-1] == '}' || inner[0] == '(' && inner[len(inner)-1] == ')') {
		return items(inner[1:len(inner)-1], text)
	}
	return nil, invalid("%q is not a list of values", text).WithHint("Write the values of any and all as {a,b,c}.")
}

// Items reads values parted by commas, as they stand between the parentheses
// of a list: quoted ones lose their quotes, others are taken as they are.
func Items(inner string) ([]string, error) { return items(inner, inner) }

func items(inner, whole string) ([]string, error) {
	values := []string{}
	if strings.TrimSpace(inner) == "" {
		return values, nil
	}
	s := scanner{text: inner}
	for {
		start := s.pos
		s.space()
		if !s.end() && s.peek() == '"' {
			value, err := s.quoted()
			if err != nil {
				return nil, err
			}
			s.space()
			if !s.end() && s.peek() != ',' {
				return nil, invalid("unexpected text after a quoted value in %q", whole)
			}
			values = append(values, value)
		} else {
			s.pos = start
			end := strings.IndexByte(s.text[start:], ',')
			if end < 0 {
				end = len(s.text) - start
			}
			values = append(values, s.text[start:start+end])
			s.pos = start + end
		}
		if s.end() {
			return values, nil
		}
		s.pos++ // the comma
	}
}

// value reads one value of a logic tree: quoted, bracketed, or plain up to a
// comma or the parenthesis that closes the group.
func (s *scanner) value() (string, error) {
	if s.end() {
		return "", nil
	}
	start := s.pos
	switch s.peek() {
	case '"':
		value, err := s.quoted()
		if err == nil && !s.end() && s.peek() != ',' && s.peek() != ')' {
			err = invalid("unexpected text after a quoted value in %q", s.text)
		}
		return value, err
	case '(', '[', '{':
		if err := s.bracketed(); err != nil {
			return "", err
		}
	}
	for !s.end() && s.peek() != ',' && s.peek() != ')' {
		s.pos++
	}
	return s.text[start:s.pos], nil
}

// bracketed moves past a balanced group. Round and square brackets close each
// other, because ranges are written [1,5).
func (s *scanner) bracketed() error {
	start, depth := s.pos, 0
	for !s.end() {
		switch s.peek() {
		case '"':
			if _, err := s.quoted(); err != nil {
				return err
			}
			continue
		case '(', '[', '{':
			depth++
		case ')', ']', '}':
			depth--
		}
		s.pos++
		if depth == 0 {
			return nil
		}
	}
	return invalid("the bracket in %q is not closed", s.text[start:])
}
