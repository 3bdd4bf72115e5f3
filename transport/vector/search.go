package vector

import (
	"encoding/json"
	"strconv"
	"strings"

	"fluxbase/actors/data"
	"fluxbase/actors/embedding"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
	"fluxbase/transport/route"
)

// How many rows a search finds when it does not say, and at most.
const (
	defaultCount = 10
	maxCount     = 1000
)

// searchBody is a search.
type searchBody struct {
	Table     string          `json:"table"`
	Column    string          `json:"column"`
	Query     *string         `json:"query"`
	Vector    json.RawMessage `json:"vector"`
	Metric    string          `json:"metric"`
	Threshold *float64        `json:"match_threshold"`
	Count     *int64          `json:"match_count"`
	Select    string          `json:"select"`
	Filters   []filter.Term   `json:"filters"`
	EfSearch  int             `json:"ef_search"`
	Probes    int             `json:"probes"`
}

// metrics are the measures by the names that clients use.
var metrics = map[string]query.Operator{
	"": query.VectorCosine, "cosine": query.VectorCosine,
	"l2": query.VectorL2, "euclidean": query.VectorL2,
	"inner_product": query.VectorInner, "ip": query.VectorInner,
}

// similarities say how alike vectors of a distance are: 1 for cosine and l2 when they
// are the same, for the inner product the product itself.
var similarities = map[query.Operator]func(distance float64) float64{
	query.VectorCosine: func(d float64) float64 { return 1 - d },
	query.VectorL2:     func(d float64) float64 { return 1 / (1 + d) },
	query.VectorInner:  func(d float64) float64 { return 0 - d },
}

// found is the answer; its lists have the same order.
type found struct {
	Data         json.RawMessage `json:"data"`
	Distances    []float64       `json:"distances"`
	Similarities []float64       `json:"similarities"`
	// Model made the vector of a query's text.
	Model string `json:"model,omitempty"`
}

// search answers the rows nearest to a vector or to the vector of a text.
func search(r *route.Request) error {
	var b searchBody
	if err := route.DecodeStrictly(r.Body(), &b); err != nil {
		return err
	}
	q, err := b.read()
	if err != nil {
		return err
	}
	q.From = relation(r, b.Table)
	var out found
	if b.Query != nil {
		e, err := ask(r, &embedding.Embed{Caller: r.Caller(), Texts: []string{*b.Query}})
		if err != nil {
			return err
		}
		q.Distance.Vector, out.Model = vectorText(e.Vectors[0]), e.Model
	}
	rows, err := kernel.Ask[*data.Found](r.Context(), r.Tenant().Data, &data.Search{Caller: r.Caller(), Query: q})
	if err != nil {
		return err
	}
	out.Data, out.Distances = rows.JSON, rows.Distances
	out.Similarities = make([]float64, len(rows.Distances))
	for i, d := range rows.Distances {
		out.Similarities[i] = similarities[q.Distance.Op](d)
	}
	return r.JSON(200, out)
}

// read gives a body its meaning, but for the relation and the vector of a text.
func (b *searchBody) read() (*query.Search, error) {
	switch {
	case b.Table == "":
		return nil, fault.New(fault.MissingRequiredField, "table is required")
	case b.Column == "":
		return nil, fault.New(fault.MissingRequiredField, "column is required")
	}
	op, ok := metrics[b.Metric]
	if !ok {
		return nil, fault.Newf(fault.InvalidInput, "%q is no metric", b.Metric).WithHint("Metrics are cosine, l2 and inner_product.")
	}
	q := &query.Search{Distance: query.Distance{Op: op}, Below: b.Threshold, Limit: defaultCount, Candidates: b.EfSearch, Lists: b.Probes}
	if b.Count != nil {
		if *b.Count < 1 {
			return nil, fault.New(fault.InvalidInput, "match_count must be at least 1")
		}
		q.Limit = min(*b.Count, maxCount)
	}
	switch {
	case b.Query == nil && b.Vector == nil:
		return nil, fault.New(fault.MissingRequiredField, "query or vector is required")
	case b.Query != nil && b.Vector != nil:
		return nil, fault.New(fault.InvalidInput, "Give query or vector, not both")
	case b.Vector != nil:
		text, err := filter.PlainText(b.Vector)
		if err != nil {
			return nil, err
		}
		if _, err := query.ParseVector(text); err != nil {
			return nil, err
		}
		q.Distance.Vector = text
	}
	var err error
	if q.Path, err = filter.ParsePath(b.Column); err != nil {
		return nil, err
	}
	if b.Select != "" {
		if q.Fields, err = filter.ParseSelect(b.Select); err != nil {
			return nil, err
		}
	}
	q.Where, err = b.conditions(q.Fields)
	return q, err
}

// conditions gives the filters that speak of embeds to these, and makes a condition of
// the others.
func (b *searchBody) conditions(fields query.Projection) (query.Condition, error) {
	embeds, seen := filter.Embeds(fields), map[string]bool{}
	var where []query.Condition
	for i := range b.Filters {
		p, err := b.Filters[i].Parameter()
		if err != nil {
			return nil, err
		}
		if head, _, ok := filter.Head(p.Key); ok && embeds[head] != nil {
			if err := filter.Embedded(embeds, seen, p, filter.ParseParameter); err != nil {
				return nil, err
			}
			continue
		}
		c, err := filter.ParseParameter(p)
		if err != nil {
			return nil, err
		}
		where = append(where, c)
	}
	return query.Conjoin(where...), nil
}

// relation is what a table's name means: a relation of the schema public, or else one
// whose schema stands before the dot.
func relation(r *route.Request, name string) query.Relation {
	if _, ok := r.Tenant().Catalog.Current().Relation(data.Public(name).Schema, name); !ok {
		if schema, table, dotted := strings.Cut(name, "."); dotted {
			return query.Relation{Schema: schema, Name: table}
		}
	}
	return data.Public(name)
}

func vectorText(numbers []float64) string {
	b := []byte{'['}
	for i, x := range numbers {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendFloat(b, x, 'g', -1, 64)
	}
	return string(append(b, ']'))
}
