package sql

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// Read compiles several results into one statement, so that all are of one
// snapshot and of one round trip. There must be one at least. The plan's statement
// returns one row with a column for each result; see Plan.Values.
func Read(relations Relations, roots []query.Root, o Options) (*Plan, error) {
	s := &statement{relations: relations, options: o}
	var w strings.Builder
	w.Grow(512 * len(roots))
	w.WriteString("SELECT ")
	for i := range roots {
		if i > 0 {
			w.WriteString(", ")
		}
		if err := s.root(&w, &roots[i]); err != nil {
			return nil, err
		}
	}
	return (&compiler{statement: s}).finish(&Plan{}, w.String())
}

// root writes one result as a value.
func (s *statement) root(w *strings.Builder, r *query.Root) error {
	if r.Call != nil {
		return s.called(w, r)
	}
	rel, err := relationOf(s.relations, r.From)
	if err != nil {
		return err
	}
	return s.scope(rel, r).elements(w, r)
}

// scope is where the rows of a result are compiled.
func (s *statement) scope(rel *Relation, r *query.Root) *compiler {
	return &compiler{statement: s, relation: rel, name: rel.Name, names: []string{rel.Name}, whole: r.Shape == query.ShapeWhole}
}

// called writes what a function gives as a value.
func (s *statement) called(w *strings.Builder, r *query.Root) error {
	known, ok := s.relations.(interface {
		Routines(schema, name string) []*catalog.Routine
	})
	if !ok {
		return invalid("functions cannot be called here")
	}
	routine, _, err := Choose(known.Routines(r.Call.Function.Schema, r.Call.Function.Name), r.Call)
	if err != nil {
		return err
	}
	c := s.scope(result(s.relations, routine), r)
	var from strings.Builder
	if err := c.arguments(&from, routine, false, r.Call); err != nil {
		return err
	}
	if routine.Columns != nil {
		from.WriteString(" AS ")
		quote(&from, c.name)
		c.call, c.present = from.String(), !routine.Set
		return c.elements(w, r)
	}
	value := `SELECT to_json(result."value"`
	if r.Cast != "" {
		t, err := castType(r.Cast)
		if err != nil {
			return err
		}
		var cast strings.Builder
		t.write(&cast)
		value += "::" + cast.String()
	}
	page, ends := r.Page, ")"
	if r.Shape == query.ShapeList {
		w.WriteString("array_to_json(ARRAY(")
		ends = "))"
	} else {
		w.WriteByte('(')
		page = query.Page{Limit: 1}
	}
	w.WriteString(value + ") FROM " + from.String() + ` AS result("value")`)
	if err := c.page(w, page); err != nil {
		return err
	}
	w.WriteString(ends)
	return nil
}

// elements writes rows as a value.
func (c *compiler) elements(w *strings.Builder, r *query.Root) error {
	if err := c.resolve(r.Fields); err != nil {
		return err
	}
	p, err := c.project(r.Fields, r.Group, r.Truncate)
	if err != nil {
		return err
	}
	where, order := ranked(r.Where, r.Order)
	page := r.Page
	if r.Shape == query.ShapeObject {
		page.Limit = 1
	}
	if r.Shape != query.ShapeList {
		w.WriteString("(SELECT row_to_json(item.*) FROM (SELECT ")
	} else {
		w.WriteString("array_to_json(ARRAY(SELECT row_to_json(item.*) FROM (SELECT ")
	}
	p.columns(w)
	w.WriteString(" FROM ")
	c.source(w)
	w.WriteString(p.joins.String())
	if err := c.where(w, where); err != nil {
		return err
	}
	if c.present {
		// A function that gives no row gives one of nothing but nulls.
		w.WriteString(" WHERE NOT (")
		c.row(w)
		w.WriteString(" IS NULL)")
	}
	p.group(w)
	if err := c.order(w, order, p); err != nil {
		return err
	}
	if err := c.page(w, page); err != nil {
		return err
	}
	w.WriteString(") AS item)")
	if r.Shape == query.ShapeList {
		w.WriteByte(')')
	}
	return nil
}

// Values are what db must run for a plan of Read. values gets the JSON of each result,
// nil for null.
func (p *Plan) Values(values *[][]byte) []db.Statement {
	return p.prepared(db.Statement{SQL: p.SQL, Args: p.Args, Read: func(rows pgx.Rows) error {
		for rows.Next() {
			raw, size := rows.RawValues(), 0
			for _, v := range raw {
				size += len(v)
			}
			if p.MaxBytes > 0 && int64(size) > p.MaxBytes {
				return tooLarge(p.MaxBytes)
			}
			*values = make([][]byte, len(raw))
			for i, v := range raw {
				if v != nil {
					(*values)[i] = append([]byte(nil), v...)
				}
			}
		}
		return rows.Err()
	}})
}
