package policy

import "fluxbase/persistence/query"

// Filter makes a predicate of a subscription's filter. false: it is not of a form
// that is decided here: PostgreSQL is asked.
func Filter(columns []Column, filter query.Condition) (*Predicate, bool) {
	f := filterer{columns: columns}
	c, ok := f.condition(filter)
	if !ok {
		return nil, false
	}
	return &Predicate{parts: []part{{c, f.slots}}}, true
}

type filterer struct {
	columns []Column
	slots   []datum
}

func (f *filterer) condition(c query.Condition) (condition, bool) {
	switch c := c.(type) {
	case query.And:
		terms, ok := f.conditions(c)
		return all(terms), ok
	case query.Or:
		terms, ok := f.conditions(c)
		return some(terms), ok
	case query.Not:
		of, ok := f.condition(c.Condition)
		return not{of}, ok
	case *query.Compare:
		return f.compare(c)
	}
	return nil, false
}

func (f *filterer) conditions(list []query.Condition) (terms []condition, ok bool) {
	for _, one := range list {
		term, ok := f.condition(one)
		if !ok {
			return nil, false
		}
		terms = append(terms, term)
	}
	return terms, true
}

var filterOperators = map[query.Operator]string{
	query.Equal: "=", query.NotEqual: "<>", query.Greater: ">", query.GreaterOrEqual: ">=",
	query.Less: "<", query.LessOrEqual: "<=", query.IsDistinct: "IS DISTINCT FROM",
}

func (f *filterer) compare(c *query.Compare) (condition, bool) {
	if len(c.Path.Steps) > 0 || c.Quantifier != query.QuantifyNone {
		return nil, false
	}
	at := -1
	for i, column := range f.columns {
		if column.Name == c.Path.Column {
			at = i
		}
	}
	if at < 0 {
		return nil, false
	}
	column := f.columns[at]
	if column.Kind == Other {
		return nil, false
	}
	p := place{column: at, kind: column.Kind}
	t := typeOf{kind: column.Kind, min: column.min, max: column.max}
	switch {
	case c.Op == query.Is && c.Value == "null":
		return isNull{p}, true
	case c.Op == query.Is && c.Value == "not_null":
		return not{isNull{p}}, true
	case c.Op == query.Is:
		return is{columnTruth{p}, boolValue(c.Value == "true")}, column.Kind == Boolean && (c.Value == "true" || c.Value == "false")
	case c.Op == query.In:
		var list datum
		list.value.set = true
		for _, text := range c.Values {
			v, ok := parseValue(text, t)
			if !ok {
				return nil, false
			}
			list.list = append(list.list, v)
		}
		return among{place: p, list: f.slot(list)}, true
	default:
		operator, known := filterOperators[c.Op]
		v, ok := parseValue(c.Value, t)
		if known && ok && compares(operator, column.Kind, column.Kind) {
			return comparison{operator, p, f.slot(datum{value: v})}, true
		}
	}
	return nil, false
}

func (f *filterer) slot(d datum) int {
	f.slots = append(f.slots, d)
	return len(f.slots) - 1
}
