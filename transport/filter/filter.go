// Package filter is the text grammar of queries: conditions, logic trees,
// select lists and order lists as they stand in a URL or in a subscription.
// Every dialect that takes such text parses it here, into persistence/query.
//
// The parsers never guess and never drop anything: text that they do not
// understand is a fault with the code INVALID_QUERY that says where. They check
// no name against the database; the compiler does that.
//
// Conditions come in two spellings. The operator is the value's head
// (age=gt.18) or the key's tail (age.gt=18); both mean the same, both take the
// prefix not and the modifiers any and all, and text search takes a language:
//
//	age=gte.18            age.gte=18
//	deleted_at=is.null    deleted_at.is.null
//	status=not.in.(a,"b,c")
//	name=like(any).{a*,b*}
//	body=fts(english).cat
//	data->address->>city=eq.Oslo
//
// Logic trees nest: or=(a.eq.1,not.and(b.gt.2,c.is.null)).
package filter

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// aliases are further names for operators, with what they stand for.
var aliases = map[string]struct {
	op     query.Operator
	negate bool
}{
	"nin":   {query.In, true},
	"isnot": {query.Is, true},
}

// maxDepth bounds the nesting of logic trees, select lists and lists of values.
const maxDepth = 32

// invalidPrefix begins the messages about parameters of requests.
const invalidPrefix = "Invalid query parameters: "

func invalid(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.InvalidQuery, invalidPrefix+format, args...)
}

// ParseCondition parses one parameter, in either spelling.
func ParseCondition(key, value string) (query.Condition, error) {
	path, tail, err := splitKey(key)
	if err != nil {
		return nil, err
	}
	if tail == "" {
		return ParseExpression(path, value)
	}
	expression, err := joinTail(key, tail, value)
	if err != nil {
		return nil, err
	}
	return ParseExpression(path, expression)
}

// ParseParameter parses a condition or, by its name, a logic tree.
func ParseParameter(p Parameter) (query.Condition, error) {
	if IsLogic(p.Key) {
		return ParseLogic(p.Key, p.Value)
	}
	return ParseCondition(p.Key, p.Value)
}

// Head gives the first name of a dotted key and the rest after the dot: the
// part of a condition that may name an embed. ok is false when the key has no
// dot outside quotes.
func Head(key string) (head, rest string, ok bool) {
	s := scanner{text: key}
	for !s.end() {
		switch s.peek() {
		case '"':
			if _, err := s.quoted(); err != nil {
				return "", "", false
			}
		case '.':
			return key[:s.pos], key[s.pos+1:], true
		default:
			s.pos++
		}
	}
	return "", "", false
}

// splitKey cuts a key into its path and the tail after the first dot.
func splitKey(key string) (query.Path, string, error) {
	s := scanner{text: key}
	path, err := s.path()
	if err != nil {
		return path, "", err
	}
	switch {
	case s.end():
		return path, "", nil
	case s.peek() == '.':
		if s.pos+1 == len(s.text) {
			return path, "", invalid("%q has no operator after its dot", key)
		}
		return path, s.text[s.pos+1:], nil
	}
	return path, "", invalid("unexpected %q in %q", string(s.text[s.pos:]), key)
}

// joinTail makes the value spelling out of the key spelling. The tail is an
// operator whose value is the parameter's value, or the whole expression when
// the parameter has none (deleted_at.is.null).
func joinTail(key, tail, value string) (string, error) {
	if endsInOperator(tail) {
		return tail + "." + value, nil
	}
	if value == "" {
		return tail, nil
	}
	return "", invalid("%q does not end in a known operator", key)
}

// endsInOperator tells whether the text is [not.]… and one operator with its
// modifier, and nothing more. A bare not counts: age.not=eq.5.
func endsInOperator(tail string) bool {
	for {
		rest, cut := strings.CutPrefix(tail, "not.")
		if !cut {
			break
		}
		tail = rest
	}
	if tail == "not" {
		return true
	}
	name, _, _ := strings.Cut(tail, "(")
	if name != tail && !strings.HasSuffix(tail, ")") {
		return false
	}
	if strings.Contains(name, ".") {
		return false
	}
	_, alias := aliases[name]
	return alias || query.Operator(name).Family() != query.FamilyUnknown
}

// ParseExpression parses what follows a column: [not.]operator[(modifier)].value,
// where the value is the whole rest of the text.
func ParseExpression(path query.Path, text string) (query.Condition, error) {
	s := scanner{text: text}
	head, err := s.operator(path)
	if err != nil {
		return nil, err
	}
	c, err := head.build(path, text[s.pos:])
	if err != nil {
		return nil, within(err, text[:s.pos])
	}
	return c, nil
}

// expression is an operator with what stands before its value.
type expression struct {
	op         query.Operator
	negate     bool
	quantifier query.Quantifier
	language   string
}

// operator reads [not.]operator[(modifier)] and the dot behind it.
func (s *scanner) operator(path query.Path) (expression, error) {
	var e expression
	for s.skip("not.") {
		e.negate = !e.negate
	}
	start := s.pos
	for !s.end() && isNameByte(s.peek()) {
		s.pos++
	}
	name := s.text[start:s.pos]
	e.op = query.Operator(name)
	if alias, ok := aliases[name]; ok {
		e.op = alias.op
		e.negate = e.negate != alias.negate
	}
	family := e.op.Family()
	if family == query.FamilyUnknown {
		return e, s.unknownOperator(start, path)
	}
	if !s.end() && s.peek() == '(' && family != query.FamilyList {
		s.pos++
		end := strings.IndexByte(s.text[s.pos:], ')')
		if end < 0 {
			return e, s.failAt(len(s.text), "", []string{anOperator}, "the modifier of %s is not closed", name)
		}
		modifier := s.text[s.pos : s.pos+end]
		s.pos += end + 1
		switch {
		case family == query.FamilySearch && modifier != "":
			e.language = modifier
		case modifier == "any" && e.op.Quantifiable():
			e.quantifier = query.QuantifyAny
		case modifier == "all" && e.op.Quantifiable():
			e.quantifier = query.QuantifyAll
		default:
			at := s.pos - end - 1
			if !e.op.Quantifiable() && family != query.FamilySearch {
				at--
			}
			return e, s.failAt(at, "", []string{anOperator}, "%s takes no modifier %q", name, modifier)
		}
	}
	if s.end() || s.peek() != '.' {
		return e, s.fail([]string{anOperator}, "%s on %s has no value", name, path).WithHint("Put a dot between operator and value.")
	}
	s.pos++
	return e, nil
}

// unknownOperator says that no operator stands at start, where the scanner has read
// the name of one.
func (s *scanner) unknownOperator(start int, path query.Path) error {
	at, word, expecting := start, "not", []string{`"not"`, anOperator}
	if strings.HasSuffix(s.text[:start], "not.") {
		word, expecting = "", expecting[1:]
	}
	for n := s.pos - start; n > 0; n-- { // an operator with something behind it?
		if query.Operator(s.text[start:start+n]).Family() != query.FamilyUnknown {
			at, word, expecting = start+n, "", []string{anOperator}
			break
		}
	}
	return s.failAt(at, word, expecting, "%q is not a condition on %s", s.text[start:], path).
		WithHint("A condition is written " + path.String() + "=eq.value or " + path.String() + ".eq=value.")
}

// notIs says that a value is none that is takes.
func notIs(value string) error {
	at, lower := 0, strings.ToLower(value)
	for _, word := range [...]string{"null", "not_null", "true", "false", "unknown"} {
		n := 0
		for n < len(word) && n < len(lower) && word[n] == lower[n] {
			n++
		}
		at = max(at, n)
	}
	s := scanner{text: value}
	return s.failAt(min(at, len(value)), "", []string{"isVal: (null, not_null, true, false, unknown)"}, "is takes null, not_null, true, false or unknown, not %q", value)
}

// build makes the condition from the text of its value. The places of its faults are
// those in the value.
func (e expression) build(path query.Path, value string) (query.Condition, error) {
	c := &query.Compare{Path: path, Op: e.op, Quantifier: e.quantifier, Language: e.language, Value: value}
	switch {
	case e.op == query.In:
		values, err := list(value)
		if err != nil {
			return nil, err
		}
		c.Value, c.Values = "", values
	case e.quantifier != query.QuantifyNone:
		values, err := array(value)
		if err != nil {
			return nil, err
		}
		c.Value, c.Values = "", values
	case e.op == query.Is:
		switch v := strings.ToLower(value); v {
		case "null", "not_null", "true", "false", "unknown":
			c.Value = v
		default:
			return nil, notIs(value)
		}
	}
	if e.op.Family() == query.FamilyPattern && (e.op == query.Like || e.op == query.ILike) {
		c.Value = strings.ReplaceAll(c.Value, "*", "%")
		for i := range c.Values {
			c.Values[i] = strings.ReplaceAll(c.Values[i], "*", "%")
		}
	}
	if e.negate {
		return query.Not{Condition: c}, nil
	}
	return c, nil
}
