package sql

import (
	"strconv"
	"strings"

	"fluxbase/persistence/query"
)

// addEmbed adds what an embed shows in its parent: one value, or with a spread its
// columns. An embed without fields only filters.
//
// The value is a subquery in the SELECT list, which PostgreSQL evaluates for the
// rows of the page only, after sorting. What must be there before, because it is
// grouped or has several columns, is joined as a lateral.
func (c *compiler) addEmbed(p *projection, e *embedding, truncate int) error {
	switch {
	case len(e.Fields) == 0:
		return nil
	case e.Spread && e.one():
		return c.spreadOne(p, e, truncate)
	case e.Spread:
		return c.spreadMany(p, e, truncate)
	}
	var value strings.Builder
	if err := e.json(&value, truncate); err != nil {
		return err
	}
	if !p.grouped {
		return p.add(output{label: e.Label(), text: value.String(), of: Type{Name: "json", Kind: KindJSON}})
	}
	// Only jsonb can be grouped by.
	place := c.lateral(p, e, "SELECT "+value.String()+"::jsonb AS item")
	return p.add(output{label: e.Label(), text: place + ".item"})
}

// lateral joins a subquery to the FROM and gives its name, quoted.
func (c *compiler) lateral(p *projection, e *embedding, subquery string) string {
	var name strings.Builder
	quote(&name, c.claim(c.relation.Name+"_"+e.Label()+"_"+strconv.Itoa(e.inner.depth)))
	p.joins.WriteString(" LEFT JOIN LATERAL (")
	p.joins.WriteString(subquery)
	p.joins.WriteString(") AS ")
	p.joins.WriteString(name.String())
	p.joins.WriteString(" ON true")
	return name.String()
}

// spreadOne lifts the columns of the one embedded row into the parent. Aggregates
// among them are the parent's.
func (c *compiler) spreadOne(p *projection, e *embedding, truncate int) error {
	lifted := &projection{}
	if err := e.inner.items(lifted, e.Fields, nil, truncate); err != nil {
		return err
	}
	var w strings.Builder
	err := e.selection(&w, lifted, func() error {
		for i := range lifted.outputs {
			if i > 0 {
				w.WriteString(", ")
			}
			if lifted.outputs[i].text == everyRow {
				w.WriteByte('1')
			} else {
				w.WriteString(lifted.outputs[i].text)
			}
			w.WriteString(" AS ")
			quote(&w, lifted.outputs[i].label)
		}
		return nil
	})
	if err != nil {
		return err
	}
	place := c.lateral(p, e, w.String())
	for _, o := range lifted.outputs {
		var text strings.Builder
		text.WriteString(place + ".")
		quote(&text, o.label)
		if err := p.add(output{label: o.label, text: text.String(), function: o.function, cast: o.cast, of: o.of}); err != nil {
			return err
		}
	}
	return nil
}

// spreadMany gives one array per column of the embedded rows.
func (c *compiler) spreadMany(p *projection, e *embedding, truncate int) error {
	inner, err := e.inner.project(expanded(e), nil, truncate)
	if err != nil {
		return err
	}
	var w strings.Builder
	w.WriteString("SELECT ")
	for i := range inner.outputs {
		if i > 0 {
			w.WriteString(", ")
		}
		w.WriteString("coalesce(json_agg(item.")
		quote(&w, inner.outputs[i].label)
		w.WriteString("), '[]'::json) AS ")
		quote(&w, inner.outputs[i].label)
	}
	w.WriteString(" FROM (")
	if err := e.selection(&w, inner, func() error { inner.columns(&w); return nil }); err != nil {
		return err
	}
	w.WriteString(") AS item")
	place := c.lateral(p, e, w.String())
	for _, o := range inner.outputs {
		var text strings.Builder
		text.WriteString(place + ".")
		quote(&text, o.label)
		if p.grouped {
			text.WriteString("::jsonb")
		}
		if err := p.add(output{label: o.label, text: text.String()}); err != nil {
			return err
		}
	}
	return nil
}

// expanded is an embed's projection with its columns by name.
func expanded(e *embedding) query.Projection {
	var out query.Projection
	for _, item := range e.Fields {
		if _, star := item.(query.Star); !star {
			out = append(out, item)
			continue
		}
		for i := range e.inner.relation.Columns {
			out = append(out, &query.Field{Path: query.Column(e.inner.relation.Columns[i].Name)})
		}
	}
	return out
}
