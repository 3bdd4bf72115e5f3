package policy

import "strings"

// maxDepth bounds how deep expressions nest.
const maxDepth = 100

// expression is a node of what was parsed. What it means, and whether it means
// anything, is for compile to say.
type expression interface{}

type (
	columnName struct{ name string }
	// literal is a constant as it is written: of type "", which is text that
	// was not cast yet, "integer", "boolean" or "null".
	literal struct{ text, typ string }
	call    struct {
		name      string // with its schema, if one is printed
		arguments []expression
	}
	cast struct {
		of  expression
		typ string
	}
	operation struct {
		operator    string
		left, right expression
	}
	junction struct {
		and   bool
		terms []expression
	}
	negation struct{ of expression }
	// test is IS NULL, IS TRUE, IS FALSE, IS UNKNOWN, or with not IS NOT ...
	test struct {
		of   expression
		what string
		not  bool
	}
	distinction struct{ left, right expression }
	// quantified is operator ANY or ALL of a list.
	quantified struct {
		operator   string
		all        bool
		left, list expression
	}
	array struct{ elements []expression }
	// arrayOf is ARRAY(SELECT of).
	arrayOf struct{ of expression }
)

// parse reads an expression as pg_get_expr prints it.
func parse(text string) (expression, error) {
	if len(text) > maxExpression {
		return nil, errUnknown
	}
	p := parser{lexer: lexer{text: text}}
	p.advance()
	e, err := p.expression()
	if err == nil && p.at.kind != endToken {
		err = errUnknown
	}
	return e, err
}

type parser struct {
	lexer lexer
	at    token
	depth int
}

func (p *parser) advance() token {
	t := p.at
	p.at = p.lexer.next()
	return t
}

func (p *parser) is(kind tokenKind, text string) bool { return p.at.kind == kind && p.at.text == text }

// take goes on if the token is the one.
func (p *parser) take(kind tokenKind, text string) bool {
	ok := p.is(kind, text)
	if ok {
		p.advance()
	}
	return ok
}

func (p *parser) expect(kind tokenKind, texts ...string) error {
	for _, text := range texts {
		if !p.take(kind, text) {
			return errUnknown
		}
	}
	return nil
}

// expression reads what stands alone or between parentheses.
func (p *parser) expression() (expression, error) {
	if p.depth++; p.depth > maxDepth {
		return nil, errUnknown
	}
	defer func() { p.depth-- }()
	if p.take(wordToken, "NOT") {
		of, err := p.operand()
		return negation{of}, err
	}
	left, err := p.operand()
	if err != nil {
		return nil, err
	}
	switch {
	case p.is(wordToken, "AND"), p.is(wordToken, "OR"):
		return p.junction(left)
	case p.take(wordToken, "IS"):
		return p.test(left)
	case p.take(wordToken, "IN"):
		if err := p.expect(symbolToken, "("); err != nil {
			return nil, err
		}
		list, err := p.selection()
		if err != nil {
			return nil, err
		}
		return quantified{operator: "=", left: left, list: arrayOf{list}}, p.expect(symbolToken, ")")
	case p.at.kind == symbolToken && strings.IndexByte(operatorCharacters, p.at.text[0]) >= 0:
		return p.operation(left)
	}
	return left, nil
}

func (p *parser) junction(first expression) (expression, error) {
	word := p.at.text
	j := junction{and: word == "AND", terms: []expression{first}}
	for p.take(wordToken, word) {
		next, err := p.operand()
		if err != nil {
			return nil, err
		}
		j.terms = append(j.terms, next)
	}
	return j, nil
}

func (p *parser) test(left expression) (expression, error) {
	not := p.take(wordToken, "NOT")
	what := p.advance()
	if what.kind != wordToken {
		return nil, errUnknown
	}
	switch what.text {
	case "NULL", "TRUE", "FALSE", "UNKNOWN":
		return test{left, what.text, not}, nil
	case "DISTINCT":
		if err := p.expect(wordToken, "FROM"); err != nil || not {
			return nil, errUnknown
		}
		right, err := p.operand()
		return distinction{left, right}, err
	}
	return nil, errUnknown
}

func (p *parser) operation(left expression) (expression, error) {
	operator := p.advance().text
	all := p.is(wordToken, "ALL")
	if !all && !p.is(wordToken, "ANY") {
		right, err := p.operand()
		return operation{operator, left, right}, err
	}
	p.advance()
	if err := p.expect(symbolToken, "("); err != nil {
		return nil, err
	}
	list, err := p.expression()
	if err != nil {
		return nil, err
	}
	return quantified{operator, all, left, list}, p.expect(symbolToken, ")")
}

// operand reads one value with its casts.
func (p *parser) operand() (expression, error) {
	e, err := p.primary()
	for err == nil && p.take(castToken, "::") {
		var typ string
		typ, err = p.typeName()
		e = cast{e, typ}
	}
	return e, err
}

func (p *parser) primary() (expression, error) {
	switch t := p.advance(); t.kind {
	case numberToken:
		if p.is(symbolToken, ".") { // a fraction
			return nil, errUnknown
		}
		return literal{t.text, "integer"}, nil
	case stringToken:
		return literal{text: t.text}, nil
	case wordToken:
		return p.word(t.text)
	case quotedToken:
		return p.name(t)
	case nameToken:
		if t.text == "true" || t.text == "false" {
			return literal{t.text, "boolean"}, nil
		}
		return p.name(t)
	case symbolToken:
		if t.text != "(" {
			return nil, errUnknown
		}
		var e expression
		var err error
		if p.is(wordToken, "SELECT") {
			// A subquery of one expression is that expression.
			e, err = p.selection()
		} else {
			e, err = p.expression()
		}
		if err != nil {
			return nil, err
		}
		return e, p.expect(symbolToken, ")")
	}
	return nil, errUnknown
}

func (p *parser) word(word string) (expression, error) {
	switch word {
	case "NULL":
		return literal{typ: "null"}, nil
	case "COALESCE", "NULLIF":
		return p.call(strings.ToLower(word))
	case "ARRAY":
		if p.take(symbolToken, "(") {
			of, err := p.selection()
			if err != nil {
				return nil, err
			}
			return arrayOf{of}, p.expect(symbolToken, ")")
		}
		if err := p.expect(symbolToken, "["); err != nil {
			return nil, err
		}
		elements, err := p.list("]")
		return array{elements}, err
	}
	return nil, errUnknown
}

// name reads a column or a call.
func (p *parser) name(first token) (expression, error) {
	name := first.text
	if p.take(symbolToken, ".") {
		second := p.advance()
		if first.kind != nameToken || second.kind != nameToken || !p.is(symbolToken, "(") {
			return nil, errUnknown
		}
		name += "." + second.text
	}
	if p.is(symbolToken, "(") {
		if first.kind != nameToken {
			return nil, errUnknown
		}
		return p.call(name)
	}
	return columnName{name}, nil
}

func (p *parser) call(name string) (expression, error) {
	if err := p.expect(symbolToken, "("); err != nil {
		return nil, err
	}
	arguments, err := p.list(")")
	return call{name, arguments}, err
}

// list reads expressions parted by commas, and what closes them.
func (p *parser) list(closing string) ([]expression, error) {
	var all []expression
	if p.take(symbolToken, closing) {
		return nil, nil
	}
	for {
		e, err := p.expression()
		if err != nil {
			return nil, err
		}
		all = append(all, e)
		if p.take(symbolToken, closing) {
			return all, nil
		}
		if err := p.expect(symbolToken, ","); err != nil {
			return nil, err
		}
	}
}

// selection reads SELECT expression [AS name], with nothing behind it.
func (p *parser) selection() (expression, error) {
	if err := p.expect(wordToken, "SELECT"); err != nil {
		return nil, err
	}
	e, err := p.expression()
	if err != nil {
		return nil, err
	}
	if p.take(wordToken, "AS") {
		if name := p.advance(); name.kind != nameToken && name.kind != quotedToken {
			return nil, errUnknown
		}
	}
	if !p.is(symbolToken, ")") {
		return nil, errUnknown
	}
	return e, nil
}

// typeName reads the name of one of PostgreSQL's types. A length, as of
// varchar(10), would change values: it is refused.
func (p *parser) typeName() (string, error) {
	if p.at.kind != nameToken {
		return "", errUnknown
	}
	name := p.advance().text
	for p.at.kind == nameToken {
		name += " " + p.advance().text
	}
	if p.take(symbolToken, "[") {
		name += "[]"
		if err := p.expect(symbolToken, "]"); err != nil {
			return "", err
		}
	}
	if p.is(symbolToken, "(") || p.is(symbolToken, ".") {
		return "", errUnknown
	}
	return name, nil
}
