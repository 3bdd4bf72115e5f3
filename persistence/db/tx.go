package db

import (
	"context"
	"errors"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
)

// rollbackTimeout bounds the undoing of a transaction whose context has ended.
const rollbackTimeout = 5 * time.Second

// Tx runs f in an explicit transaction with the caller's role, claims and
// settings: for work in several steps that depend on each other. It costs a round
// trip per step and two more; prefer Run. The transaction is committed when f
// returns nil and rolled back otherwise, also when f panics; it must not be used
// after f. Nothing is repeated.
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
	defer listen(ctx, conn.Conn().PgConn())()

	batch := &pgx.Batch{}
	batch.BeginTx(pgx.TxOptions{})
	batch.Queue(resetName)
	batch.Queue(settingsName, string(c.DatabaseRole()), string(c.Claims), c.Tenant, c.UserID, string(c.Role),
		strconv.FormatInt(max(d.timeout(ctx, &c).Milliseconds(), 1), 10))
	results := conn.SendBatch(ctx, batch)
	tx := results.Tx()
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTimeout)
		defer cancel()
		// After a commit there is nothing to undo. A connection that cannot roll
		// back is closed by pgx.
		_ = tx.Rollback(ctx)
	}()
	if err := results.Close(); err != nil {
		return refusal(c, faultOf(ctx, err))
	}
	if err := f(tx); err != nil {
		return refusal(c, faultOf(ctx, err))
	}
	err = tx.Commit(ctx)
	if errors.Is(err, pgx.ErrTxCommitRollback) {
		// f overlooked an error of PostgreSQL, which has undone everything.
		return rolledBack.WithCause(err)
	}
	return refusal(c, faultOf(ctx, err))
}
