package sql

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
)

// embedding is an embed whose relationship is known, with the scope of its rows.
type embedding struct {
	*query.Embed
	inner *compiler
}

// one tells whether there is at most one embedded row.
func (e *embedding) one() bool { return e.inner.via.One() }

// resolve finds the relationships of a projection's embeds, nested ones included.
// It comes before conditions and orders, which may speak of embeds.
func (c *compiler) resolve(p query.Projection) error {
	for _, item := range p {
		e, ok := item.(*query.Embed)
		if !ok {
			continue
		}
		if c.embedded(e.Label()) != nil {
			return invalid("select embeds %s twice", e.Label()).WithHint("Give one of the two an alias: other:" + e.Name + "(…).")
		}
		via, err := c.relationship(e)
		if err != nil {
			return err
		}
		inner, err := c.within(via)
		if err != nil {
			return err
		}
		inner.whole = e.Whole
		own := *e
		own.Where, own.Order = ranked(e.Where, e.Order)
		c.embeds = append(c.embeds, &embedding{Embed: &own, inner: inner})
		if err := inner.resolve(e.Fields); err != nil {
			return err
		}
	}
	return nil
}

// within is the scope of the rows that a relationship leads to.
func (c *compiler) within(via *catalog.Relationship) (*compiler, error) {
	rel, ok := c.relations.Relation(via.Schema, via.Name)
	if !ok {
		return nil, NotFound(query.Relation{Schema: via.Schema, Name: via.Name})
	}
	inner := &compiler{statement: c.statement, relation: rel, parent: c, depth: c.depth + 1, via: via}
	inner.name = inner.claim(rel.Name + "_" + strconv.Itoa(inner.depth))
	if via.Junction != nil {
		inner.junction = inner.claim(via.Junction.Name + "_" + strconv.Itoa(inner.depth))
	}
	return inner, nil
}

// embedded finds an embed by its label.
func (c *compiler) embedded(label string) *embedding {
	for _, e := range c.embeds {
		if e.Label() == label {
			return e
		}
	}
	return nil
}

// maxName is how many bytes of a name PostgreSQL keeps.
const maxName = 63

// claim takes a name for something in this scope's FROM. It is the one wanted
// unless that would hide a name of a scope around it.
func (c *compiler) claim(wanted string) string {
	name := cut(wanted, maxName)
	for n := 2; c.taken(name); n++ {
		suffix := "_" + strconv.Itoa(n)
		name = cut(wanted, maxName-len(suffix)) + suffix
	}
	c.names = append(c.names, name)
	return name
}

func (c *compiler) taken(name string) bool {
	for ; c != nil; c = c.parent {
		if slices.Contains(c.names, name) {
			return true
		}
	}
	return false
}

// cut shortens a name to so many bytes, at a character's edge.
func cut(name string, bytes int) string {
	if len(name) <= bytes {
		return name
	}
	for bytes > 0 && !utf8.RuneStart(name[bytes]) {
		bytes--
	}
	return name[:bytes]
}

// source writes what stands in the scope's FROM, without laterals.
func (c *compiler) source(w *strings.Builder) {
	if c.via == nil {
		if c.call != "" {
			w.WriteString(c.call)
		} else {
			c.from(w)
		}
		return
	}
	if f := c.via.Function; f != nil {
		qualified(w, f.Schema, f.Name)
		w.WriteByte('(')
		c.parent.row(w)
		w.WriteByte(')')
	} else {
		c.from(w)
	}
	w.WriteString(" AS ")
	quote(w, c.name)
	if j := c.via.Junction; j != nil {
		w.WriteString(", ")
		qualified(w, j.Schema, j.Name)
		w.WriteString(" AS ")
		quote(w, c.junction)
	}
}

// join writes the condition that ties the rows to the parent's row.
func (c *compiler) join(w *strings.Builder) {
	equal := func(a string, columns []string, b string, others []string) {
		for i := range columns {
			if i > 0 {
				w.WriteString(" AND ")
			}
			qualified(w, a, columns[i])
			w.WriteString(" = ")
			qualified(w, b, others[i])
		}
	}
	if j := c.via.Junction; j != nil {
		equal(c.junction, j.Near.Columns, c.parent.name, c.via.Columns)
		w.WriteString(" AND ")
		equal(c.junction, j.Far.Columns, c.name, c.via.Referenced)
		return
	}
	equal(c.name, c.via.Referenced, c.parent.name, c.via.Columns)
}

// exists writes whether a row has embedded rows that match the embed's conditions.
func (c *compiler) exists(w *strings.Builder, e *embedding, wanted bool) error {
	if !wanted {
		w.WriteString("NOT ")
	}
	w.WriteString("EXISTS (SELECT FROM ")
	e.inner.source(w)
	if err := e.inner.where(w, e.Where); err != nil {
		return err
	}
	w.WriteByte(')')
	return nil
}

// required writes that the embeds which are joined inner have rows. joint stands
// before each.
func (c *compiler) required(w *strings.Builder, joint string) error {
	for _, e := range c.embeds {
		if !e.Inner {
			continue
		}
		w.WriteString(joint)
		joint = " AND "
		if err := c.exists(w, e, true); err != nil {
			return err
		}
	}
	return nil
}

// requires tells whether there are such embeds.
func (c *compiler) requires() bool {
	return slices.ContainsFunc(c.embeds, func(e *embedding) bool { return e.Inner })
}

// rows writes the SELECT of the embedded rows: the projection, in order, the page.
func (e *embedding) rows(w *strings.Builder, truncate int) (*projection, error) {
	c := e.inner
	p, err := c.project(e.Fields, nil, truncate)
	if err != nil {
		return nil, err
	}
	return p, e.selection(w, p, func() error { p.columns(w); return nil })
}

// selection writes a SELECT of the embedded rows whose columns are written by
// another.
func (e *embedding) selection(w *strings.Builder, p *projection, columns func() error) error {
	c := e.inner
	w.WriteString("SELECT ")
	if err := columns(); err != nil {
		return err
	}
	w.WriteString(" FROM ")
	c.source(w)
	w.WriteString(p.joins.String())
	if err := c.where(w, e.Where); err != nil {
		return err
	}
	p.group(w)
	if err := c.order(w, e.Order, p); err != nil {
		return err
	}
	page := e.Page
	if most := c.options.MaxEmbedded; most > 0 && !e.one() && (page.Limit == query.NoLimit || page.Limit > most) {
		page.Limit = most
	}
	if e.one() && (c.via.Function != nil || c.relation.View) && page.Limit == query.NoLimit {
		// Nothing but the catalogue's word says that there is only one.
		page.Limit = 1
	}
	return c.page(w, page)
}

// json writes the embed as one value: an object or null, or an array.
func (e *embedding) json(w *strings.Builder, truncate int) error {
	if e.one() || e.Whole {
		w.WriteString("(SELECT row_to_json(item.*) FROM (")
		if _, err := e.rows(w, truncate); err != nil {
			return err
		}
		w.WriteString(") AS item)")
		return nil
	}
	w.WriteString("array_to_json(ARRAY(SELECT row_to_json(item.*) FROM (")
	if _, err := e.rows(w, truncate); err != nil {
		return err
	}
	w.WriteString(") AS item))")
	return nil
}
