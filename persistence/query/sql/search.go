package sql

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// The greatest values that pgvector takes for its settings.
const (
	MaxCandidates = 1000
	MaxLists      = 32768
)

// SearchPlan is a compiled search.
type SearchPlan struct {
	*Plan
	candidates, lists int
}

// Found is what a search found.
type Found struct {
	// JSON is the array of the rows, Distances how far each is.
	JSON      []byte
	Distances []float64
}

// Search compiles a search. The distance is written once, as a column behind the
// others: by it the rows are ordered, by an index if there is one, and the outer query
// keeps what is near enough. That is the same as to filter first, for the page has the
// nearest rows of all.
func Search(relations Relations, q *query.Search, o Options) (*SearchPlan, error) {
	if q.Limit < 0 || q.Candidates < 0 || q.Candidates > MaxCandidates || q.Lists < 0 || q.Lists > MaxLists {
		return nil, invalid("a number of the search is out of range")
	}
	if q.Below != nil && math.IsNaN(*q.Below) {
		return nil, invalid("the threshold of a search must be a number")
	}
	rel, err := relationOf(relations, q.From)
	if err != nil {
		return nil, err
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Fields); err != nil {
		return nil, err
	}
	if c.aggregates(q.Fields) {
		return nil, invalid("what a search finds cannot be aggregated")
	}
	fields := q.Fields
	if len(fields) == 0 {
		for i := range rel.Columns {
			if name := rel.Columns[i].Name; name != q.Path.Column || len(q.Path.Steps) > 0 {
				fields = append(fields, &query.Field{Path: query.Column(name)})
			}
		}
	}
	p := &projection{}
	if err := c.items(p, fields, nil, 0); err != nil {
		return nil, err
	}
	labels := p.labels(c)
	measured := "distance"
	for n := 2; slices.Contains(labels, measured); n++ {
		measured = "distance_" + strconv.Itoa(n)
	}
	var measure strings.Builder
	if err := c.distance(&measure, q.Path, &q.Distance); err != nil {
		return nil, err
	}
	p.outputs = append(p.outputs, output{label: measured, text: measure.String()})

	var w strings.Builder
	w.WriteString("SELECT (SELECT ")
	o.Form.write(&w, "item.*")
	w.WriteString(" FROM (SELECT ")
	for i, label := range labels {
		if i > 0 {
			w.WriteString(", ")
		}
		qualified(&w, "page", label)
	}
	w.WriteString(") AS item), ")
	qualified(&w, "page", measured)
	w.WriteString(" FROM (SELECT ")
	p.columns(&w)
	w.WriteString(" FROM ")
	c.source(&w)
	w.WriteString(p.joins.String())
	if err := c.where(&w, q.Where); err != nil {
		return nil, err
	}
	w.WriteString(" ORDER BY " + strconv.Itoa(len(p.outputs)))
	if err := c.page(&w, query.Page{Limit: q.Limit}); err != nil {
		return nil, err
	}
	w.WriteString(") AS page WHERE ")
	qualified(&w, "page", measured)
	w.WriteString(` > '-Infinity'::"float8" AND `)
	qualified(&w, "page", measured)
	w.WriteString(" < ")
	below := "Infinity"
	if q.Below != nil {
		below = strconv.FormatFloat(*q.Below, 'g', -1, 64)
	}
	c.typed(&w, below, Type{Name: "float8"})
	w.WriteString(" ORDER BY 2")
	plan, err := c.finish(&Plan{Rows: true, Labels: labels, Form: o.Form}, w.String())
	return &SearchPlan{Plan: plan, candidates: q.Candidates, lists: q.Lists}, err
}

// Statements are what db must run, in one transaction, to fill found.
func (p *SearchPlan) Statements(found *Found) []db.Statement {
	*found = Found{Distances: []float64{}}
	statements := p.prepared(db.Statement{SQL: p.SQL, Args: p.Args, Read: found.read(p.Plan)})
	if !p.nearest {
		return statements
	}
	settings := []string{"ivfflat.iterative_scan", "relaxed_order"} // the outer query orders anew
	if p.candidates > 0 {
		settings = append(settings, "hnsw.ef_search", strconv.Itoa(p.candidates))
	}
	if p.lists > 0 {
		settings = append(settings, "ivfflat.probes", strconv.Itoa(p.lists))
	}
	return append([]db.Statement{indexSettings(settings...)}, statements...)
}

func (f *Found) read(p *Plan) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		l := newList(p)
		for rows.Next() {
			var distance float64
			if err := rows.Scan(nil, &distance); err != nil {
				return fmt.Errorf("read a distance: %w", err)
			}
			l.add(rows.RawValues()[:1])
			f.Distances = append(f.Distances, distance)
		}
		f.JSON = l.end()
		return cmp.Or(rows.Err(), l.err())
	}
}
