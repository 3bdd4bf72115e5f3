package execution

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

const shown = `x.id::text, coalesce(x.procedure_id::text, ''), x.namespace, x.procedure_name, x.status, x.truncated,
	coalesce(x.error_code, ''), coalesce(x.error_message, ''), x.rows_returned, x.duration_ms, coalesce(x.user_id::text, ''), x.user_role,
	coalesce(x.user_email, ''), x.is_async, x.scheduled_at, x.created_at, x.started_at, x.completed_at`

func targets(r *Record) []any {
	return []any{&r.ID, &r.ProcedureID, &r.Namespace, &r.Procedure, &r.Status, &r.Truncated,
		&r.ErrorCode, &r.ErrorMessage, &r.Rows, &r.Millis, &r.UserID, &r.UserRole,
		&r.Email, &r.Async, &r.ScheduledAt, &r.CreatedAt, &r.StartedAt, &r.CompletedAt}
}

// Get gives an execution, whoever called it, or ErrNotFound.
func (s *Store) Get(ctx context.Context, id string) (*Record, error) {
	if uuid.Validate(id) != nil {
		return nil, ErrNotFound
	}
	var found []*Record
	err := s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `SELECT `+shown+`, x.input_params, x.result FROM rpc.executions x WHERE x.id = $1::uuid AND x.tenant_id = $2::uuid`, id, s.tenant)
		if err != nil {
			return db.Fault(err)
		}
		found, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Record, error) {
			r := &Record{}
			err := row.Scan(append(targets(r), (*[]byte)(&r.Params), (*[]byte)(&r.Result))...)
			return r, err
		})
		return db.Fault(err)
	})
	if err == nil && len(found) == 0 {
		err = ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	return found[0], nil
}

// Filter narrows a list; empty members do not.
type Filter struct {
	Namespace, Procedure, UserID string
	Status                       Status
	Limit, Offset                int
}

// List gives executions, the newest first, without their parameters and results, and
// how many there are in all.
func (s *Store) List(ctx context.Context, f Filter) (list []*Record, total int64, err error) {
	if f.UserID != "" && uuid.Validate(f.UserID) != nil {
		return nil, 0, nil
	}
	const matching = ` FROM rpc.executions x
		 WHERE x.tenant_id = $1::uuid AND ($2 = '' OR x.namespace = $2) AND ($3 = '' OR x.procedure_name = $3)
		   AND ($4 = '' OR x.user_id = $4::uuid) AND ($5 = '' OR x.status = $5)`
	args := []any{s.tenant, f.Namespace, f.Procedure, f.UserID, string(f.Status)}
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(`SELECT count(*)`+matching, args...).QueryRow(func(row pgx.Row) error { return row.Scan(&total) })
		batch.Queue(`SELECT `+shown+matching+` ORDER BY x.created_at DESC, x.id LIMIT $6 OFFSET $7`, append(args, f.Limit, f.Offset)...).
			Query(func(rows pgx.Rows) (err error) {
				list, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (*Record, error) {
					r := &Record{}
					return r, row.Scan(targets(r)...)
				})
				return err
			})
		return db.Fault(c.SendBatch(ctx, batch).Close())
	})
	return list, total, err
}
