package changelog

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// Selection says which rows of a table are wanted.
type Selection struct {
	// Filter must hold of a row; nil for every row.
	Filter query.Condition
	// Order is the order of the rows; nil for none in particular.
	Order []query.Order
	// Limit is the number of rows at most; 0 for all.
	Limit int64
}

// RowLimit bounds what Rows gives. A selection that has more is refused.
type RowLimit struct {
	Rows  int64
	Bytes int
}

// Rows are the rows of a table that a caller sees at one snapshot.
type Rows struct {
	Snapshot Snapshot
	// Records are JSON objects with the columns of the caller's view.
	Records []json.RawMessage
	// Bytes is their size together.
	Bytes int
}

// rowsOne is the relation that a selection is from.
type rowsOne struct{ relation *sql.Relation }

func (r rowsOne) Relation(string, string) (*sql.Relation, bool) { return r.relation, true }

// Rows gives the rows of a selection and the snapshot that shows them: reading from
// there gives every change since. It holds if the plan that t is from was current
// afterwards. A selection of more than the limit is PAYLOAD_TOO_LARGE.
func (l *Log) Rows(ctx context.Context, t *Table, c caller.Caller, s Selection, limit RowLimit) (*Rows, error) {
	view := t.View(c.DatabaseRole())
	for _, o := range s.Order {
		if o.Embed != "" || !view.Reads(o.Path.Column) {
			return nil, fault.Newf(fault.UnknownColumn, "invalid order: no column %s that you may read", o.Path.Column)
		}
	}
	q := &query.Select{From: query.Relation{Schema: t.Schema, Name: t.Name}, Where: s.Filter, Order: s.Order, Page: query.Page{Limit: limit.Rows + 1}}
	if s.Limit > 0 {
		q.Page.Limit = min(s.Limit, q.Page.Limit)
	}
	if len(view.Columns) == 0 {
		return nil, fault.Newf(fault.InsufficientPermissions, "no column of table %s may be read", t.Name)
	}
	for _, column := range view.Columns {
		q.Fields = append(q.Fields, &query.Field{Path: query.Column(column.Name)})
	}
	plan, err := sql.Select(rowsOne{t.relation}, q, sql.Options{})
	if err != nil {
		return nil, err
	}
	var rows Rows
	err = l.db.RunRead(db.Unhurried(ctx), c, db.Statement{
		SQL:  "SELECT pg_catalog.pg_current_snapshot()::text, NULL::json UNION ALL SELECT NULL, fluxbase_rows.record FROM (" + plan.SQL + ") AS fluxbase_rows (record)",
		Args: plan.Args,
		Read: func(r pgx.Rows) error { return rows.read(r, limit) },
	})
	if err != nil {
		return nil, err
	}
	err = l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, keepSnapshot)
		return err
	})
	if err != nil {
		return nil, db.Fault(err)
	}
	return &rows, nil
}

func (s *Rows) read(rows pgx.Rows, limit RowLimit) error {
	for rows.Next() {
		var snapshot *string
		var record []byte
		if err := rows.Scan(&snapshot, &record); err != nil {
			return err
		}
		if snapshot != nil {
			var err error
			if s.Snapshot, err = ParseSnapshot(*snapshot); err != nil {
				return err
			}
			continue
		}
		s.Records = append(s.Records, record)
		s.Bytes += len(record)
		if int64(len(s.Records)) > limit.Rows || s.Bytes > limit.Bytes {
			return fault.Newf(fault.PayloadTooLarge, "the snapshot has more than %d rows or %d bytes", limit.Rows, limit.Bytes).
				WithHint("Narrow it by a filter or a limit.")
		}
	}
	return rows.Err()
}
