package rest

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
)

// request is what a query string says.
type request struct {
	fields   query.Projection
	where    query.Condition
	order    []query.Order
	page     query.Page
	columns  []string
	conflict []string
	// filters are the conditions on the relation's own columns as they were given;
	// a PUT looks at them.
	filters []filter.Parameter
	// paged tells that limit or offset was given.
	paged bool
}

// credentials are the keys under which the server takes credentials from a query
// string.
var credentials = map[string]bool{"apikey": true, "token": true, "clientkey": true}

// parse reads a query string. keep, when not nil, tells which parameters are a
// function's arguments; they come back as they are.
func parse(raw string, keep func(filter.Parameter) bool) (*request, []filter.Parameter, error) {
	params, err := filter.Parameters(raw)
	if err != nil {
		return nil, nil, parseFault("failed to parse the query string", err)
	}
	r := &request{page: query.Page{Limit: query.NoLimit}}
	seen := map[string]bool{}
	var rest, arguments []filter.Parameter
	for _, p := range params {
		switch {
		case keep != nil && keep(p):
			arguments = append(arguments, p)
			continue
		case credentials[p.Key]:
			continue
		}
		word, err := r.word(p)
		if err != nil {
			return nil, nil, err
		}
		if !word {
			rest = append(rest, p)
			continue
		}
		if seen[p.Key] {
			return nil, nil, parseFault("failed to parse "+p.Key+" ("+p.Value+")", fault.New(fault.InvalidQuery, p.Key+" is given twice"))
		}
		seen[p.Key] = true
	}
	return r, arguments, r.conditions(rest, seen)
}

// word reads a parameter that is no condition.
func (r *request) word(p filter.Parameter) (known bool, err error) {
	what := p.Key
	switch p.Key {
	case "select":
		what = "select parameter"
		if strings.TrimSpace(p.Value) != "" {
			r.fields, err = filter.ParseSelect(p.Value)
			r.fields = legacyCounts(r.fields)
		}
	case "order":
		if p.Value != "" {
			r.order, err = filter.ParseOrder(p.Value)
		}
	case "limit":
		r.paged = true
		if strings.HasPrefix(p.Value, "-") {
			return true, notSatisfiable("Limit should be greater than or equal to zero.")
		}
		r.page.Limit, err = filter.Whole(p)
	case "offset":
		r.paged = true
		r.page.Offset, err = filter.Whole(p)
	case "columns":
		what = "columns parameter"
		r.columns, err = filter.ParseNames(p.Value)
	case "on_conflict":
		r.conflict, err = filter.ParseNames(p.Value)
	default:
		return false, nil
	}
	if err != nil {
		err = parseFault("failed to parse "+what+" ("+p.Value+")", err)
	}
	return true, err
}

// conditions reads what is left: filters, logic trees, and what speaks of embeds.
func (r *request) conditions(all []filter.Parameter, seen map[string]bool) error {
	embeds := filter.Embeds(r.fields)
	var where []query.Condition
	for _, p := range all {
		head, _, dotted := filter.Head(p.Key)
		if dotted && !filter.IsLogic(p.Key) {
			if embeds[head] == nil {
				return notEmbedded(head)
			}
			if err := filter.Embedded(embeds, seen, p, condition); err != nil {
				return asParseFault("failed to parse filter ("+p.Value+")", err)
			}
			continue
		}
		c, err := condition(p)
		if err != nil {
			return err
		}
		if !filter.IsLogic(p.Key) {
			r.filters = append(r.filters, p)
		}
		where = append(where, c)
	}
	r.where = query.Conjoin(where...)
	return nil
}

// condition reads one condition in PostgREST's spelling: the operator belongs to
// the value.
func condition(p filter.Parameter) (query.Condition, error) {
	if filter.IsLogic(p.Key) {
		c, err := filter.ParseLogic(p.Key, p.Value)
		if err != nil {
			return nil, parseFault("failed to parse logic tree ("+p.Value+")", err)
		}
		return c, nil
	}
	if head, _, dotted := filter.Head(p.Key); dotted {
		return nil, notEmbedded(head)
	}
	path, err := filter.ParsePath(p.Key)
	if err != nil {
		return nil, parseFault("failed to parse tree path ("+p.Key+")", err)
	}
	c, err := filter.ParseExpression(path, p.Value)
	if err != nil {
		return nil, parseFault("failed to parse filter ("+p.Value+")", err)
	}
	return c, nil
}

// legacyCounts takes a bare count for the aggregate, as PostgREST does, and gives
// counts of rows their name.
func legacyCounts(fields query.Projection) query.Projection {
	for i, item := range fields {
		switch item := item.(type) {
		case *query.Field:
			if item.Path.Column == "count" && len(item.Path.Steps) == 0 {
				fields[i] = &query.Aggregate{Function: "count", Alias: item.Alias, Cast: item.Cast}
			}
		case *query.Embed:
			item.Fields = legacyCounts(item.Fields)
		}
	}
	return fields
}
