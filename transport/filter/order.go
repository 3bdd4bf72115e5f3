package filter

import (
	"slices"
	"strconv"
	"strings"

	"fluxbase/persistence/query"
)

// ParseOrder parses a comma list of column[.asc|.desc][.nullsfirst|.nullslast].
// rel(column) orders by a related row, column.vec_l2.[1,2].asc by a distance.
func ParseOrder(text string) ([]query.Order, error) {
	s := scanner{text: text}
	var terms []query.Order
	for {
		term, err := s.orderTerm()
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
		s.space()
		if s.end() {
			return terms, nil
		}
		if !s.skip(",") {
			return nil, s.afterOrder(&term)
		}
	}
}

func (s *scanner) orderTerm() (query.Order, error) {
	var term query.Order
	path, err := s.path()
	if err != nil {
		return term, err
	}
	if opened := s.pos; len(path.Steps) == 0 && s.skip("(") {
		term.Embed = path.Column
		if path, err = s.path(); err != nil {
			return term, err
		}
		if !s.skip(")") {
			return term, s.failAt(opened, "", append(afterName[:len(afterName):len(afterName)], aDot, `","`, theEnd), "the column of %q is not closed in the order", term.Embed)
		}
	}
	term.Path = path
	direction, nulls := false, false
	for s.skip(".") {
		start := s.pos
		for !s.end() && isNameByte(s.peek()) {
			s.pos++
		}
		switch word := strings.ToLower(s.text[start:s.pos]); {
		case (word == "asc" || word == "desc") && !direction && !nulls:
			term.Desc, direction = word == "desc", true
		case word == "nullsfirst" && !nulls:
			term.Nulls, nulls = query.NullsFirst, true
		case word == "nullslast" && !nulls:
			term.Nulls, nulls = query.NullsLast, true
		case query.Operator(word).Family() == query.FamilyVector && !direction && !nulls && term.Distance == nil:
			if !s.skip(".") || s.end() || s.peek() != '[' && s.peek() != '(' {
				return term, invalid("%s in the order has no vector", word).WithHint("Write column.vec_l2.[1,2,3].asc.")
			}
			from := s.pos
			if err := s.bracketed(); err != nil {
				return term, err
			}
			term.Distance = &query.Distance{Op: query.Operator(word), Vector: "[" + s.text[from+1:s.pos-1] + "]"}
		default:
			return term, s.notDirection(start, direction, nulls, path)
		}
	}
	return term, nil
}

var (
	directions = []string{"asc", "desc"}
	placesNull = []string{"nullsfirst", "nullslast"}
)

// notDirection says that what begins at start is no direction. direction and nulls
// tell what was read before.
func (s *scanner) notDirection(start int, direction, nulls bool, path query.Path) error {
	words := placesNull
	if !direction {
		words = slices.Concat(directions, placesNull)
	}
	at, tried, expecting := start, words[0], make([]string, len(words))
	for i, word := range words {
		expecting[i] = strconv.Quote(word)
	}
	switch {
	case nulls:
		at, tried, expecting = start-1, "", []string{`","`, theEnd}
	default:
		for i, word := range words { // a direction with something behind it?
			if strings.HasPrefix(s.text[start:], word) {
				at, tried, expecting = start+len(word), "", []string{`","`, theEnd}
				if !direction && i < len(directions) {
					expecting = []string{aDot, `","`, theEnd}
				}
			}
		}
	}
	return s.failAt(at, tried, expecting, "%q is no direction of the order by %s", s.text[start:], path).
		WithHint("Use asc, desc, nullsfirst and nullslast.")
}

// afterOrder says that what follows a term is not understood.
func (s *scanner) afterOrder(term *query.Order) error {
	expecting := []string{`","`, theEnd}
	if term.Nulls == query.NullsDefault {
		expecting = append(afterName[:len(afterName):len(afterName)], aDot, `","`, theEnd)
	}
	return s.fail(expecting, "unexpected %q in the order", s.text[s.pos:])
}
