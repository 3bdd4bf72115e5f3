package tables

import (
	"encoding/json"

	"fluxbase/actors/data"
	"fluxbase/persistence/fault"
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
	params, err := filter.Parameters(raw)
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	var conditions []filter.Parameter
	for _, p := range params {
		word, isReserved := reserved[p.Key]
		if allowed&wordExport != 0 && (p.Key == "format" || p.Key == "items") {
			word, isReserved = wordExport, true
		}
		if !isReserved {
			if credentials[p.Key] {
				if _, err := filter.ParseParameter(p); err != nil {
					continue
				}
			}
			conditions = append(conditions, p)
			continue
		}
		if word == 0 || allowed&word == 0 {
			return nil, invalid("%s is not supported here", p.Key)
		}
		if seen[p.Key] {
			return nil, invalid("%s is given twice", p.Key)
		}
		seen[p.Key] = true
		if err := r.word(p); err != nil {
			return nil, err
		}
	}
	return r, r.conditions(conditions, allowed, seen)
}

// conditions reads the parameters that are no words of their own. seen are the
// words that were given.
func (r *request) conditions(all []filter.Parameter, allowed words, seen map[string]bool) error {
	embeds := filter.Embeds(r.fields)
	var where []query.Condition
	for _, p := range all {
		if head, _, ok := filter.Head(p.Key); ok && embeds[head] != nil {
			if err := filter.Embedded(embeds, seen, p, filter.ParseParameter); err != nil {
				return err
			}
			continue
		}
		if allowed&wordFilter == 0 {
			return invalid("%s is not supported here", p.Key)
		}
		c, err := filter.ParseParameter(p)
		if err != nil {
			return err
		}
		where = append(where, c)
	}
	r.where = query.Conjoin(where...)
	return nil
}

// word reads one reserved parameter.
func (r *request) word(p filter.Parameter) (err error) {
	switch p.Key {
	case "select":
		if p.Value != "" {
			r.fields, err = filter.ParseSelect(p.Value)
		}
	case "order":
		if p.Value != "" {
			r.order, err = filter.ParseOrder(p.Value)
		}
	case "limit":
		r.page.Limit, err = filter.Whole(p)
	case "offset":
		r.page.Offset, err = filter.Whole(p)
	case "truncate":
		var n int64
		if n, err = filter.Whole(p); err == nil && n > 1<<30 {
			err = invalid("truncate is too large")
		}
		r.truncate = int(n)
	case "count":
		var ok bool
		if r.count, ok = counts[p.Value]; !ok {
			err = invalid("count takes exact, planned, estimated or none, not %q", p.Value)
		}
	case "group_by":
		var names []string
		names, err = filter.ParseNames(p.Value)
		for _, name := range names {
			r.group = append(r.group, query.Column(name))
		}
	case "on_conflict":
		r.conflict, err = filter.ParseNames(p.Value)
	case "columns":
		r.columns, err = filter.ParseNames(p.Value)
	case "format":
		var ok bool
		if r.format, ok = formats[p.Value]; !ok {
			err = invalid("format takes csv or json, not %q", p.Value)
		}
	case "items":
		var s selection
		if json.Unmarshal([]byte(p.Value), &s.IDs) != nil {
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

func invalid(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.InvalidQuery, "Invalid query parameters: "+format, args...)
}
