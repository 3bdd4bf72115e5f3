// Package queue is the one queue of a tenant's database: work that is done later,
// by whichever node has time.
//
// A task is claimed for a while, its lease, which its holder renews. The claim has a
// name that nobody else knows, and every later write about the task asks for it: a
// holder that was thought dead, and whose task was claimed again, writes nothing any
// more. What a task is about is written together with the task: it is added by
// queue.enqueue in the transaction that makes it necessary, and ended by queue.settle
// in the transaction of its effects. So its effects happen once, however often it
// is begun.
//
// Tasks of a kind lie in lanes, which take turns: a long lane delays itself and no
// other one.
package queue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Channel is where the database notifies: with the kind when a task was added, with
// a minus and the task's id when one was taken back that somebody holds.
const Channel = "fluxbase_queue"

// Queue is the queue of one database.
type Queue struct{ db *db.Database }

// New gives the queue of a database.
func New(d *db.Database) *Queue { return &Queue{d} }

// Task is a task that is held.
type Task struct {
	ID, Kind, Lane string
	// Payload is the JSON object that it was added with.
	Payload []byte
	// Attempt counts the claims, this one included.
	Attempt, MaxAttempts int
	// Claim is the name of this claim: a secret of its holder.
	Claim string
}

// Exhausted tells that the task was begun as often as it may be, and that no holder
// came to an end. It is not to be begun again but to be ended as failed.
func (t Task) Exhausted() bool { return t.Attempt > t.MaxAttempts }

// Want is what a node asks for.
type Want struct {
	Kind string
	// Node is for people who look at the table.
	Node string
	// Count is how many tasks at most.
	Count int
	// Lease is how long they are held unless they are renewed.
	Lease time.Duration
	// LaneLimit is how many tasks of one lane may be held at a time, by all nodes
	// together; 0 for no limit.
	LaneLimit int
	// After is the lane whose turn was last: those behind it come first.
	After string
}

// maxLanes bounds the lanes that one claim looks at.
const maxLanes = 64

// alone lets one claim of a kind be made at a time, by itself: what follows in the
// transaction sees what those before have claimed. Claims are short.
const alone = `SELECT pg_advisory_xact_lock(hashtextextended('queue:' || $1, 0))`

// Lanes are found by jumping from one to the next in the index, so that a long one is
// never read through.
const claim = `
WITH RECURSIVE lanes (lane, behind, n) AS (
  SELECT f.lane, f.behind, 1 FROM (
    (SELECT t.lane, true AS behind FROM queue.tasks t
      WHERE t.kind = $1 AND t.free_at <= clock_timestamp() AND t.lane > $2 ORDER BY t.lane LIMIT 1)
    UNION ALL
    (SELECT t.lane, false FROM queue.tasks t
      WHERE t.kind = $1 AND t.free_at <= clock_timestamp() AND t.lane <= $2 ORDER BY t.lane LIMIT 1)) f
  UNION ALL
  SELECT next.lane, l.behind, l.n + 1
    FROM lanes l, LATERAL (
      SELECT t.lane FROM queue.tasks t
       WHERE t.kind = $1 AND t.free_at <= clock_timestamp() AND t.lane > l.lane AND (l.behind OR t.lane <= $2)
       ORDER BY t.lane LIMIT 1) next
   WHERE l.n < $3
), turns AS (
  SELECT t.id, l.behind, l.lane, t.turn
    FROM lanes l, LATERAL (
      SELECT w.id, row_number() OVER (ORDER BY w.free_at, w.id) AS turn
        FROM queue.tasks w
       WHERE w.kind = $1 AND w.lane = l.lane AND w.free_at <= clock_timestamp()
       ORDER BY w.free_at, w.id
       LIMIT CASE WHEN $5 = 0 THEN $4 ELSE least($4, greatest(0, $5 - (
         SELECT count(*) FROM queue.tasks held
          WHERE held.kind = $1 AND held.lane = l.lane AND held.claim IS NOT NULL AND held.free_at > clock_timestamp()))) END) t
), chosen AS (
  SELECT t.id, u.turn, u.behind, u.lane FROM queue.tasks t JOIN turns u USING (id)
   ORDER BY u.turn, u.behind DESC, u.lane LIMIT $4
   FOR UPDATE OF t SKIP LOCKED
)
UPDATE queue.tasks t
   SET claim = gen_random_uuid(), node = $6, attempt = t.attempt + 1,
       free_at = clock_timestamp() + $7::float8 * interval '1 second'
  FROM chosen c WHERE t.id = c.id AND t.free_at <= clock_timestamp()
RETURNING t.id::text, t.kind, t.lane, t.payload, t.attempt, t.max_attempts, t.claim::text`

// Claim takes tasks that nobody holds, and those whose lease has run out, lane by
// lane in turns.
func (q *Queue) Claim(ctx context.Context, w Want) (tasks []Task, err error) {
	err = q.db.Owner(ctx, func(c *pgxpool.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(alone, w.Kind)
		batch.Queue(claim, w.Kind, w.After, maxLanes, w.Count, w.LaneLimit, w.Node, w.Lease.Seconds()).
			Query(func(rows pgx.Rows) (err error) {
				tasks, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Task])
				return err
			})
		return db.Fault(c.SendBatch(ctx, batch).Close())
	})
	return tasks, err
}

// Held names a claim.
type Held struct{ ID, Claim string }

// Renew makes the leases last from now on, and gives the ids of those that are lost:
// taken back, or claimed by somebody else.
func (q *Queue) Renew(ctx context.Context, held []Held, lease time.Duration) (lost []string, err error) {
	ids, claims := columns(held)
	err = q.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			WITH held AS (SELECT * FROM unnest($1::uuid[], $2::uuid[]) AS h (id, claim)),
			renewed AS (
			  UPDATE queue.tasks t SET free_at = clock_timestamp() + $3::float8 * interval '1 second'
			    FROM held h WHERE t.id = h.id AND t.claim = h.claim
			  RETURNING t.claim)
			SELECT id::text FROM held WHERE claim NOT IN (SELECT claim FROM renewed)`, ids, claims, lease.Seconds())
		if err != nil {
			return db.Fault(err)
		}
		lost, err = pgx.CollectRows(rows, pgx.RowTo[string])
		return db.Fault(err)
	})
	return lost, err
}

// Release gives tasks back that were not begun, or that may be begun again: they are
// free after the delay. With undone their attempt does not count. Claims that are
// lost are no error.
func (q *Queue) Release(ctx context.Context, held []Held, delay time.Duration, undone bool) error {
	ids, claims := columns(held)
	return q.db.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `
			WITH freed AS (
			  UPDATE queue.tasks t
			     SET claim = NULL, node = NULL, free_at = clock_timestamp() + $3::float8 * interval '1 second',
			         attempt = t.attempt - CASE WHEN $4 THEN 1 ELSE 0 END
			    FROM unnest($1::uuid[], $2::uuid[]) AS h (id, claim) WHERE t.id = h.id AND t.claim = h.claim
			  RETURNING t.kind)
			SELECT pg_notify($5, kind) FROM freed GROUP BY kind`, ids, claims, delay.Seconds(), undone, Channel)
		return db.Fault(err)
	})
}

func columns(held []Held) (ids, claims []string) {
	for _, h := range held {
		ids, claims = append(ids, h.ID), append(claims, h.Claim)
	}
	return ids, claims
}
