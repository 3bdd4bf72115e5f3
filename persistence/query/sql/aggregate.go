package sql

import (
	"strings"

	"fluxbase/persistence/query"
)

// functions are the aggregates, by the names that SQL gives them, too.
var functions = map[string]bool{"count": true, "sum": true, "avg": true, "min": true, "max": true}

// everyRow is the argument of a count of rows.
const everyRow = "*"

// aggregates tells whether a projection aggregates the rows of its relation: it
// has an aggregate itself, or one that a spread lifts into it.
func (c *compiler) aggregates(fields query.Projection) bool {
	for _, item := range fields {
		switch item := item.(type) {
		case *query.Aggregate:
			return true
		case *query.Object:
			if c.aggregates(item.Fields) {
				return true
			}
		case *query.Embed:
			e := c.embedded(item.Label())
			if e.Spread && e.one() && e.inner.aggregates(e.Fields) {
				return true
			}
		}
	}
	return false
}

func (c *compiler) addAggregate(p *projection, a *query.Aggregate) error {
	o, err := c.aggregate(a)
	if err != nil {
		return err
	}
	return p.add(o)
}

// aggregate compiles an aggregate.
func (c *compiler) aggregate(a *query.Aggregate) (output, error) {
	if !functions[a.Function] {
		return output{}, invalid("%q is no aggregate", a.Function)
	}
	o := output{label: a.Alias, function: a.Function, text: everyRow}
	if o.label == "" {
		o.label = a.Function
		if a.Of != nil {
			o.label += "_" + a.Of.Path.Label()
		}
	}
	if a.Of != nil {
		var w strings.Builder
		if _, err := c.field(&w, a.Of, 0); err != nil {
			return output{}, err
		}
		o.text = w.String()
	} else if a.Function != "count" {
		return output{}, invalid("%s takes one column", a.Function)
	}
	if a.Cast != "" {
		t, err := castType(a.Cast)
		if err != nil {
			return output{}, err
		}
		var w strings.Builder
		w.WriteString("::")
		t.write(&w)
		o.cast = w.String()
	}
	return o, nil
}
