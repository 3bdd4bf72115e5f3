package tables

import (
	"encoding/json"
	"strings"

	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
)

// document is a query in a body: what a query string would say, where it would be
// too long for one.
type document struct {
	Select         string          `json:"select,omitempty"`
	Filters        []filter.Term   `json:"filters,omitempty"`
	OrFilters      []string        `json:"orFilters,omitempty"`
	AndFilters     []string        `json:"andFilters,omitempty"`
	BetweenFilters []documentRange `json:"betweenFilters,omitempty"`
	Order          []documentOrder `json:"order,omitempty"`
	Limit          *int64          `json:"limit,omitempty"`
	Offset         int64           `json:"offset,omitempty"`
	Count          string          `json:"count,omitempty" enum:"exact,planned,estimated,none"`
	GroupBy        []string        `json:"groupBy,omitempty"`
	Truncate       int             `json:"truncate,omitempty"`
}

type documentRange struct {
	Column  string          `json:"column"`
	Min     json.RawMessage `json:"min"`
	Max     json.RawMessage `json:"max"`
	Negated bool            `json:"negated,omitempty"`
}

type documentOrder struct {
	Column      string          `json:"column"`
	Direction   string          `json:"direction,omitempty" enum:"asc,desc"`
	Nulls       string          `json:"nulls,omitempty" enum:"first,last"`
	VectorOp    string          `json:"vectorOp,omitempty"`
	VectorValue json.RawMessage `json:"vectorValue,omitempty"`
}

// request gives a document the meaning that a query string would have.
func (d *document) request() (*request, error) {
	r := &request{page: query.Page{Limit: query.NoLimit, Offset: d.Offset}, truncate: d.Truncate}
	if d.Limit != nil {
		r.page.Limit = *d.Limit
	}
	if r.page.Limit < query.NoLimit || d.Limit != nil && *d.Limit < 0 || d.Offset < 0 || d.Truncate < 0 {
		return nil, invalid("limit, offset and truncate cannot be negative")
	}
	if err := r.word(filter.Parameter{Key: "select", Value: d.Select}); err != nil {
		return nil, err
	}
	if d.Count != "" {
		if err := r.word(filter.Parameter{Key: "count", Value: d.Count}); err != nil {
			return nil, err
		}
	}
	for _, name := range d.GroupBy {
		r.group = append(r.group, query.Column(name))
	}
	for _, o := range d.Order {
		term, err := o.term()
		if err != nil {
			return nil, err
		}
		r.order = append(r.order, term)
	}
	conditions, err := d.conditions()
	if err != nil {
		return nil, err
	}
	return r, r.conditions(conditions, listWords, map[string]bool{})
}

// conditions are the document's conditions as parameters.
func (d *document) conditions() ([]filter.Parameter, error) {
	var out []filter.Parameter
	for _, f := range d.Filters {
		p, err := f.Parameter()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	for _, b := range d.BetweenFilters {
		least, err := filter.PlainText(b.Min)
		if err != nil {
			return nil, err
		}
		most, err := filter.PlainText(b.Max)
		if err != nil {
			return nil, err
		}
		if b.Negated {
			out = append(out, filter.Parameter{Key: "or", Value: "(" + b.Column + ".lt." + filter.Quoted(least) + "," + b.Column + ".gt." + filter.Quoted(most) + ")"})
			continue
		}
		out = append(out, filter.Parameter{Key: b.Column, Value: "gte." + least}, filter.Parameter{Key: b.Column, Value: "lte." + most})
	}
	for _, g := range d.OrFilters {
		out = append(out, filter.Parameter{Key: "or", Value: parenthesised(g)})
	}
	for _, g := range d.AndFilters {
		out = append(out, filter.Parameter{Key: "and", Value: parenthesised(g)})
	}
	return out, nil
}

// parenthesised is a list of conditions as a logic tree takes it.
func parenthesised(conditions string) string {
	if strings.HasPrefix(conditions, "(") && strings.HasSuffix(conditions, ")") {
		return conditions
	}
	return "(" + conditions + ")"
}

func (o *documentOrder) term() (query.Order, error) {
	text := o.Column
	if o.VectorOp != "" {
		value, err := filter.PlainText(o.VectorValue)
		if err != nil {
			return query.Order{}, err
		}
		text += "." + o.VectorOp + "." + value
	}
	switch o.Direction {
	case "", "asc", "desc":
	default:
		return query.Order{}, invalid("the direction of an order is asc or desc, not %q", o.Direction)
	}
	terms, err := filter.ParseOrder(text)
	if err != nil {
		return query.Order{}, err
	}
	if len(terms) != 1 {
		return query.Order{}, invalid("an order names one column")
	}
	term := terms[0]
	term.Desc = term.Desc || o.Direction == "desc"
	switch o.Nulls {
	case "":
	case "first":
		term.Nulls = query.NullsFirst
	case "last":
		term.Nulls = query.NullsLast
	default:
		return term, invalid("nulls are first or last, not %q", o.Nulls)
	}
	return term, nil
}
