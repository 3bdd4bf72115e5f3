package sql

import (
	"strings"

	"fluxbase/persistence/query"
)

// Options are the limits of a compilation.
type Options struct {
	// EstimateAbove is the number of rows up to which CountEstimated counts
	// exactly; 0 for 1000.
	EstimateAbove int64
	// MaxEmbedded caps how many rows an embed shows in each row of its parent; 0
	// for any number.
	MaxEmbedded int64
	// Records asks a Select for the text of its rows as records, which ReadRecord
	// reads, in place of JSON.
	Records bool
	// Keep, when not nil, is the scope of the idempotency key under which a write
	// keeps its answer; see persistence/idempotency.
	Keep []byte
}

// Select compiles a read.
func Select(relations Relations, q *query.Select, o Options) (*Plan, error) {
	rel, err := relationOf(relations, q.From)
	if err != nil {
		return nil, err
	}
	if q.Truncate < 0 {
		return nil, invalid("truncate cannot be negative")
	}
	c := newCompiler(relations, rel, o)
	if err := c.resolve(q.Fields); err != nil {
		return nil, err
	}
	// What is counted is written first, so that its parameters come first and can
	// be given to the count alone.
	var where strings.Builder
	if err := c.where(&where, q.Where); err != nil {
		return nil, err
	}
	countArgs := len(c.args)
	p, err := c.project(q.Fields, q.Group, q.Truncate)
	if err != nil {
		return nil, err
	}
	var page, counted strings.Builder
	page.Grow(256 + where.Len())
	page.WriteString("SELECT ")
	p.columns(&page)
	page.WriteString(" FROM ")
	c.from(&page)
	page.WriteString(p.joins.String())
	page.WriteString(where.String())
	p.group(&page)
	if p.grouped { // the groups are counted, not their rows
		counted.WriteString("(" + page.String() + ") AS counted")
		countArgs = len(c.args)
	} else {
		c.from(&counted)
		counted.WriteString(where.String())
	}
	if err := c.order(&page, q.Order, p); err != nil {
		return nil, err
	}

	var w strings.Builder
	w.Grow(128 + page.Len() + counted.Len())
	plan := &Plan{Rows: true, Labels: p.labels(c)}
	threshold := o.EstimateAbove
	if threshold <= 0 {
		threshold = 1000
	}
	switch q.Count {
	case query.CountExact:
		plan.Counted = true
		w.WriteString("SELECT count(*), NULL::json FROM ")
		w.WriteString(counted.String())
		w.WriteString(" UNION ALL SELECT NULL, ")
	case query.CountEstimated:
		plan.Counted, plan.Threshold = true, threshold
		w.WriteString("SELECT count(*), NULL::json FROM (SELECT FROM ")
		w.WriteString(counted.String())
		w.WriteString(" LIMIT ")
		c.arg(&w, threshold+1)
		w.WriteString(") AS counted UNION ALL SELECT NULL, ")
	default:
		w.WriteString("SELECT ")
	}
	if o.Records {
		w.WriteString("(page.*)::text FROM (")
	} else {
		w.WriteString("row_to_json(page.*) FROM (")
	}
	w.WriteString(page.String())
	if err := c.page(&w, q.Page); err != nil {
		return nil, err
	}
	w.WriteString(") AS page")
	if q.Count == query.CountPlanned || q.Count == query.CountEstimated {
		plan.Explain, plan.ExplainArgs = "EXPLAIN (FORMAT JSON) SELECT FROM "+counted.String(), countArgs
	}
	return c.finish(plan, w.String())
}

// finish completes a plan with its text and parameters.
func (c *compiler) finish(plan *Plan, text string) (*Plan, error) {
	if len(c.args) > maxArgs {
		return nil, invalid("the query has more than %d values", maxArgs)
	}
	plan.SQL, plan.Args = text, c.args
	return plan, nil
}
