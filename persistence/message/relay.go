package message

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// ErrSuperseded means that somebody else relays the messages of this database now.
var ErrSuperseded = errors.New("another relay took over")

// Place is how far the messages of a database have been relayed: everything that
// the snapshot Seen saw, and of what Reading sees the rows up to Last.
type Place struct {
	Seen, Reading string
	Last          int64
}

// Limit bounds one read. Zero fields mean 256 messages and 4 MB.
type Limit struct{ Messages, Bytes int }

// Batch is what one read gave.
type Batch struct {
	// Messages are in the order in which they were sent.
	Messages []Message
	// Next is the place behind them.
	Next Place
	// More tells that the limit cut the batch: read again at once.
	More bool
}

// Relay reads what the database sends. There is one that may at a time: who claims
// the relay ends all others.
type Relay struct {
	db   *db.Database
	home int64
}

// Claim takes over the relay and gives the place from which to go on: where the one
// before was, or, in a database that is another one than that was in, here and now.
func (s *Store) Claim(ctx context.Context) (*Relay, Place, error) {
	r := &Relay{db: s.db}
	var at Place
	err := s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		return db.Fault(c.QueryRow(ctx, `
			WITH now AS (SELECT realtime.current_epoch() AS epoch, pg_current_snapshot() AS snapshot)
			UPDATE realtime.message_relay r
			   SET home = r.home + 1, epoch = now.epoch,
			       seen = CASE WHEN r.epoch = now.epoch THEN coalesce(r.seen, now.snapshot) ELSE now.snapshot END,
			       reading = CASE WHEN r.epoch = now.epoch THEN r.reading END,
			       last = CASE WHEN r.epoch = now.epoch THEN r.last END
			  FROM now
			RETURNING r.home, r.seen::text, coalesce(r.reading::text, ''), coalesce(r.last, 0)`).
			Scan(&r.home, &at.Seen, &at.Reading, &at.Last))
	})
	return r, at, err
}

// The first row is about the read itself, the others are messages.
const (
	relayHead = `
SELECT true, pg_current_snapshot()::text, r.home, NULL, NULL, NULL, NULL::boolean, NULL::jsonb, NULL::bytea, NULL::bigint, NULL::bigint
  FROM realtime.message_relay r
UNION ALL
SELECT false, NULL, NULL, id::text, topic, coalesce(event, ''), private, payload, binary_payload, seq, found
  FROM (
    SELECT *, count(*) OVER () AS found,
           sum(coalesce(pg_column_size(payload), 0) + coalesce(pg_column_size(binary_payload), 0))
             OVER (ORDER BY seq ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (
        SELECT * FROM realtime.messages
         WHERE extension = 'broadcast'
           AND (xid >= pg_snapshot_xmax($1::pg_snapshot) OR xid = ANY (ARRAY(SELECT pg_snapshot_xip($1::pg_snapshot))))`
	relayTail = `
         ORDER BY seq LIMIT $2) page
    ) counted
 WHERE before IS NULL OR before < $3`
	relayFresh    = relayHead + relayTail
	relayContinue = relayHead + `
           AND pg_visible_in_snapshot(xid, $4::pg_snapshot) AND seq > $5` + relayTail
)

// Read gives what was committed behind a place, up to the limit.
func (r *Relay) Read(ctx context.Context, from Place, limit Limit) (*Batch, error) {
	if limit.Messages == 0 {
		limit.Messages = 256
	}
	if limit.Bytes == 0 {
		limit.Bytes = 4 << 20
	}
	text, args := relayFresh, []any{from.Seen, limit.Messages, limit.Bytes}
	if from.Reading != "" {
		text, args = relayContinue, append(args, from.Reading, from.Last)
	}
	b := &Batch{}
	var reading string
	var found int64
	err := r.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, text, args...)
		if err != nil {
			return db.Fault(err)
		}
		defer rows.Close()
		for rows.Next() {
			var head bool
			var snapshot, id, topic, event *string
			var home, seq, total *int64
			var private *bool
			var m Message
			if err := rows.Scan(&head, &snapshot, &home, &id, &topic, &event, &private, &m.Payload, &m.Binary, &seq, &total); err != nil {
				return err
			}
			if head {
				if *home != r.home {
					return ErrSuperseded
				}
				reading = *snapshot
				continue
			}
			m.ID, m.Topic, m.Event, m.Private = *id, *topic, *event, *private
			b.Messages = append(b.Messages, m)
			b.Next.Last, found = *seq, *total
		}
		if err := rows.Err(); err != nil {
			return db.Fault(err)
		}
		_, err = c.Exec(ctx, "SELECT realtime.keep_snapshot()")
		return db.Fault(err)
	})
	if err != nil {
		return nil, err
	}
	if from.Reading != "" {
		reading = from.Reading
	}
	if cut := int(found) == limit.Messages || int(found) > len(b.Messages); cut {
		b.Next.Seen, b.Next.Reading, b.More = from.Seen, reading, true
	} else {
		b.Next = Place{Seen: reading}
		// What was committed while an older snapshot was being read.
		b.More = from.Reading != ""
	}
	return b, nil
}

// Save keeps how far everything has been relayed. It fails with ErrSuperseded.
func (r *Relay) Save(ctx context.Context, at Place) error {
	return r.db.Owner(ctx, func(c *pgxpool.Conn) error {
		var home int64
		err := c.QueryRow(ctx, `
			UPDATE realtime.message_relay SET seen = $2::pg_snapshot, reading = nullif($3, '')::pg_snapshot, last = $4
			 WHERE home = $1 RETURNING home`, r.home, at.Seen, at.Reading, at.Last).Scan(&home)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrSuperseded
		}
		return db.Fault(err)
	})
}
