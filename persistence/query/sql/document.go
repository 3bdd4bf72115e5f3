package sql

import (
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
)

// Document is several results in one statement: immutable, and good for any caller
// as long as the catalogue it was compiled with is current.
type Document struct {
	// SQL is the statement. It returns one row with a column for each result.
	SQL  string
	Args []any
}

// Read compiles several results into one statement, so that all are of one
// snapshot and of one round trip. There must be one at least.
func Read(relations Relations, roots []query.Root, o Options) (*Document, error) {
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
	if len(s.args) > maxArgs {
		return nil, invalid("the query has more than %d values", maxArgs)
	}
	return &Document{SQL: w.String(), Args: s.args}, nil
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

// Statement is what db must run. values gets the JSON of each result, nil for null.
func (d *Document) Statement(values *[][]byte) db.Statement {
	return db.Statement{SQL: d.SQL, Args: d.Args, Read: func(rows pgx.Rows) error {
		for rows.Next() {
			raw := rows.RawValues()
			*values = make([][]byte, len(raw))
			for i, v := range raw {
				if v != nil {
					(*values)[i] = append([]byte(nil), v...)
				}
			}
		}
		return rows.Err()
	}}
}
