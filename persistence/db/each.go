package db

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
)

// Run is one caller's transaction among many; see Database.RunEach.
type Run struct {
	Caller     caller.Caller
	Statements []Statement
	// Timeout bounds each statement; zero means what ctx leaves.
	Timeout time.Duration
	// ReadOnly makes the transaction read-only.
	ReadOnly bool
}

// eachWindow bounds the transactions that are on their way at one time, so that
// neither side buffers all of a long list.
const eachWindow = 128

// RunEach executes the transactions of many callers one after another on one
// connection, without waiting between them. Each has a transaction and an outcome
// of its own: one that fails or takes too long costs only itself. The result has
// one error per run, nil for success, of the kind that Run returns. Nothing is
// repeated.
func (d *Database) RunEach(ctx context.Context, runs []Run) []error {
	errs := make([]error, len(runs))
	byPool := make(map[*pgxpool.Pool][]int, 2)
	for i := range runs {
		pool, err := d.pool(runs[i].Caller)
		if err != nil {
			errs[i] = err
			continue
		}
		byPool[pool] = append(byPool[pool], i)
	}
	for pool, indexes := range byPool {
		d.runAll(ctx, pool, runs, indexes, errs)
	}
	for i, err := range errs {
		if err != nil {
			errs[i] = refusal(runs[i].Caller, faultOf(ctx, err))
		}
	}
	return errs
}

func (d *Database) runAll(ctx context.Context, pool *pgxpool.Pool, runs []Run, indexes []int, errs []error) {
	fail := func(indexes []int, err error) {
		for _, i := range indexes {
			errs[i] = err
		}
	}
	conn, err := pool.Acquire(ctx)
	if err != nil {
		fail(indexes, err)
		return
	}
	defer conn.Release()
	s := sessionOf(conn.Conn())
	for len(indexes) > 0 {
		window := indexes[:min(len(indexes), eachWindow)]
		answered, err := d.runWindow(ctx, s, runs, window, errs)
		if err != nil {
			// The connection is lost, and with it whatever was not answered.
			fail(indexes[answered:], err)
			return
		}
		indexes = indexes[len(window):]
	}
}

// runWindow executes some of the runs and tells how many of them have their
// outcome. The error is for a connection that failed.
func (d *Database) runWindow(ctx context.Context, s *session, runs []Run, window []int, errs []error) (answered int, err error) {
	if err := s.begin(ctx, d.schema.Load()); err != nil {
		return 0, err
	}
	transactions := make([]transaction, len(window))
	var missing []statementKey
	for n, i := range window {
		r := &runs[i]
		transactions[n] = transaction{caller: r.Caller, readOnly: r.ReadOnly, statements: r.Statements, timeout: d.timeout(ctx, &r.Caller)}
		if r.Timeout > 0 {
			transactions[n].timeout = min(transactions[n].timeout, r.Timeout)
		}
		missing = transactions[n].missing(s, missing)
	}
	var refused map[statementKey]error
	if len(missing) > 0 {
		if refused, err = s.prepare(ctx, missing); err != nil {
			return 0, err
		}
	}
	pipeline := s.conn.PgConn().StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil && closeErr != nil && !isServerError(closeErr) {
			err = closeErr
		}
	}()
	for n, i := range window {
		if errs[i] = transactions[n].encode(s, refused); errs[i] == nil {
			transactions[n].send(s, pipeline, true)
			pipeline.SendPipelineSync()
		}
	}
	if err := pipeline.Flush(); err != nil {
		return 0, err
	}
	stale := false
	for n, i := range window {
		if errs[i] != nil {
			continue
		}
		errs[i] = transactions[n].receive(s, pipeline)
		if errs[i] == nil {
			continue
		}
		if s.conn.IsClosed() {
			return n, errs[i]
		}
		stale = stale || transactions[n].stale && outdated(errs[i])
	}
	if stale {
		d.ForgetStatements()
	}
	return len(window), nil
}
