package sql

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
)

// Explain asks for the plan of a statement in place of its answer, as PostgreSQL's
// EXPLAIN gives it with these options. Only Analyze runs the statement.
type Explain struct {
	// JSON gives an array with the plan, otherwise it is lines of text.
	JSON                                     bool
	Analyze, Verbose, Settings, Buffers, WAL bool
}

// head is what stands before the statement.
func (e *Explain) head() string {
	out := "EXPLAIN (FORMAT TEXT"
	if e.JSON {
		out = "EXPLAIN (FORMAT JSON"
	}
	for _, o := range []struct {
		asked bool
		name  string
	}{{e.Analyze, "ANALYZE"}, {e.Verbose, "VERBOSE"}, {e.Settings, "SETTINGS"}, {e.Buffers, "BUFFERS"}, {e.WAL, "WAL"}} {
		if o.asked {
			out += ", " + o.name
		}
	}
	return out + ") "
}

// explained is what db must run to have the statement's plan as r.JSON.
func (p *Plan) explained(r *Result) db.Statement {
	return db.Statement{SQL: p.explain.head() + p.SQL, Args: p.Args, Read: func(rows pgx.Rows) error {
		r.JSON = []byte{} // there are no lines without it
		for n := 0; rows.Next(); n++ {
			if n > 0 {
				r.JSON = append(r.JSON, '\n')
			}
			r.JSON = append(r.JSON, rows.RawValues()[0]...)
		}
		return rows.Err()
	}}
}

// finishRead completes a plan that reads. The rows of a plan that is only explained
// are joined by PostgreSQL, so that the plan shows the whole of the work.
func (c *compiler) finishRead(plan *Plan, text string) (*Plan, error) {
	if c.options.Explain != nil {
		columns := "item"
		if plan.Counted {
			columns = "total, item"
		}
		text = "SELECT string_agg(answer.item::text, ',') FROM (" + text + ") AS answer(" + columns + ")"
	}
	return c.finish(plan, text)
}

// bounded completes a plan that reads what a function returns, of which there may
// be a bounded number of rows: item selects them, total is the SELECT of how many
// there are without the page; empty when nobody asked.
func (c *compiler) bounded(plan *Plan, with, item, total string) (*Plan, error) {
	var w, page strings.Builder
	quote(&page, c.claim("page"))
	w.WriteString("WITH ")
	if with != "" {
		w.WriteString(strings.TrimPrefix(strings.TrimSpace(with), "WITH ") + ", ")
	}
	w.WriteString(page.String() + "(item) AS MATERIALIZED (" + item + ") SELECT item, NULL::int8, NULL::int8 FROM " + page.String() + " UNION ALL SELECT NULL, app.check_affected((SELECT count(*) FROM " + page.String() + "), ")
	c.arg(&w, c.options.Bound.Least)
	w.WriteString("::int8, ")
	c.arg(&w, c.options.Bound.Most)
	w.WriteString("::int8), ")
	if total == "" {
		w.WriteString("NULL")
	} else {
		w.WriteString("(" + total + ")")
	}
	plan.Kept, plan.Counted, plan.totals = true, false, total != ""
	return c.finish(plan, w.String())
}
