package changelog

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// The reasons why reading cannot go on from a position.
var (
	// ErrTooOld: entries behind the position were pruned already.
	ErrTooOld = errors.New("the position is older than the log")
	// ErrEpochChanged: the log is another one than the position was made in.
	ErrEpochChanged = errors.New("the position belongs to another log")
)

// Log is the change log of one tenant's database. It is safe for concurrent use.
type Log struct {
	db *db.Database
	// unmarked: no event trigger writes markers, so plans are compared instead.
	unmarked atomic.Bool
	verdicts struct{ memory, sql, looked atomic.Uint64 }
}

// New makes the reader of a database's log. It does nothing yet; see Open.
func New(d *db.Database) *Log { return &Log{db: d} }

// Open compares the log's epoch with the database it is in now, and empties the
// log when they differ: after a restore, in a clone, on a promoted standby,
// positions of before mean nothing. Call it before the first read, and whenever
// the connection to the server was lost. It gives the epoch that holds now.
func (l *Log) Open(ctx context.Context) (epoch string, err error) {
	err = l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		var stored, current string
		var marked bool
		err := c.QueryRow(ctx, `SELECT epoch, realtime.current_epoch(), realtime.hears_of_schema()
			FROM realtime.log_state`).Scan(&stored, &current, &marked)
		if err != nil {
			return err
		}
		l.unmarked.Store(!marked)
		if stored == current {
			epoch = stored
			return nil
		}
		return c.QueryRow(ctx, "SELECT realtime.reset_log()").Scan(&epoch)
	})
	if err != nil {
		return "", fmt.Errorf("open the change log: %w", err)
	}
	return epoch, nil
}

// Configure sets the largest image that is logged, for all enabled tables.
func (l *Log) Configure(ctx context.Context, maxImageBytes int) error {
	return l.transaction(ctx, func(tx pgx.Tx) error {
		tag, err := tx.Exec(ctx, "UPDATE realtime.log_state SET max_image_bytes = $1 WHERE max_image_bytes <> $1", maxImageBytes)
		if err != nil || tag.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "SELECT realtime.sync_triggers(id) FROM realtime.schema_registry WHERE realtime_enabled AND relation IS NOT NULL ORDER BY id")
		return err
	})
}

// Now gives the position of this moment and the plan that holds in it: reading
// from there gives everything that is committed from now on.
func (l *Log) Now(ctx context.Context) (Position, *Plan, error) {
	var epoch, snapshot, plan string
	err := l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		if err := c.QueryRow(ctx, "SELECT epoch, pg_current_snapshot()::text, realtime.plan()::text FROM realtime.log_state").Scan(&epoch, &snapshot, &plan); err != nil {
			return err
		}
		_, err := c.Exec(ctx, keepSnapshot)
		return err
	})
	if err != nil {
		return Position{}, nil, fmt.Errorf("read the log's position: %w", err)
	}
	at, err := ParseSnapshot(snapshot)
	if err != nil {
		return Position{}, nil, err
	}
	p, err := l.parsePlan(plan, at)
	return Position{Epoch: epoch, Seen: at}, p, err
}

// Current tells whether nothing has changed the plan since it was read. A
// judgement that was made under a plan holds if it was current afterwards.
func (l *Log) Current(ctx context.Context, p *Plan) (bool, error) {
	var current bool
	err := l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		if l.unmarked.Load() {
			return c.QueryRow(ctx, "SELECT realtime.plan()::text = $1", p.text).Scan(&current)
		}
		return c.QueryRow(ctx, "SELECT NOT EXISTS (SELECT FROM realtime.changes_markers WHERE xid >= $1::xid8 OR xid = ANY ($2::xid8[]))",
			p.Snapshot.xmax(), p.Snapshot.xip()).Scan(&current)
	})
	if err != nil {
		return false, fmt.Errorf("check the plan: %w", err)
	}
	return current, nil
}

// Verdicts count how often it was decided for an identity whether it sees an
// image, since the log was made here.
type Verdicts struct {
	// Memory were taken in memory, SQL by PostgreSQL.
	Memory, SQL uint64
	// Looked is the number of subscriptions that were looked at, one by one, for
	// the verdicts in memory: the others were passed over by the row's values.
	Looked uint64
}

// Verdicts are the counts so far.
func (l *Log) Verdicts() Verdicts {
	return Verdicts{Memory: l.verdicts.memory.Load(), SQL: l.verdicts.sql.Load(), Looked: l.verdicts.looked.Load()}
}

// Decided counts verdicts in memory that were taken without Judge.
func (l *Log) Decided(verdicts, looked int) {
	l.verdicts.memory.Add(uint64(verdicts))
	l.verdicts.looked.Add(uint64(looked))
}

// Prune empties what is older than keep and what goes beyond size bytes, and
// gives the number of ring slots emptied. held is false when another node is at
// it. A node that lost its connection lost the lock and what it did together, so
// that no late one works beside another. It waits for nobody: a slot in use stays
// until the next time.
func (l *Log) Prune(ctx context.Context, keep time.Duration, size int64) (emptied int, held bool, err error) {
	err = l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		var n *int
		if err := c.QueryRow(ctx, "SELECT realtime.prune($1::interval, $2)", keep, size).Scan(&n); err != nil {
			return err
		}
		if held = n != nil; held {
			emptied = *n
		}
		return nil
	})
	if err != nil {
		return 0, false, fmt.Errorf("prune the change log: %w", err)
	}
	return emptied, held, nil
}

// Extent is how much of the past the log holds.
type Extent struct {
	// Bytes are on disk.
	Bytes int64
	// Age is how long ago the oldest entry was logged; 0 when there is none.
	Age time.Duration
	// Emptied is how many ring slots were emptied since the log was made, by
	// whatever node.
	Emptied int64
}

// Extent measures the log. It reads next to nothing of it.
func (l *Log) Extent(ctx context.Context) (Extent, error) {
	var e Extent
	var age float64
	err := l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		return c.QueryRow(ctx, `SELECT sum(realtime.slot_bytes(slot))::bigint, sum(emptied)::bigint,
			coalesce(extract(epoch FROM clock_timestamp() - (SELECT logged_at FROM realtime.changes ORDER BY ord LIMIT 1)), 0)::float8
			FROM realtime.ring`).Scan(&e.Bytes, &e.Emptied, &age)
	})
	if err != nil {
		return Extent{}, fmt.Errorf("measure the change log: %w", err)
	}
	e.Age = time.Duration(age * float64(time.Second))
	return e, nil
}

// transaction runs f as the owner, waiting for locks no longer than a few
// seconds: a trigger cannot be made on a table while somebody writes to it.
func (l *Log) transaction(ctx context.Context, f func(pgx.Tx) error) error {
	return l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, "SET LOCAL lock_timeout = '5s'"); err != nil {
				return err
			}
			return f(tx)
		})
	})
}

func sqlState(err error) string {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code
	}
	return ""
}
