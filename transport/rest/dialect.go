package rest

import (
	"strings"

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
	var rest, arguments []filter.Parameter
	for _, p := range params {
		switch {
		case keep != nil && keep(p):
			arguments = append(arguments, p)
		case !credentials[p.Key]:
			rest = append(rest, p)
		}
	}
	rest = once(rest)
	conditions := rest[:0]
	for _, p := range rest {
		word, err := r.word(p)
		if err != nil {
			return nil, nil, err
		}
		if !word {
			conditions = append(conditions, p)
		}
	}
	return r, arguments, r.conditions(conditions)
}

// once drops words that are given again. As PostgREST has it, the last limit and
// offset count, and the first of all else; conditions all do.
func once(params []filter.Parameter) []filter.Parameter {
	at := make(map[string]int, len(params))
	out := make([]filter.Parameter, 0, len(params))
	for _, p := range params {
		name := p.Key[strings.LastIndexByte(p.Key, '.')+1:]
		ofEmbeds := name == "limit" || name == "offset" || name == "order"
		if !ofEmbeds && p.Key != "select" && p.Key != "columns" && p.Key != "on_conflict" {
			out = append(out, p)
			continue
		}
		if first, given := at[p.Key]; !given {
			at[p.Key] = len(out)
			out = append(out, p)
		} else if name == "limit" || name == "offset" {
			out[first] = p
		}
	}
	return out
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
		what = "on_conflict parameter"
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
func (r *request) conditions(all []filter.Parameter) error {
	embeds, seen := filter.Embeds(r.fields), map[string]bool{}
	var where []query.Condition
	for _, p := range all {
		head, _, dotted := filter.Head(p.Key)
		if dotted && !filter.IsLogic(p.Key) {
			if embeds[head] == nil {
				return notEmbedded(head)
			}
			if err := filter.Embedded(embeds, seen, p, condition); err != nil {
				what := "filter"
				if strings.HasSuffix(p.Key, ".order") {
					what = "order"
				}
				return asParseFault("failed to parse "+what+" ("+p.Value+")", err)
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
