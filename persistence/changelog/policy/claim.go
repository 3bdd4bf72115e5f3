package policy

import "strings"

// datum is what an expression without columns gives for one caller: a value, a
// list (NULL when value is), or a document (likewise).
type datum struct {
	value    Value
	list     []Value
	document document
}

// claim is an expression without columns. give evaluates it for a caller;
// decided is false where PostgreSQL might raise an error, or give what is not
// exactly known here. All parts are evaluated, also those that PostgreSQL might
// not reach.
type claim struct {
	kind Kind
	list bool
	give func(*Settings) (d datum, decided bool)
}

func constant(v Value, k Kind) *claim {
	return &claim{kind: k, give: func(*Settings) (datum, bool) { return datum{value: v}, true }}
}

// claim compiles an expression without columns.
func (c *compiler) claim(e expression) (*claim, error) {
	switch e := e.(type) {
	case literal:
		switch e.typ {
		case "integer":
			v, ok := parseValue(e.text, types["integer"])
			if !ok {
				return nil, errUnknown
			}
			return constant(v, Integer), nil
		case "boolean":
			return constant(boolValue(e.text == "true"), Boolean), nil
		case "null":
			return constant(Value{}, nullKind), nil
		}
		return constant(textValue(e.text), Text), nil
	case cast:
		return c.castClaim(e)
	case call:
		return c.callClaim(e)
	case operation:
		return c.binaryClaim(e)
	case array:
		return c.arrayClaim(e)
	case arrayOf:
		return c.arrayOfClaim(e.of)
	case junction, negation, test, distinction, quantified:
		return c.booleanClaim(e)
	}
	return nil, errUnknown
}

// mapped makes a claim of another one's value; NULL stays NULL.
func mapped(of *claim, k Kind, f func(datum) (datum, bool)) *claim {
	return &claim{kind: k, give: func(s *Settings) (datum, bool) {
		d, decided := of.give(s)
		if !decided || !d.value.set {
			return datum{}, decided
		}
		return f(d)
	}}
}

func (c *compiler) castClaim(e cast) (*claim, error) {
	to, ok := typeNamed(e.typ)
	if !ok {
		return nil, errUnknown
	}
	// A list is cast element by element.
	if to.list {
		return c.castList(e.of, to)
	}
	of, err := c.claim(e.of)
	if err != nil || of.list {
		return nil, errUnknown
	}
	return castTo(of, to)
}

func castTo(of *claim, to typeOf) (*claim, error) {
	switch {
	case of.kind == nullKind:
		return constant(Value{}, to.kind), nil
	case of.kind == Text && (to.kind == jsonKind || to.kind == jsonbKind):
		return mapped(of, to.kind, func(d datum) (datum, bool) {
			doc, decided := parseDocument(d.value.text)
			return datum{value: Value{set: true}, document: doc}, decided
		}), nil
	case of.kind == Text && to.kind == Text:
		return of, nil
	case of.kind == Text:
		return mapped(of, to.kind, func(d datum) (datum, bool) {
			v, decided := parseValue(d.value.text, to)
			return datum{value: v}, decided
		}), nil
	case to.kind == Text && of.kind <= Boolean:
		k := of.kind
		return mapped(of, Text, func(d datum) (datum, bool) { return datum{value: d.value.asText(k)}, true }), nil
	case of.kind == Integer && to.kind == Integer:
		return mapped(of, Integer, func(d datum) (datum, bool) {
			return d, d.value.number >= to.min && d.value.number <= to.max
		}), nil
	case of.kind == to.kind:
		return of, nil
	}
	return nil, errUnknown
}

// castList compiles a list of the element type to.
func (c *compiler) castList(e expression, to typeOf) (*claim, error) {
	element := to
	element.list = false
	if l, ok := e.(literal); ok && l.typ == "" {
		return textList(l.text, element)
	}
	of, err := c.claim(e)
	if err != nil || !of.list || of.kind != to.kind && to.kind != Text {
		return nil, errUnknown
	}
	k := of.kind
	return &claim{kind: to.kind, list: true, give: func(s *Settings) (datum, bool) {
		d, decided := of.give(s)
		for i := range d.list {
			if to.kind == Text {
				d.list[i] = d.list[i].asText(k)
			} else if to.kind == Integer && d.list[i].set && (d.list[i].number < to.min || d.list[i].number > to.max) {
				return datum{}, false
			}
		}
		return d, decided
	}}, nil
}

// textList reads an array's text of plain elements: {a,b}.
func textList(text string, element typeOf) (*claim, error) {
	inner, open := strings.CutPrefix(text, "{")
	inner, closed := strings.CutSuffix(inner, "}")
	if !open || !closed {
		return nil, errUnknown
	}
	list := []Value{}
	if inner != "" {
		for _, one := range strings.Split(inner, ",") {
			if one == "" || strings.Trim(one, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" || strings.EqualFold(one, "null") {
				return nil, errUnknown
			}
			v, ok := parseValue(one, element)
			if !ok {
				return nil, errUnknown
			}
			list = append(list, v)
		}
	}
	return &claim{kind: element.kind, list: true, give: func(*Settings) (datum, bool) {
		return datum{value: Value{set: true}, list: append([]Value(nil), list...)}, true
	}}, nil
}

func (c *compiler) callClaim(e call) (*claim, error) {
	if name, ours := strings.CutPrefix(e.name, "auth."); ours {
		h, ok := trusted(c.scope.Functions, name, c.scope.Role)
		if !ok || len(e.arguments) > 0 {
			return nil, errUnknown
		}
		return &claim{kind: types[h.typ].kind, give: h.give}, nil
	}
	switch e.name {
	case "current_setting":
		return c.settingClaim(e.arguments)
	case "coalesce":
		return c.coalesceClaim(e.arguments)
	case "nullif":
		return c.nullifClaim(e.arguments)
	case "string_to_array":
		return c.splitClaim(e.arguments)
	}
	return nil, errUnknown
}

// settingClaim compiles current_setting(name [, true]) of what is always set.
func (c *compiler) settingClaim(arguments []expression) (*claim, error) {
	if len(arguments) == 0 || len(arguments) > 2 {
		return nil, errUnknown
	}
	if len(arguments) == 2 {
		if l, ok := arguments[1].(literal); !ok || l.typ != "boolean" {
			return nil, errUnknown
		}
	}
	name, ok := constantText(arguments[0])
	if !ok {
		return nil, errUnknown
	}
	if _, known := new(Settings).setting(name); !known {
		return nil, errUnknown
	}
	return &claim{kind: Text, give: func(s *Settings) (datum, bool) {
		text, known := s.setting(name)
		return datum{value: textValue(text)}, known
	}}, nil
}

// constantText is a text constant as it is printed.
func constantText(e expression) (string, bool) {
	if c, ok := e.(cast); ok && c.typ == "text" {
		e = c.of
	}
	l, ok := e.(literal)
	return l.text, ok && l.typ == ""
}

func (c *compiler) coalesceClaim(arguments []expression) (*claim, error) {
	claims, k, err := c.alike(arguments)
	if err != nil {
		return nil, err
	}
	return &claim{kind: k, give: func(s *Settings) (result datum, decided bool) {
		for _, one := range claims {
			d, decided := one.give(s)
			if !decided {
				return datum{}, false
			}
			if !result.value.set {
				result = d
			}
		}
		return result, true
	}}, nil
}

func (c *compiler) nullifClaim(arguments []expression) (*claim, error) {
	claims, k, err := c.alike(arguments)
	if err != nil || len(claims) != 2 || k > Boolean {
		return nil, errUnknown
	}
	return &claim{kind: k, give: func(s *Settings) (datum, bool) {
		d, decided := claims[0].give(s)
		other, decidedToo := claims[1].give(s)
		if d.value == other.value {
			d = datum{}
		}
		return d, decided && decidedToo
	}}, nil
}

// alike compiles expressions that must be of one kind.
func (c *compiler) alike(expressions []expression) ([]*claim, Kind, error) {
	var all []*claim
	k := nullKind
	for _, e := range expressions {
		one, err := c.claim(e)
		if err != nil {
			return nil, k, err
		}
		if one.list || k != nullKind && one.kind != nullKind && one.kind != k {
			return nil, k, errUnknown
		}
		if one.kind != nullKind {
			k = one.kind
		}
		all = append(all, one)
	}
	if k == nullKind {
		return nil, k, errUnknown
	}
	return all, k, nil
}

// splitClaim compiles string_to_array(text, constant).
func (c *compiler) splitClaim(arguments []expression) (*claim, error) {
	if len(arguments) != 2 {
		return nil, errUnknown
	}
	of, err := c.claim(arguments[0])
	if err != nil || of.kind != Text || of.list {
		return nil, errUnknown
	}
	by, ok := constantText(arguments[1])
	if !ok || by == "" {
		return nil, errUnknown
	}
	split := mapped(of, Text, func(d datum) (datum, bool) {
		out := datum{value: Value{set: true}}
		if d.value.text != "" {
			for _, part := range strings.Split(d.value.text, by) {
				out.list = append(out.list, textValue(part))
			}
		}
		return out, true
	})
	split.list = true
	return split, nil
}

func (c *compiler) binaryClaim(e operation) (*claim, error) {
	switch e.operator {
	case "->", "->>", "#>", "#>>":
		return c.pathClaim(e)
	}
	return c.booleanClaim(e)
}

// pathClaim compiles the operators that lead into a document.
func (c *compiler) pathClaim(e operation) (*claim, error) {
	of, err := c.claim(e.left)
	if err != nil || of.kind != jsonKind && of.kind != jsonbKind {
		return nil, errUnknown
	}
	walk, ok := steps(e, of.kind == jsonbKind)
	if !ok {
		return nil, errUnknown
	}
	asText := strings.HasSuffix(e.operator, ">>")
	k := of.kind
	if asText {
		k = Text
	}
	return mapped(of, k, func(d datum) (datum, bool) {
		doc, found := walk(d.document)
		if !found {
			return datum{}, true
		}
		if !asText {
			return datum{value: Value{set: true}, document: doc}, true
		}
		v, decided := textOf(doc)
		return datum{value: v}, decided
	}), nil
}

// steps reads the right side of an operator that leads into a document, which is
// jsonb or json.
func steps(e operation, binary bool) (func(document) (document, bool), bool) {
	if e.operator == "->" || e.operator == "->>" {
		if key, ok := constantText(e.right); ok {
			return func(d document) (document, bool) { return member(d, key) }, true
		}
		l, ok := e.right.(literal)
		index, decided := parseValue(l.text, types["integer"])
		return func(d document) (document, bool) {
			if binary && isScalar(d) {
				d = []document{d} // so does PostgreSQL keep it
			}
			return element(d, index.number)
		}, ok && l.typ == "integer" && decided
	}
	of, ok := e.right.(cast)
	if !ok || of.typ != "text[]" {
		return nil, false
	}
	l, ok := of.of.(literal)
	if !ok || l.typ != "" {
		return nil, false
	}
	list, err := textList(l.text, typeOf{kind: Text})
	if err != nil {
		return nil, false
	}
	keys, _ := list.give(nil)
	for _, key := range keys.list {
		// A number may be an array's index here.
		if key.text[0] == '-' || key.text[0] >= '0' && key.text[0] <= '9' {
			return nil, false
		}
	}
	return func(d document) (document, bool) {
		found := len(keys.list) > 0
		for _, key := range keys.list {
			if d, found = member(d, key.text); !found {
				break
			}
		}
		return d, found
	}, len(keys.list) > 0
}

func (c *compiler) arrayClaim(e array) (*claim, error) {
	claims, k, err := c.alike(e.elements)
	if err != nil || k > Boolean {
		return nil, errUnknown
	}
	return &claim{kind: k, list: true, give: func(s *Settings) (datum, bool) {
		out := datum{value: Value{set: true}}
		for _, one := range claims {
			d, decided := one.give(s)
			if !decided {
				return datum{}, false
			}
			out.list = append(out.list, d.value)
		}
		return out, true
	}}, nil
}

// arrayOfClaim compiles ARRAY(SELECT of), where of takes a document's elements,
// and may cast them. Without any it is an empty list, never NULL.
func (c *compiler) arrayOfClaim(of expression) (*claim, error) {
	element := typeOf{kind: Text}
	if e, ok := of.(cast); ok {
		var known bool
		if element, known = typeNamed(e.typ); !known || element.list || element.kind > Boolean {
			return nil, errUnknown
		}
		of = e.of
	}
	e, ok := of.(call)
	if !ok || len(e.arguments) != 1 || e.name != "jsonb_array_elements_text" && e.name != "json_array_elements_text" {
		return nil, errUnknown
	}
	elements, err := c.claim(e.arguments[0])
	if err != nil || elements.kind != jsonKind && elements.kind != jsonbKind {
		return nil, errUnknown
	}
	return &claim{kind: element.kind, list: true, give: func(s *Settings) (datum, bool) {
		d, decided := elements.give(s)
		out := datum{value: Value{set: true}}
		if !decided || !d.value.set {
			return out, decided
		}
		texts, decided := elementsOf(d.document)
		for _, v := range texts {
			if v.set {
				var ok bool
				v, ok = parseValue(v.text, element)
				decided = decided && ok
			}
			out.list = append(out.list, v)
		}
		return out, decided
	}}, nil
}

// booleanClaim compiles a condition without columns.
func (c *compiler) booleanClaim(e expression) (*claim, error) {
	if hasColumns(e) {
		return nil, errUnknown
	}
	inner := compiler{scope: c.scope}
	p, err := inner.condition(e)
	if err != nil {
		return nil, err
	}
	slots := inner.slots
	return &claim{kind: Boolean, give: func(s *Settings) (datum, bool) {
		values, decided := bind(slots, s)
		if !decided {
			return datum{}, false
		}
		return datum{value: p.truth(nil, values)}, true
	}}, nil
}
