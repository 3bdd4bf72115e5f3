// Package lease keeps in the control database what the nodes of a cluster agree
// on: who is alive, who holds which home, which secrets they share, and the
// authority that signs their certificates.
//
// A node is alive while its lease has not run out by the database's clock. What
// that means, and what a node does when it could not renew, is the business of
// package cluster.
package lease

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/db"
)

// Channel is where the database notifies when a node came or left. That a lease
// ran out rings nothing.
const Channel = "fluxbase_members"

// ErrLost says that the node's own lease has run out or was removed: it must act
// no more, and can only join anew.
var ErrLost = errors.New("the node's lease is lost")

// Node is one run of a node.
type Node struct {
	// ID is unique among all runs of all nodes.
	ID string
	// Name is for people.
	Name string
	// Address is where other nodes reach it.
	Address string
	// Epoch is greater than that of every node that joined before.
	Epoch uint64
	// Remaining is how long the lease still lasted when it was read.
	Remaining time.Duration
}

// Store is the cluster's part of a control database.
type Store struct{ control *db.Database }

// NewStore gives the store of an installation.
func NewStore(control *db.Database) *Store { return &Store{control} }

// Session is a connection of its own for leases, so that nothing else can keep a
// renewal waiting. It signs in again after a failure. It is not safe for
// concurrent use.
type Session struct {
	config *pgx.ConnConfig
	conn   *pgx.Conn
}

// Session gives an unconnected session; the first call connects.
func (s *Store) Session() *Session {
	config := s.control.OwnerConfig().Copy()
	config.RuntimeParams["application_name"] = "fluxbase_lease"
	return &Session{config: config}
}

// Close signs out.
func (s *Session) Close(ctx context.Context) error {
	if s.conn == nil {
		return nil
	}
	c := s.conn
	s.conn = nil
	return c.Close(ctx)
}

// with runs f on the connection, which is given up when f fails.
func (s *Session) with(ctx context.Context, f func(*pgx.Conn) error) error {
	if s.conn == nil {
		c, err := pgx.ConnectConfig(ctx, s.config)
		if err != nil {
			return db.Fault(err)
		}
		s.conn = c
	}
	err := f(s.conn)
	if err == nil || errors.Is(err, ErrLost) {
		return err
	}
	// Whatever failed, a fresh connection is what the next renewal needs; closing
	// must not take the time that is left for it.
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancel()
	return errors.Join(db.Fault(err), s.Close(closing))
}

// Join gives the node a lease of ttl and fills in its epoch. It also clears away
// what nodes left that died long ago.
func (s *Session) Join(ctx context.Context, n Node, ttl time.Duration) (Node, error) {
	err := s.with(ctx, func(c *pgx.Conn) error {
		batch := &pgx.Batch{}
		batch.Queue(`DELETE FROM platform.cluster_nodes WHERE expires_at < clock_timestamp() - interval '1 minute'`)
		batch.Queue(`
			DELETE FROM platform.cluster_homes h
			 WHERE NOT EXISTS (SELECT FROM platform.cluster_nodes n WHERE n.id = h.node)`)
		batch.Queue(`
			INSERT INTO platform.cluster_nodes (id, name, address, epoch, expires_at)
			VALUES ($1, $2, $3, nextval('platform.cluster_epoch'), clock_timestamp() + $4::float8 * interval '1 second')
			RETURNING epoch`, n.ID, n.Name, n.Address, ttl.Seconds()).
			QueryRow(func(row pgx.Row) error { return row.Scan(&n.Epoch) })
		return c.SendBatch(ctx, batch).Close()
	})
	return n, err
}

// Renew makes the node's lease last for ttl from now, and lists the nodes that
// are alive. It fails with ErrLost when the lease has run out.
func (s *Session) Renew(ctx context.Context, n Node, ttl time.Duration) ([]Node, error) {
	var alive []Node
	err := s.with(ctx, func(c *pgx.Conn) error {
		renewed := false
		batch := &pgx.Batch{}
		batch.Queue(`
			UPDATE platform.cluster_nodes SET expires_at = clock_timestamp() + $3::float8 * interval '1 second'
			 WHERE id = $1 AND epoch = $2 AND expires_at > clock_timestamp()`, n.ID, n.Epoch, ttl.Seconds()).
			Exec(func(tag pgconn.CommandTag) error {
				renewed = tag.RowsAffected() == 1
				return nil
			})
		batch.Queue(listAlive).Query(collect(&alive))
		if err := c.SendBatch(ctx, batch).Close(); err != nil {
			return err
		}
		if !renewed {
			return ErrLost
		}
		return nil
	})
	return alive, err
}

const listAlive = `
	SELECT id, name, address, epoch, expires_at - clock_timestamp() FROM platform.cluster_nodes
	 WHERE expires_at > clock_timestamp() ORDER BY id`

// Alive lists the nodes whose leases have not run out, ordered by id.
func (s *Session) Alive(ctx context.Context) ([]Node, error) {
	var alive []Node
	err := s.with(ctx, func(c *pgx.Conn) error {
		rows, err := c.Query(ctx, listAlive)
		if err != nil {
			return err
		}
		return collect(&alive)(rows)
	})
	return alive, err
}

// Leave gives the lease back.
func (s *Session) Leave(ctx context.Context, n Node) error {
	return s.with(ctx, func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, `DELETE FROM platform.cluster_nodes WHERE id = $1 AND epoch = $2`, n.ID, n.Epoch)
		return err
	})
}

func collect(into *[]Node) func(pgx.Rows) error {
	return func(rows pgx.Rows) (err error) {
		*into, err = pgx.CollectRows(rows, pgx.RowToStructByPos[Node])
		return err
	}
}
