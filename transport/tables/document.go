package tables

import (
	"bytes"
	"encoding/json"
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
)

// document is a query in a body: what a query string would say, where it would be
// too long for one.
type document struct {
	Select         string          `json:"select"`
	Filters        []documentTerm  `json:"filters"`
	OrFilters      []string        `json:"orFilters"`
	AndFilters     []string        `json:"andFilters"`
	BetweenFilters []documentRange `json:"betweenFilters"`
	Order          []documentOrder `json:"order"`
	Limit          *int64          `json:"limit"`
	Offset         int64           `json:"offset"`
	Count          string          `json:"count"`
	GroupBy        []string        `json:"groupBy"`
	Truncate       int             `json:"truncate"`
}

// documentTerm is a condition whose value is JSON.
type documentTerm struct {
	Column   string          `json:"column"`
	Operator string          `json:"operator"`
	Value    json.RawMessage `json:"value"`
}

type documentRange struct {
	Column  string          `json:"column"`
	Min     json.RawMessage `json:"min"`
	Max     json.RawMessage `json:"max"`
	Negated bool            `json:"negated"`
}

type documentOrder struct {
	Column      string          `json:"column"`
	Direction   string          `json:"direction"`
	Nulls       string          `json:"nulls"`
	VectorOp    string          `json:"vectorOp"`
	VectorValue json.RawMessage `json:"vectorValue"`
}

// decode reads a body strictly: a member that is not known may be a condition.
func decode(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(into)
	if err == nil && d.More() {
		err = fault.New(fault.InvalidRequestBody, "text follows the object")
	}
	if err != nil {
		return fault.New(fault.InvalidRequestBody, "Invalid request body").WithHint(strings.TrimPrefix(err.Error(), "json: ")).WithCause(err)
	}
	return nil
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
		p, err := f.parameter()
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	for _, b := range d.BetweenFilters {
		least, err := plainText(b.Min)
		if err != nil {
			return nil, err
		}
		most, err := plainText(b.Max)
		if err != nil {
			return nil, err
		}
		if b.Negated {
			out = append(out, filter.Parameter{Key: "or", Value: "(" + b.Column + ".lt." + quoted(least) + "," + b.Column + ".gt." + quoted(most) + ")"})
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

// parameter is the condition in the spelling of a query string.
func (f *documentTerm) parameter() (filter.Parameter, error) {
	if f.Column == "" || f.Operator == "" {
		return filter.Parameter{}, invalid("a filter has a column and an operator")
	}
	operator := f.Operator[strings.LastIndexByte(f.Operator, '.')+1:]
	value := bytes.TrimSpace(f.Value)
	var text string
	var err error
	if len(value) > 0 && value[0] == '[' && operator == string(query.In) {
		text, err = listText(value)
	} else {
		text, err = plainText(value)
	}
	return filter.Parameter{Key: f.Column, Value: f.Operator + "." + text}, err
}

// plainText is the text of a value: a string's own, otherwise the JSON.
func plainText(value json.RawMessage) (string, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "", invalid("a filter has no value")
	}
	if value[0] != '"' {
		return string(value), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// listText is the list of an array's values: (a,"b,c").
func listText(value json.RawMessage) (string, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return "", invalid("a list of values is not understood")
	}
	texts := make([]string, len(items))
	for i, item := range items {
		text, err := plainText(item)
		if err != nil {
			return "", err
		}
		texts[i] = quoted(text)
	}
	return "(" + strings.Join(texts, ",") + ")", nil
}

// quoted puts a value into the quotes of the filter grammar.
func quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}

func (o *documentOrder) term() (query.Order, error) {
	text := o.Column
	if o.VectorOp != "" {
		value, err := plainText(o.VectorValue)
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
