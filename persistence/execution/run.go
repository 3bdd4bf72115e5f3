package execution

import (
	"context"
	"encoding/json"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
)

// Limits bound what is kept of a procedure's rows.
type Limits struct {
	// Rows is how many of them; what the statement gives beyond is not looked at.
	Rows int64
	// Bytes bounds the array of them.
	Bytes int
}

// Result is what a procedure gave.
type Result struct {
	// JSON is the array of its rows, never nil.
	JSON json.RawMessage
	// Rows is how many rows there are in it, or how many were changed by a statement
	// that gives none.
	Rows int64
	// Truncated tells that there were more.
	Truncated bool
}

// Run runs a procedure's statement on behalf of its caller and notes its end in the
// same transaction. The statement gives each row as a JSON text in its only column,
// one more of them than the limit if there are; or no rows, when givesRows is false.
//
// The error is CLAIM_LOST when the execution was cancelled or belongs to another node
// by now: nothing that the statement did stays then.
func (s *Store) Run(ctx context.Context, x *Claimed, statement db.Statement, givesRows bool, l Limits) (*Result, error) {
	result := &Result{}
	err := s.db.Tx(db.Unhurried(ctx), x.Caller, func(tx pgx.Tx) error {
		if givesRows {
			rows, err := tx.Query(ctx, statement.SQL, statement.Args...)
			if err != nil {
				return err
			}
			if err := result.collect(rows, l); err != nil {
				return err
			}
		} else {
			tag, err := tx.Exec(ctx, statement.SQL, statement.Args...)
			if err != nil {
				return err
			}
			result.JSON, result.Rows = json.RawMessage("[]"), tag.RowsAffected()
		}
		_, err := tx.Exec(ctx, `SELECT rpc.complete_execution($1::uuid, $2::uuid, $3::text::json, $4, $5)`,
			x.Task.ID, x.Claim, string(result.JSON), result.Rows, result.Truncated)
		return err
	})
	if err != nil {
		return nil, err
	}
	return result, nil
}

// collect makes the array of rows.
func (r *Result) collect(rows pgx.Rows, l Limits) error {
	defer rows.Close()
	out := []byte{'['}
	for rows.Next() {
		line := rows.RawValues()[0]
		if r.Truncated || r.Rows >= l.Rows || len(out)+len(line)+2 > l.Bytes {
			r.Truncated = true
			continue
		}
		if r.Rows > 0 {
			out = append(out, ',')
		}
		out = append(out, line...)
		r.Rows++
	}
	r.JSON = append(out, ']')
	return rows.Err()
}
