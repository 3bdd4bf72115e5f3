package changelog

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Limit bounds one read. Zero fields mean 2,000 entries and 4 MB as stored.
type Limit struct {
	Entries int
	Bytes   int
}

// Batch is what one read gave.
type Batch struct {
	// Entries are in reading order.
	Entries []Entry
	// Span is where in the log they are.
	Span Span
	// Next is the position behind the last entry.
	Next Position
	// Plan is the plan as of the batch, when it is not the one that was given.
	Plan *Plan
	// More tells that the limit cut the batch: read again at once.
	More bool
	// Running tells that transactions were running, whose changes may come soon.
	Running bool
}

// The first row of a read is about the read itself, the others are entries.
// $1 and $2 are the bounds of what was seen, $3 tells that the plan is wanted
// whatever happened, $4 and $5 the bounds of the plan at hand, $6 and $7 the
// limits. The inner LIMIT comes before the sizes are summed up, so that they are
// looked at for few rows.
//
// A locked partition is waited for before the snapshot is taken: a slot that was
// pruned meanwhile shows in ring, and the position is too old.
const (
	readHead = `
SELECT true, pg_current_snapshot()::text, s.epoch,
       EXISTS (SELECT FROM realtime.ring r WHERE r.pruned_max >= $1::xid8 OR EXISTS (
         SELECT FROM unnest($2::xid8[]) AS x WHERE x BETWEEN r.pruned_min AND r.pruned_max AND pg_visible_in_snapshot(x, r.pruned_snapshot))),
       CASE WHEN $3 OR EXISTS (SELECT FROM realtime.changes_markers WHERE xid >= $4::xid8 OR xid = ANY ($5::xid8[]))
            THEN realtime.plan()::text END,
       NULL::bigint, NULL::smallint, NULL::bigint, NULL::integer, NULL::text, NULL::smallint, NULL::timestamptz, NULL::json, NULL::json, NULL::bigint
  FROM realtime.log_state s
UNION ALL
SELECT false, NULL, NULL, NULL, NULL, ord, depth, id, table_id, type::text, truncated, logged_at, record, old_record, found
  FROM (
    SELECT *, count(*) OVER () AS found,
           sum(bytes) OVER (ORDER BY ord, depth, id ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (
        SELECT *, coalesce(pg_column_size(record), 0) + coalesce(pg_column_size(old_record), 0) AS bytes
          FROM realtime.changes
         WHERE (xid >= $1::xid8 OR xid = ANY ($2::xid8[]))`
	readTail = `
         ORDER BY ord, depth, id LIMIT $6) page
    ) counted
 WHERE before IS NULL OR before < $7`
	readRest = `
           AND pg_visible_in_snapshot(xid, $8::pg_snapshot) AND (ord, depth, id) > ($9, $10, $11)`
	readFresh         = readHead + readTail
	readContinue      = readHead + readRest + readTail
	readFreshTable    = readHead + ` AND (table_id = ANY ($8) OR type = 'M')` + readTail
	readContinueTable = readHead + readRest + ` AND (table_id = ANY ($12) OR type = 'M')` + readTail
)

// Span is what one read looked at: what Reading sees and Seen does not.
type Span struct {
	Epoch         string
	Seen, Reading Snapshot
}

// At is the position behind an entry of the span.
func (s Span) At(p Place) Position {
	return Position{Epoch: s.Epoch, Seen: s.Seen, Reading: s.Reading, Last: p}
}

// Read gives what was committed behind a position, up to the limit. plan is the
// plan at hand, nil for none: the batch brings another one if it is not true any
// more. The errors are ErrTooOld, ErrEpochChanged, and what the database says.
func (l *Log) Read(ctx context.Context, from Position, plan *Plan, limit Limit) (*Batch, error) {
	return l.read(ctx, from, nil, plan, limit)
}

// ReadTables is Read for some tables: of the others' entries only the markers come.
//
// To read up to a snapshot that was taken at another time, behind that of from, begin
// with it as from's Reading and the zero Place: the rest is read when Next has no
// Reading any more.
func (l *Log) ReadTables(ctx context.Context, from Position, tables []int32, plan *Plan, limit Limit) (*Batch, error) {
	return l.read(ctx, from, tables, plan, limit)
}

func (l *Log) read(ctx context.Context, from Position, tables []int32, plan *Plan, limit Limit) (*Batch, error) {
	if limit.Entries == 0 {
		limit.Entries = 2000
	}
	if limit.Bytes == 0 {
		limit.Bytes = 4 << 20
	}
	var known Snapshot
	if plan != nil {
		known = plan.Snapshot
	}
	text := readFresh
	if tables != nil {
		text = readFreshTable
	}
	args := []any{from.Seen.xmax(), from.Seen.xip(), plan == nil || l.unmarked.Load(), known.xmax(), known.xip(), limit.Entries, limit.Bytes}
	if !from.Reading.IsZero() {
		text = readContinue
		if tables != nil {
			text = readContinueTable
		}
		args = append(args, from.Reading.String(), from.Last.Order, from.Last.Depth, from.Last.ID)
	}
	if tables != nil {
		args = append(args, tables)
	}
	r := reading{log: l, from: from, plan: plan}
	err := l.db.Owner(ctx, func(c *pgxpool.Conn) error {
		// One round trip, but three statements: the bell is asked for before the
		// snapshot is taken, and what it saw is on disk before a position tells of it.
		var b pgx.Batch
		b.Queue("SELECT realtime.await_bell()")
		b.Queue(text, args...)
		b.Queue(keepSnapshot)
		answers := c.SendBatch(ctx, &b)
		err := r.rows(answers)
		return errors.Join(err, answers.Close())
	})
	if err != nil {
		return nil, fmt.Errorf("read the change log: %w", err)
	}
	return r.batch(limit)
}

// keepSnapshot belongs behind every statement whose snapshot becomes a position.
const keepSnapshot = "SELECT realtime.keep_snapshot()"

// reading collects the rows of one read.
type reading struct {
	log      *Log
	from     Position
	plan     *Plan
	snapshot string
	epoch    string
	tooOld   bool
	newPlan  *string
	entries  []Entry
	found    int64
}

func (r *reading) rows(answers pgx.BatchResults) error {
	if _, err := answers.Exec(); err != nil {
		return err
	}
	rows, err := answers.Query()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var head bool
		var snapshot, epoch, plan, kind *string
		var tooOld *bool
		var order, id, found *int64
		var depth, truncated *int16
		var table *int32
		var at *time.Time
		var e Entry
		if err := rows.Scan(&head, &snapshot, &epoch, &tooOld, &plan, &order, &depth, &id, &table, &kind, &truncated, &at, (*[]byte)(&e.New), (*[]byte)(&e.Old), &found); err != nil {
			return err
		}
		if head {
			r.snapshot, r.epoch, r.tooOld, r.newPlan = *snapshot, *epoch, *tooOld, plan
			continue
		}
		e.Place = Place{Order: *order, Depth: *depth, ID: *id}
		e.Table, e.Type, e.At = *table, Type((*kind)[0]), *at
		e.NewCut, e.OldCut = *truncated&1 != 0, *truncated&2 != 0
		r.found = *found
		r.entries = append(r.entries, e)
	}
	return rows.Err()
}

func (r *reading) batch(limit Limit) (*Batch, error) {
	switch {
	case r.epoch != r.from.Epoch:
		return nil, ErrEpochChanged
	case r.tooOld:
		return nil, ErrTooOld
	}
	at, err := ParseSnapshot(r.snapshot)
	if err != nil {
		return nil, err
	}
	// What was read later sees more, unless the server lost what it had committed: its
	// transaction ids begin again then, and the position names others.
	if !r.from.Seen.Within(at) || !r.from.Reading.Within(at) {
		return nil, ErrEpochChanged
	}
	b := &Batch{Entries: r.entries, Running: at.Running()}
	if r.newPlan != nil && (r.plan == nil || *r.newPlan != r.plan.text) {
		if b.Plan, err = r.log.parsePlan(*r.newPlan, at); err != nil {
			return nil, err
		}
	} else if r.newPlan != nil {
		same := *r.plan
		same.Snapshot = at
		b.Plan = &same
	}
	// The order of a UNION ALL is PostgreSQL's business.
	byPlace := func(a, b Entry) int { return a.Place.Compare(b.Place) }
	if !slices.IsSortedFunc(b.Entries, byPlace) {
		slices.SortFunc(b.Entries, byPlace)
	}
	reading := r.from.Reading
	if reading.IsZero() {
		reading = at
	}
	b.Span = Span{Epoch: r.epoch, Seen: r.from.Seen, Reading: reading}
	b.More = int(r.found) == limit.Entries || int(r.found) > len(b.Entries)
	b.Next = Position{Epoch: r.epoch, Seen: reading}
	if b.More {
		b.Next = Position{Epoch: r.epoch, Seen: r.from.Seen, Reading: reading, Last: b.Entries[len(b.Entries)-1].Place}
	}
	// What was committed while an older snapshot was being delivered.
	b.More = b.More || !r.from.Reading.IsZero()
	return b, nil
}
