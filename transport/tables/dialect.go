package tables

import (
	"encoding/json"
	"strconv"

	"fluxbase/actors/data"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
)

// words are the parameters that a request may carry beside conditions.
type words uint16

const (
	wordSelect words = 1 << iota
	wordOrder
	wordPage
	wordCount
	wordTruncate
	wordGroup
	wordConflict
	wordColumns
	wordFilter
	wordExport
)

const (
	listWords   = wordSelect | wordOrder | wordPage | wordCount | wordTruncate | wordGroup | wordFilter
	exportWords = wordSelect | wordOrder | wordPage | wordTruncate | wordGroup | wordFilter | wordExport
	getWords    = wordSelect | wordTruncate | wordFilter
	createWords = wordSelect | wordTruncate | wordCount | wordConflict | wordColumns
	changeWords = wordSelect | wordTruncate | wordCount | wordOrder | wordPage | wordFilter | wordColumns
)

// reserved are the keys that are never a column's condition. A column of such a
// name is filtered by the key spelling (order.eq=5) or in quotes ("order"=eq.5).
var reserved = map[string]words{
	"select": wordSelect, "order": wordOrder, "limit": wordPage, "offset": wordPage, "count": wordCount, "truncate": wordTruncate,
	"group_by": wordGroup, "on_conflict": wordConflict, "columns": wordColumns, "cursor": 0, "cursor_column": 0,
}

// credentials are the keys under which the server takes credentials from a query
// string. They were used before we come; what reads as a condition on a column
// of such a name is one.
var credentials = map[string]bool{"token": true, "apikey": true, "clientkey": true}

// request is what a query string of the native dialect says.
type request struct {
	fields   query.Projection
	where    query.Condition
	order    []query.Order
	page     query.Page
	count    query.Count
	truncate int
	group    []query.Path
	conflict []string
	columns  []string
	// format and ids are an export's.
	format data.Format
	ids    []string
}

// parse reads a query string in which only the given words may stand. Nothing
// in it is ignored: what is not understood, or makes no sense here, is a fault.
func parse(raw string, allowed words) (*request, error) {
	r := &request{page: query.Page{Limit: query.NoLimit}}
	params, err := parameters(raw)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var conditions []parameter
	for _, p := range params {
		word, isReserved := reserved[p.key]
		if allowed&wordExport != 0 && (p.key == "format" || p.key == "items") {
			word, isReserved = wordExport, true
		}
		if !isReserved {
			if credentials[p.key] {
				if _, err := condition(p); err != nil {
					continue
				}
			}
			conditions = append(conditions, p)
			continue
		}
		if word == 0 || allowed&word == 0 {
			return nil, invalid("%s is not supported here", p.key)
		}
		if seen[p.key] {
			return nil, invalid("%s is given twice", p.key)
		}
		seen[p.key] = true
		if err := r.word(p); err != nil {
			return nil, err
		}
	}
	return r, r.conditions(conditions, allowed, seen)
}

// conditions reads the parameters that are no words of their own. seen are the
// words that were given.
func (r *request) conditions(all []parameter, allowed words, seen map[string]bool) error {
	embeds := embedsOf(r.fields)
	var where []query.Condition
	for _, p := range all {
		if head, _, ok := filter.Head(p.key); ok && embeds[head] != nil {
			if err := embed(embeds, seen, p); err != nil {
				return err
			}
			continue
		}
		if allowed&wordFilter == 0 {
			return invalid("%s is not supported here", p.key)
		}
		c, err := condition(p)
		if err != nil {
			return err
		}
		where = append(where, c)
	}
	r.where = query.Conjoin(where...)
	return nil
}

// word reads one reserved parameter.
func (r *request) word(p parameter) (err error) {
	switch p.key {
	case "select":
		if p.value != "" {
			r.fields, err = filter.ParseSelect(p.value)
		}
	case "order":
		if p.value != "" {
			r.order, err = filter.ParseOrder(p.value)
		}
	case "limit":
		r.page.Limit, err = whole(p)
	case "offset":
		r.page.Offset, err = whole(p)
	case "truncate":
		var n int64
		if n, err = whole(p); err == nil && n > 1<<30 {
			err = invalid("truncate is too large")
		}
		r.truncate = int(n)
	case "count":
		var ok bool
		if r.count, ok = counts[p.value]; !ok {
			err = invalid("count takes exact, planned, estimated or none, not %q", p.value)
		}
	case "group_by":
		var names []string
		names, err = filter.ParseNames(p.value)
		for _, name := range names {
			r.group = append(r.group, query.Column(name))
		}
	case "on_conflict":
		r.conflict, err = filter.ParseNames(p.value)
	case "columns":
		r.columns, err = filter.ParseNames(p.value)
	case "format":
		var ok bool
		if r.format, ok = formats[p.value]; !ok {
			err = invalid("format takes csv or json, not %q", p.value)
		}
	case "items":
		var s selection
		if json.Unmarshal([]byte(p.value), &s.IDs) != nil {
			return invalid("items takes a JSON array of ids")
		}
		r.ids, err = s.ids()
	}
	return err
}

var formats = map[string]data.Format{"csv": data.CSV, "json": data.JSON}

var counts = map[string]query.Count{
	"none": query.CountNone, "exact": query.CountExact, "planned": query.CountPlanned, "estimated": query.CountEstimated,
}

func whole(p parameter) (int64, error) {
	n, err := strconv.ParseInt(p.value, 10, 64)
	if err != nil || n < 0 {
		return 0, invalid("%s must be a whole number of at least 0, not %q", p.key, p.value)
	}
	return n, nil
}

// condition reads a filter or a logic tree.
func condition(p parameter) (query.Condition, error) {
	if filter.IsLogic(p.key) {
		return filter.ParseLogic(p.key, p.value)
	}
	return filter.ParseCondition(p.key, p.value)
}

// embedsOf finds the embeds of a select list by their labels.
func embedsOf(fields query.Projection) map[string]*query.Embed {
	var out map[string]*query.Embed
	for _, item := range fields {
		if e, ok := item.(*query.Embed); ok {
			if out == nil {
				out = map[string]*query.Embed{}
			}
			out[e.Label()] = e
		}
	}
	return out
}

// embed adds a parameter whose key begins with an embed's label to that embed. seen
// are the whole keys of words that were given.
func embed(embeds map[string]*query.Embed, seen map[string]bool, p parameter) error {
	whole := p.key
	for {
		head, rest, _ := filter.Head(p.key)
		e := embeds[head]
		p.key = rest
		switch rest {
		case "order", "limit", "offset":
			if seen[whole] {
				return invalid("%s is given twice", whole)
			}
			seen[whole] = true
			r := request{page: e.Page}
			if err := r.word(p); err != nil {
				return err
			}
			e.Page = r.page
			if rest == "order" {
				e.Order = r.order
			}
			return nil
		}
		embeds = embedsOf(e.Fields)
		if next, _, ok := filter.Head(rest); ok && embeds[next] != nil {
			continue
		}
		c, err := condition(p)
		if err != nil {
			return err
		}
		e.Where = query.Conjoin(e.Where, c)
		return nil
	}
}
