package filter

import (
	"strings"

	"fluxbase/persistence/query"
)

// ParseLogic parses the value of an or=, and=, not.or= or not.and= parameter.
// The key is the parameter's name.
func ParseLogic(key, value string) (query.Condition, error) {
	s := scanner{text: value}
	negate, whole := false, key
	for {
		rest, cut := strings.CutPrefix(key, "not.")
		if !cut {
			break
		}
		key, negate = rest, !negate
	}
	if key != "or" && key != "and" {
		return nil, invalid("%q is neither or nor and", key)
	}
	s.space()
	c, err := s.group(key, 1)
	if err != nil {
		return nil, within(err, whole)
	}
	s.space()
	if !s.end() {
		return nil, within(s.fail([]string{theEnd}, "unexpected %q behind a logic tree", s.text[s.pos:]), whole)
	}
	if negate {
		return query.Not{Condition: c}, nil
	}
	return c, nil
}

// IsLogic tells whether a parameter's name is one that ParseLogic takes.
func IsLogic(key string) bool {
	for {
		rest, cut := strings.CutPrefix(key, "not.")
		if !cut {
			return key == "or" || key == "and"
		}
		key = rest
	}
}

// ParseTerms parses conditions parted by commas, without parentheses around
// them, into one group: "a.eq.1,b.eq.2".
func ParseTerms(kind, text string) (query.Condition, error) {
	return ParseLogic(kind, "("+text+")")
}

// group reads a parenthesised list of terms.
func (s *scanner) group(kind string, depth int) (query.Condition, error) {
	if depth > maxDepth {
		return nil, invalid("a logic tree is nested deeper than %d levels", maxDepth)
	}
	if !s.skip("(") {
		return nil, s.fail([]string{`"("`}, "%s takes conditions in parentheses", kind).WithHint("For example or=(a.eq.1,b.gt.2).")
	}
	var terms []query.Condition
	for {
		s.space()
		term, err := s.term(depth)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
		s.space()
		if s.skip(",") {
			continue
		}
		if s.skip(")") {
			break
		}
		if s.end() {
			return nil, s.fail([]string{`","`, `")"`}, "a group of conditions is not closed in %q", s.text)
		}
		return nil, s.fail([]string{`","`, `")"`}, "unexpected %q in a group of conditions", s.text[s.pos:])
	}
	if kind == "or" {
		return query.Or(terms), nil
	}
	return query.And(terms), nil
}

// term reads a nested group or one condition.
func (s *scanner) term(depth int) (query.Condition, error) {
	start, negate := s.pos, false
	for s.skip("not.") {
		negate = !negate
	}
	for _, kind := range [...]string{"and", "or"} {
		if !s.skip(kind) {
			continue
		}
		s.space()
		if !s.end() && s.peek() == '(' {
			c, err := s.group(kind, depth+1)
			if err == nil && negate {
				c = query.Not{Condition: c}
			}
			return c, err
		}
		break // a column whose name begins so
	}
	s.pos = start
	if !s.startsName() {
		return nil, s.fail([]string{aName, "negation operator (not)", "logic operator (and, or)"}, "a condition is missing before %q", s.text[start:])
	}
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	if !s.skip(".") {
		return nil, s.fail(append(afterName[:len(afterName):len(afterName)], aDot), "%s in a group has no operator", path).WithHint("Write conditions in a group as column.operator.value.")
	}
	e, err := s.operator(path)
	if err != nil {
		return nil, err
	}
	at := s.pos
	value, err := s.value()
	if err != nil {
		return nil, err
	}
	c, err := e.build(path, value)
	if err != nil {
		return nil, within(err, s.text[:at])
	}
	return c, nil
}
