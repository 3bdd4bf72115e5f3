// Package message is the SQL of realtime.messages: who may use a private channel,
// what was sent to it lately, and what the database has sent and nobody has
// delivered yet.
package message

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
)

// Extension is what a message belongs to.
type Extension string

// The extensions.
const (
	Broadcast Extension = "broadcast"
	Presence  Extension = "presence"
)

// Access says which extensions of a private channel somebody may read.
type Access struct{ Broadcast, Presence bool }

// Any tells whether there is something to read at all.
func (a Access) Any() bool { return a.Broadcast || a.Presence }

// Message is one broadcast of realtime.messages.
type Message struct {
	ID, Topic, Event string
	Private          bool
	// Payload is JSON, unless Binary is not nil: then that is the contents.
	Payload []byte
	Binary  []byte
}

// maxTrials is the number of questions to the policies at a time: clients that all
// join at once leave connections to those who ask for rows.
const maxTrials = 4

// Store is the messages of one database. It is safe for concurrent use.
type Store struct {
	db     *db.Database
	trials chan struct{}
}

// New gives the store of a database.
func New(d *db.Database) *Store { return &Store{db: d, trials: make(chan struct{}, maxTrials)} }

// try asks the policies when it is this question's turn.
func (s *Store) try(ctx context.Context, c caller.Caller, question db.Statement) error {
	select {
	case s.trials <- struct{}{}:
		defer func() { <-s.trials }()
	case <-ctx.Done():
		return db.Fault(ctx.Err())
	}
	return s.db.Run(ctx, c, question)
}

// Readable tries out the policies: rows of both extensions are written to the
// topic and looked at as the caller; nothing of them stays.
func (s *Store) Readable(ctx context.Context, c caller.Caller, topic string) (a Access, err error) {
	err = s.try(ctx, c, db.Statement{
		SQL: "SELECT broadcast, presence FROM realtime.may_read($1)", Args: []any{topic},
		Read: func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&a.Broadcast, &a.Presence); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	})
	return a, err
}

// Writable tries out the policies: a row is written as the caller and undone.
func (s *Store) Writable(ctx context.Context, c caller.Caller, topic string, e Extension) (may bool, err error) {
	err = s.try(ctx, c, db.Statement{
		SQL: "SELECT realtime.may_write($1, $2)", Args: []any{topic, string(e)},
		Read: func(rows pgx.Rows) error {
			for rows.Next() {
				if err := rows.Scan(&may); err != nil {
					return err
				}
			}
			return rows.Err()
		},
	})
	return may, err
}

// Since gives the newest broadcasts of a private topic after a moment, limit of
// them at most, oldest first. Whether the asker may read them was decided before.
func (s *Store) Since(ctx context.Context, topic string, after time.Time, limit int) (found []Message, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		rows, err := c.Query(ctx, `
			SELECT id::text, topic, coalesce(event, ''), private, payload, binary_payload
			  FROM (SELECT * FROM realtime.messages
			         WHERE topic = $1 AND extension = 'broadcast' AND private AND inserted_at > $2
			         ORDER BY inserted_at DESC, seq DESC LIMIT $3) newest
			 ORDER BY inserted_at, seq`, topic, after, limit)
		if err != nil {
			return db.Fault(err)
		}
		found, err = pgx.CollectRows(rows, scan)
		return db.Fault(err)
	})
	return found, err
}

func scan(row pgx.CollectableRow) (m Message, err error) {
	err = row.Scan(&m.ID, &m.Topic, &m.Event, &m.Private, &m.Payload, &m.Binary)
	return m, err
}

// Prune empties what is older than three days. held is false when another node is
// at it.
func (s *Store) Prune(ctx context.Context) (emptied int, held bool, err error) {
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		var n *int
		if err := c.QueryRow(ctx, "SELECT realtime.prune_messages()").Scan(&n); err != nil {
			return db.Fault(err)
		}
		if held = n != nil; held {
			emptied = *n
		}
		return nil
	})
	return emptied, held, err
}
