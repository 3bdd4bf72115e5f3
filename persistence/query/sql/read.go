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
}

// Select compiles a read.
func Select(relations Relations, q *query.Select, o Options) (*Plan, error) {
	rel, err := relationOf(relations, q.From)
	if err != nil {
		return nil, err
	}
	if len(q.Group) > 0 {
		return nil, invalid("group_by: aggregates are not supported")
	}
	if q.Truncate < 0 {
		return nil, invalid("truncate cannot be negative")
	}
	c := &compiler{relation: rel}
	// The condition is written first, so that its parameters come first and can
	// be given to the count alone.
	var where strings.Builder
	if err := c.where(&where, q.Where); err != nil {
		return nil, err
	}
	filterArgs := len(c.args)

	var w strings.Builder
	w.Grow(256 + where.Len())
	plan := &Plan{Rows: true}
	threshold := o.EstimateAbove
	if threshold <= 0 {
		threshold = 1000
	}
	switch q.Count {
	case query.CountExact:
		plan.Counted = true
		w.WriteString("SELECT count(*), NULL::json FROM ")
		c.from(&w)
		w.WriteString(where.String())
		w.WriteString(" UNION ALL SELECT NULL, ")
	case query.CountEstimated:
		plan.Counted, plan.Threshold = true, threshold
		w.WriteString("SELECT count(*), NULL::json FROM (SELECT FROM ")
		c.from(&w)
		w.WriteString(where.String())
		w.WriteString(" LIMIT ")
		c.arg(&w, threshold+1)
		w.WriteString(") AS counted UNION ALL SELECT NULL, ")
	default:
		w.WriteString("SELECT ")
	}
	w.WriteString("row_to_json(page.*) FROM (SELECT ")
	if err := c.projection(&w, q.Fields, q.Truncate); err != nil {
		return nil, err
	}
	w.WriteString(" FROM ")
	c.from(&w)
	w.WriteString(where.String())
	if err := c.order(&w, q.Order); err != nil {
		return nil, err
	}
	if err := c.page(&w, q.Page); err != nil {
		return nil, err
	}
	w.WriteString(") AS page")
	if q.Count == query.CountPlanned || q.Count == query.CountEstimated {
		var e strings.Builder
		e.WriteString("EXPLAIN (FORMAT JSON) SELECT FROM ")
		c.from(&e)
		e.WriteString(where.String())
		plan.Explain, plan.ExplainArgs = e.String(), filterArgs
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
