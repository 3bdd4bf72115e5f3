package sql

import (
	"strings"
	"unicode/utf8"

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
	// Form is how rows are given.
	Form Form
	// Columns lets PostgreSQL give the columns of a row, of which the server makes the
	// JSON or the record: the same bytes for less. Where it is not set, and where the answer is kept
	// or joined in the database, PostgreSQL makes it.
	Columns bool
	// Keep, when not nil, is the scope of the idempotency key under which a write
	// keeps its answer; see persistence/idempotency.
	Keep []byte
	// Bound, when not nil, is how many rows a write may change, or a function return.
	Bound *Bound
	// Explain, when not nil, asks for the plan in place of the answer.
	Explain *Explain
	// MaxAffected is how many rows an update or a deletion may change at most: with
	// more it is undone and fails with TOO_MANY_ROWS. 0 for any number.
	MaxAffected int64
	// MaxBytes is how large an answer may be that is not streamed: a larger one is
	// not kept, and reading it fails with ANSWER_TOO_LARGE. 0 for any size.
	MaxBytes int64
}

// Form is how rows are given.
type Form uint8

// The forms.
const (
	// JSON is an object per row.
	JSON Form = iota
	// StrippedJSON leaves out members that are null.
	StrippedJSON
	// Records is the text of a record per row, which readRecord reads.
	Records
	// GeoJSON is a Feature per row, of a geometry among its columns.
	GeoJSON
)

// write writes a row in the form.
func (f Form) write(w *strings.Builder, row string) {
	switch f {
	case StrippedJSON:
		w.WriteString("json_strip_nulls(row_to_json(" + row + "))")
	case Records:
		w.WriteString("(" + row + ")::text")
	default:
		w.WriteString("row_to_json(" + row + ")")
	}
}

// empty is a value of the form that is NULL.
func (f Form) empty() string {
	if f == Records {
		return "NULL::text"
	}
	return "NULL::json"
}

// Bound is how many rows a write may change or a function return. With another
// number everything is undone and fails with UNEXPECTED_ROWS.
type Bound struct {
	Least, Most int64
	// Fresh asks how many of the rows are new, of an insert that may merge.
	Fresh bool
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
	return newCompiler(relations, rel, o).read(q, "")
}

// read compiles a read of the scope's relation. with stands before the statement.
func (c *compiler) read(q *query.Select, with string) (*Plan, error) {
	o := c.options
	if err := c.resolve(q.Fields); err != nil {
		return nil, err
	}
	conditions, order := ranked(q.Where, q.Order)
	// What is counted is written first, so that its parameters come first and can
	// be given to the count alone.
	var where strings.Builder
	if err := c.where(&where, conditions); err != nil {
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
	c.source(&page)
	page.WriteString(p.joins.String())
	page.WriteString(where.String())
	p.group(&page)
	if p.grouped { // the groups are counted, not their rows
		counted.WriteString("(" + page.String() + ") AS counted")
		countArgs = len(c.args)
	} else {
		c.source(&counted)
		counted.WriteString(where.String())
	}
	if err := c.order(&page, order, p); err != nil {
		return nil, err
	}

	var w strings.Builder
	w.Grow(128 + page.Len() + counted.Len())
	w.WriteString(with)
	plan := &Plan{Rows: true, Labels: p.labels(c), Form: o.Form, row: c.shape(p)}
	threshold := o.EstimateAbove
	if threshold <= 0 {
		threshold = 1000
	}
	if o.Bound != nil {
		var item strings.Builder
		item.WriteString("SELECT ")
		if err := c.item(&item, p, "page.*"); err != nil {
			return nil, err
		}
		item.WriteString(" FROM (" + page.String())
		if err := c.page(&item, q.Page); err != nil {
			return nil, err
		}
		item.WriteString(") AS page")
		total := ""
		if q.Count != query.CountNone {
			total = "SELECT count(*) FROM " + counted.String()
		}
		return c.bounded(plan, with, item.String(), total)
	}
	switch q.Count {
	case query.CountExact:
		plan.Counted = true
		w.WriteString("SELECT count(*), ")
		plan.nothing(&w)
		w.WriteString(" FROM ")
		w.WriteString(counted.String())
		w.WriteString(" UNION ALL SELECT NULL, ")
	case query.CountEstimated:
		plan.Counted, plan.Threshold = true, threshold
		w.WriteString("SELECT count(*), ")
		plan.nothing(&w)
		w.WriteString(" FROM (SELECT FROM ")
		w.WriteString(counted.String())
		w.WriteString(" LIMIT ")
		c.arg(&w, threshold+1)
		w.WriteString(") AS counted UNION ALL SELECT NULL, ")
	default:
		w.WriteString("SELECT ")
	}
	switch {
	case plan.row == nil:
		if err := c.item(&w, p, "page.*"); err != nil {
			return nil, err
		}
	case p.star != "" && !plan.Counted && plan.row.plain():
		// Whatever columns there are, so that one which the catalogue does not know yet
		// is noticed.
		w.WriteString("page.*")
	default:
		plan.row.of(&w, "page")
	}
	w.WriteString(" FROM (")
	w.WriteString(page.String())
	if err := c.page(&w, q.Page); err != nil {
		return nil, err
	}
	w.WriteString(") AS page")
	if q.Count == query.CountPlanned || q.Count == query.CountEstimated {
		plan.Explain, plan.ExplainArgs = "EXPLAIN (FORMAT JSON) SELECT FROM "+counted.String(), countArgs
	}
	return c.finishRead(plan, w.String())
}

// nothing writes the columns of a row that has only a total.
func (p *Plan) nothing(w *strings.Builder) {
	if p.row != nil {
		p.row.nothing(w)
	} else {
		w.WriteString(p.Form.empty())
	}
}

// finish completes a plan with its text and parameters.
func (c *compiler) finish(plan *Plan, sql string) (*Plan, error) {
	if len(c.args) > maxArgs {
		return nil, invalid("the query has more than %d values", maxArgs)
	}
	// Names that a client makes up end in the text, and PostgreSQL reads it up to the
	// first NUL.
	if strings.IndexByte(sql, 0) >= 0 || !utf8.ValidString(sql) {
		return nil, invalid("a name is not valid UTF-8 text")
	}
	plan.SQL, plan.Args, plan.MaxBytes, plan.nearest, plan.explain = sql, c.args, c.options.MaxBytes, c.nearest, c.options.Explain
	return plan, nil
}
