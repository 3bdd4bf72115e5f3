package sql

import (
	"strconv"
	"strings"

	"fluxbase/persistence/query"
)

// answered completes a write, whose head stands in w, with its answer: the rows in
// order, by keys that the write gives, or what they come to together.
func (c *compiler) answered(plan *Plan, w *strings.Builder, r query.Returning, order []query.Order) (*Plan, error) {
	o := &c.options
	grouped := r.Rows && c.aggregates(r.Fields)
	tells := grouped || o.Keep != nil || o.Bound != nil || o.MaxAffected > 0
	if len(order) == 0 && !tells && o.Explain == nil {
		if err := c.returning(plan, w, r); err != nil {
			return nil, err
		}
		return c.finish(plan, w.String())
	}
	// The rows to answer with are page(item), those that were written are written.
	var outer strings.Builder
	outer.Grow(w.Len() + 256)
	written, terms, err := "page", "", error(nil)
	if grouped {
		written = "written"
		err = c.groupedPage(plan, &outer, w.String(), r, order)
	} else {
		terms, err = c.orderedPage(plan, &outer, w.String(), r, order)
	}
	if err != nil {
		return nil, err
	}
	switch {
	case o.Explain != nil:
		outer.WriteString(" SELECT string_agg(page.item::text, ','" + terms + ") FROM page")
		return c.finish(plan, outer.String())
	case !tells:
		outer.WriteString(" SELECT page.item FROM page" + terms)
		return c.finish(plan, outer.String())
	}
	plan.Kept = true
	if o.Bound != nil && o.Bound.Least > 0 {
		written = "page" // so many rows are to be shown
	}
	outer.WriteString(" (SELECT page.item, NULL::int8, NULL::int8 FROM page" + terms + ") UNION ALL SELECT NULL, ")
	c.affected(&outer, written, terms)
	if o.Bound != nil && o.Bound.Fresh {
		outer.WriteString(", (SELECT count(*) FROM " + written + ") - " + mergedRows)
	} else {
		outer.WriteString(", NULL")
	}
	return c.finish(plan, outer.String())
}

// orderedPage writes the WITH clause of a write whose rows are answered one by one,
// and gives the ORDER BY clause over it.
func (c *compiler) orderedPage(plan *Plan, outer *strings.Builder, write string, r query.Returning, order []query.Order) (string, error) {
	outer.WriteString("WITH page AS (" + write + " RETURNING ")
	if !r.Rows {
		outer.WriteString(c.options.Form.empty())
	} else if p, err := c.answerColumns(plan, r); err != nil {
		return "", err
	} else if err := c.answer(outer, p); err != nil {
		return "", err
	}
	outer.WriteString(" AS item")
	var terms strings.Builder
	for i, term := range order {
		outer.WriteString(", ")
		if err := c.orderKey(outer, term); err != nil {
			return "", err
		}
		key := "key_" + strconv.Itoa(i+1)
		outer.WriteString(" AS " + key)
		if i == 0 {
			terms.WriteString(" ORDER BY ")
		} else {
			terms.WriteString(", ")
		}
		terms.WriteString("page." + key)
		direction(&terms, term)
	}
	outer.WriteString(")")
	return terms.String(), nil
}

// groupedPage writes the WITH clause of a write whose rows are aggregated: they are
// read again where they were written, under the relation's name.
func (c *compiler) groupedPage(plan *Plan, outer *strings.Builder, write string, r query.Returning, order []query.Order) error {
	p, err := c.answerColumns(plan, r)
	if err != nil {
		return err
	}
	outer.WriteString("WITH written AS (" + write + " RETURNING ")
	c.row(outer)
	outer.WriteString("), page AS (SELECT ")
	if err := c.item(outer, p, "item.*"); err != nil {
		return err
	}
	outer.WriteString(" AS item FROM (SELECT ")
	p.columns(outer)
	outer.WriteString(" FROM written AS ")
	quote(outer, c.name)
	outer.WriteString(p.joins.String())
	if err := c.required(outer, " WHERE "); err != nil {
		return err
	}
	p.group(outer)
	if err := c.order(outer, order, p); err != nil {
		return err
	}
	outer.WriteString(") AS item)")
	return nil
}

// affected writes the number of rows that were written, inside of the calls that
// judge it and keep it with the rows, which are in the order of terms.
func (c *compiler) affected(w *strings.Builder, written, terms string) {
	o := &c.options
	if o.Keep != nil {
		w.WriteString("app.keep_answer(")
		c.arg(w, o.Keep)
		w.WriteString("::bytea, ")
	}
	if o.MaxAffected > 0 {
		w.WriteString("app.cap_affected(")
	}
	if o.Bound != nil {
		w.WriteString("app.check_affected(")
	}
	w.WriteString("(SELECT count(*) FROM " + written + ")")
	if o.Bound != nil {
		w.WriteString(", ")
		c.arg(w, o.Bound.Least)
		w.WriteString("::int8, ")
		c.arg(w, o.Bound.Most)
		w.WriteString("::int8)")
	}
	if o.MaxAffected > 0 {
		w.WriteString(", ")
		c.arg(w, o.MaxAffected)
		w.WriteString("::int8)")
	}
	if o.Keep != nil {
		w.WriteString(", (SELECT '[' || coalesce(string_agg(page.item::text, ','" + terms + "), '') || ']' FROM page))")
	}
}

// returning writes the RETURNING clause.
func (c *compiler) returning(plan *Plan, w *strings.Builder, r query.Returning) error {
	if !r.Rows {
		return nil
	}
	w.WriteString(" RETURNING ")
	p, err := c.answerColumns(plan, r)
	if err != nil {
		return err
	}
	if p.joins.Len() == 0 && !c.requires() {
		plan.row = c.shape(p)
	}
	switch {
	case plan.row == nil:
		return c.answer(w, p)
	case p.star == "":
		plan.row.write(w, func(i int) { w.WriteString(p.outputs[i].text) })
	case plan.row.plain():
		w.WriteString(p.star)
	default:
		plan.row.write(w, func(i int) { c.column(w, c.relation.Columns[i].Name) })
	}
	return nil
}

// answerColumns are the columns that a write answers with.
func (c *compiler) answerColumns(plan *Plan, r query.Returning) (*projection, error) {
	if r.Truncate < 0 {
		return nil, invalid("truncate cannot be negative")
	}
	p, err := c.project(r.Fields, nil, r.Truncate)
	if err != nil {
		return nil, err
	}
	plan.Labels, plan.Form = p.labels(c), c.options.Form
	return p, nil
}

// answer writes the JSON of a written row. It is NULL for a row that lacks the
// rows which an inner embed wants: the row is written, but not shown.
func (c *compiler) answer(w *strings.Builder, p *projection) error {
	if p.star != "" {
		return c.item(w, p, p.star)
	}
	w.WriteString("(SELECT ")
	if err := c.item(w, p, "item.*"); err != nil {
		return err
	}
	w.WriteString(" FROM (SELECT ")
	p.columns(w)
	if p.joins.Len() > 0 {
		w.WriteString(" FROM (VALUES (1)) AS ")
		quote(w, c.claim("one"))
		w.WriteString(p.joins.String())
	}
	if err := c.required(w, " WHERE "); err != nil {
		return err
	}
	w.WriteString(") AS item)")
	return nil
}
