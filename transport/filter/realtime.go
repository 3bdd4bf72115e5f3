package filter

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// ParseRealtime parses the filter of a subscription: conditions of the form
// column=[not.]operator.value that all must hold, parted by commas. A comma
// parts only where another condition follows it, so that plain values may hold
// commas; a value in double quotes may hold anything. Only operators that can
// be judged on a row alone are taken: eq neq gt gte lt lte in is like ilike
// match imatch isdistinct. An empty text is no filter: nil.
func ParseRealtime(text string) (query.Condition, error) {
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	var all []query.Condition
	for rest := text; rest != ""; {
		key, expression, next, ok := cutCondition(rest)
		if !ok {
			return nil, malformed(rest, nil)
		}
		path, err := ParsePath(key)
		if err != nil {
			return nil, malformed(rest, err)
		}
		c, err := realtimeExpression(path, expression)
		if err != nil {
			return nil, malformed(rest, err)
		}
		all = append(all, c)
		rest = next
	}
	return query.Conjoin(all...), nil
}

// malformed says what a condition looks like, and what is wrong with this one
// where that is known.
func malformed(condition string, why error) error {
	f := fault.Newf(fault.InvalidQuery, "invalid filter format: %s (expected: column=operator.value)", condition)
	if why != nil {
		f.Message += ": " + strings.TrimPrefix(fault.From(why).Message, invalidPrefix)
		f = f.WithCause(why)
	}
	return f
}

func realtimeExpression(path query.Path, text string) (query.Condition, error) {
	s := scanner{text: text}
	e, err := s.operator(path)
	if err != nil {
		return nil, err
	}
	switch e.op.Family() {
	case query.FamilyOrder, query.FamilyPattern, query.FamilyList, query.FamilyIs:
	default:
		return nil, invalid("%s cannot filter a subscription", e.op)
	}
	value := text[s.pos:]
	if e.quantifier == query.QuantifyNone && e.op != query.In && len(value) > 1 && value[0] == '"' && value[len(value)-1] == '"' {
		q := scanner{text: value}
		if value, err = q.quoted(); err != nil {
			return nil, err
		}
		if !q.end() {
			return nil, invalid("unexpected text after a quoted value in %q", text)
		}
	}
	return e.build(path, value)
}

// cutCondition cuts the first condition off a comma list.
func cutCondition(text string) (key, expression, rest string, ok bool) {
	s := scanner{text: text}
	if key, ok = s.conditionKey(); !ok {
		return "", "", "", false
	}
	start := s.pos
	for !s.end() {
		switch s.peek() {
		case '"':
			from := s.pos
			if _, err := s.quoted(); err != nil {
				s.pos = from + 1 // a lone quote is an ordinary character
			}
		case ',':
			next := scanner{text: text, pos: s.pos + 1}
			if _, follows := next.conditionKey(); follows && next.atOperator() {
				return key, text[start:s.pos], text[s.pos+1:], true
			}
			s.pos++
		default:
			s.pos++
		}
	}
	return key, text[start:], "", true
}

// conditionKey reads a path and the equals sign behind it.
func (s *scanner) conditionKey() (string, bool) {
	start := s.pos
	if _, err := s.path(); err != nil {
		return "", false
	}
	key := s.text[start:s.pos]
	return key, s.skip("=")
}

// atOperator tells whether an operator follows.
func (s *scanner) atOperator() bool {
	_, err := (&scanner{text: s.text, pos: s.pos}).operator(query.Path{})
	return err == nil
}
