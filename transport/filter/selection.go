package filter

import (
	"strings"

	"fluxbase/persistence/query"
)

// aggregates are the functions that select knows.
var aggregates = map[string]bool{"count": true, "sum": true, "avg": true, "min": true, "max": true}

// ParseSelect parses a select list: columns with JSON paths, alias:column,
// column::type, *, aggregates written sum(column) or column.sum(), and embeds
// alias:relation!hint(columns), ...relation(columns). Space outside quotes means
// nothing.
func ParseSelect(text string) (query.Projection, error) {
	s := scanner{text: text}
	items, err := s.selection(1)
	if err != nil {
		return nil, err
	}
	if !s.end() {
		return nil, s.fail(afterColumn(theEnd), "unexpected %q in select", s.text[s.pos:])
	}
	return items, nil
}

// afterColumn is what can follow a column, and end where that is possible: the
// outermost list ends with the text, others with a parenthesis.
func afterColumn(end string) []string {
	out := append(afterName[:len(afterName):len(afterName)], `"::"`, `"."`)
	if end == "" {
		return append(out, `","`, `")"`)
	}
	return append(out, `")"`, `","`, end)
}

// selection reads items up to the end or to a closing parenthesis.
func (s *scanner) selection(depth int) (query.Projection, error) {
	if depth > maxDepth {
		return nil, invalid("select is nested deeper than %d levels", maxDepth)
	}
	var items query.Projection
	for {
		s.space()
		item, err := s.item(depth)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		s.space()
		if !s.skip(",") {
			return items, nil
		}
	}
}

func (s *scanner) item(depth int) (query.Item, error) {
	if s.skip("...") {
		name, err := s.name()
		if err != nil {
			return nil, err
		}
		return s.embed(&query.Embed{Name: name, Spread: true}, depth)
	}
	if s.skip("*") {
		return query.Star{}, nil
	}
	if !s.startsName() {
		return nil, s.fail([]string{`"..."`, aName, `"*"`, `"count()"`}, "a column is missing before %q in select", s.text[s.pos:])
	}
	path, err := s.path()
	if err != nil {
		return nil, err
	}
	alias := ""
	if !s.at("::") && len(path.Steps) == 0 && s.skip(":") {
		alias = path.Column
		if path, err = s.path(); err != nil {
			return nil, err
		}
	}
	if len(path.Steps) == 0 && !s.end() && (s.peek() == '(' || s.peek() == '!') {
		if s.peek() == '(' && aggregates[strings.ToLower(path.Column)] {
			return s.call(strings.ToLower(path.Column), alias, depth)
		}
		return s.embed(&query.Embed{Name: path.Column, Alias: alias}, depth)
	}
	field := &query.Field{Path: path, Alias: alias}
	if field.Cast, err = s.cast(); err != nil {
		return nil, err
	}
	if s.skip(".") { // column.sum()
		start := s.pos
		expecting := []string{`"sum"`, `"avg"`, `"count"`, `"max"`, `"min"`}
		if !s.startsName() {
			return nil, s.fail(expecting, "an aggregate of %s is missing", path)
		}
		function, err := s.name()
		if err != nil {
			return nil, err
		}
		if !aggregates[function] {
			return nil, s.failAt(start, "sum", expecting, "%q is not an aggregate of %s", function, path)
		}
		if !s.skip("(") {
			return nil, s.fail([]string{`"()"`}, "%s of %s has no parentheses", function, path)
		}
		if s.space(); !s.skip(")") {
			return nil, s.fail([]string{`")"`}, "%s of %s takes nothing in its parentheses", function, path)
		}
		if alias == "" {
			alias = function // PostgREST's spelling has PostgREST's name
		}
		return s.aggregate(&query.Aggregate{Function: function, Alias: alias, Of: &query.Field{Path: path, Cast: field.Cast}})
	}
	return field, nil
}

// cast reads ::type, a name of letters, digits, underscores and spaces.
func (s *scanner) cast() (string, error) {
	if !s.skip("::") {
		return "", nil
	}
	s.space()
	start := s.pos
	for !s.end() && (isNameByte(s.peek()) || s.peek() == ' ') {
		s.pos++
	}
	name := strings.TrimSpace(s.text[start:s.pos])
	if name == "" {
		return "", s.fail([]string{"letter", "digit"}, "a type is missing after :: in select")
	}
	if s.skip("[]") {
		name += "[]"
	}
	return name, nil
}

// call reads the parentheses of sum(column) or count(*).
func (s *scanner) call(function, alias string, depth int) (query.Item, error) {
	s.pos++
	s.space()
	a := &query.Aggregate{Function: function, Alias: alias}
	if !s.skip("*") && !s.at(")") {
		item, err := s.item(depth + 1)
		if err != nil {
			return nil, err
		}
		field, ok := item.(*query.Field)
		if !ok || field.Alias != "" {
			return nil, invalid("%s takes one column", function)
		}
		a.Of = field
	} else if function != "count" {
		return nil, invalid("%s takes one column", function)
	}
	s.space()
	if !s.skip(")") {
		return nil, s.fail([]string{`")"`}, "%s is not closed in select", function)
	}
	return s.aggregate(a)
}

func (s *scanner) aggregate(a *query.Aggregate) (query.Item, error) {
	s.space()
	var err error
	a.Cast, err = s.cast()
	return a, err
}

// embed reads !hint, !inner and !left and the parenthesised select list.
func (s *scanner) embed(e *query.Embed, depth int) (query.Item, error) {
	e.Page = query.Page{Limit: query.NoLimit}
	start := s.pos
	for s.skip("!") {
		word, err := s.name()
		if err != nil {
			return nil, err
		}
		switch {
		case word == "inner":
			e.Inner = true
		case word == "left":
			e.Inner = false
		case e.Hint == "":
			e.Hint = word
		default:
			return nil, invalid("%s has more than one hint in select", e.Name)
		}
	}
	if !s.skip("(") {
		return nil, s.failAt(start, "", afterColumn(theEnd), "%s has no columns in select", e.Name)
	}
	s.space()
	if s.skip(")") {
		e.Fields = query.Projection{}
		return e, nil
	}
	fields, err := s.selection(depth + 1)
	if err != nil {
		return nil, err
	}
	if !s.skip(")") {
		end := theEnd
		if s.end() {
			end = ""
		}
		return nil, s.fail(afterColumn(end), "%s is not closed in select", e.Name)
	}
	e.Fields = fields
	return e, nil
}
