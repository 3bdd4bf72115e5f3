package sql

import (
	"strings"

	"github.com/jackc/pgx/v5"

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
		rel, err := relationOf(relations, roots[i].From)
		if err != nil {
			return nil, err
		}
		c := &compiler{statement: s, relation: rel, name: rel.Name, names: []string{rel.Name}, whole: roots[i].Shape == query.ShapeWhole}
		if err := c.root(&w, &roots[i]); err != nil {
			return nil, err
		}
	}
	return (&compiler{statement: s}).finish(&Plan{}, w.String())
}

// root writes one result as a value.
func (c *compiler) root(w *strings.Builder, r *query.Root) error {
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
