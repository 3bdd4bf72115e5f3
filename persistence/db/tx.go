package db

import (
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
)

// Tx runs f in an explicit transaction with the caller's role, claims and
// settings: for work in several steps that depend on each other. It costs a round
// trip per step; prefer Run. The transaction is committed when f returns nil and
// rolled back otherwise; it must not be used after f. Nothing is repeated.
//
// Errors are coded faults like those of Run.
func (d *Database) Tx(ctx context.Context, c caller.Caller, f func(pgx.Tx) error) error {
	pool, err := d.pool(c)
	if err != nil {
		return err
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		return faultOf(ctx, err)
	}
	defer conn.Release()
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		batch := &pgx.Batch{}
		batch.Queue(resetSQL)
		batch.Queue(settingsSQL, string(c.DatabaseRole()), string(c.Claims), c.Tenant, c.UserID, string(c.Role),
			strconv.FormatInt(max(d.timeout(ctx).Milliseconds(), 1), 10))
		if err := tx.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		return f(tx)
	})
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		// f went on after an error of PostgreSQL, which has undone everything.
		return rolledBack.WithCause(err)
	}
	if err != nil {
		return refusal(c, faultOf(ctx, err))
	}
	return nil
}
