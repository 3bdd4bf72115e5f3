package lease

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// Home is a home as one node holds it.
type Home struct {
	Kind, Key string
	// Epoch is greater than that of whoever held it before.
	Epoch uint64
	// Previous is the node that held it before and has not given it back; empty
	// for nobody. It may be this one, and it may be dead.
	Previous string
}

// TakeHome writes that node n holds the home from now on. It fails with ErrLost
// when the lease of n has run out.
func (s *Store) TakeHome(ctx context.Context, kind, key string, n Node) (Home, error) {
	h := Home{Kind: kind, Key: key}
	err := s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		var previous *string
		// The epoch of the update is drawn when the row is locked: of two nodes that
		// take a home at once, the later one gets the greater epoch.
		err := c.QueryRow(ctx, `
			INSERT INTO platform.cluster_homes AS h (kind, key, node, epoch)
			SELECT $1, $2, n.id, nextval('platform.cluster_epoch') FROM platform.cluster_nodes n
			 WHERE n.id = $3 AND n.epoch = $4 AND n.expires_at > clock_timestamp()
			ON CONFLICT (kind, key) DO UPDATE
			   SET previous = h.node, node = excluded.node, epoch = nextval('platform.cluster_epoch')
			RETURNING epoch, previous`, kind, key, n.ID, n.Epoch).Scan(&h.Epoch, &previous)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrLost
		}
		if previous != nil {
			h.Previous = *previous
		}
		return db.Fault(err)
	})
	return h, err
}

// ReleaseHomes writes that the node holds the homes no more, unless somebody else
// took them meanwhile.
func (s *Store) ReleaseHomes(ctx context.Context, homes []Home, n Node) error {
	kinds, keys, epochs := make([]string, len(homes)), make([]string, len(homes)), make([]int64, len(homes))
	for i, h := range homes {
		kinds[i], keys[i], epochs[i] = h.Kind, h.Key, int64(h.Epoch)
	}
	return s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		_, err := c.Exec(ctx, `
			DELETE FROM platform.cluster_homes h
			 USING unnest($1::text[], $2::text[], $3::int8[]) AS gone (kind, key, epoch)
			 WHERE h.kind = gone.kind AND h.key = gone.key AND h.epoch = gone.epoch AND h.node = $4`,
			kinds, keys, epochs, n.ID)
		return db.Fault(err)
	})
}

// IsAlive tells whether the node's lease has not run out.
func (s *Store) IsAlive(ctx context.Context, id string) (bool, error) {
	var alive bool
	err := s.control.Owner(ctx, func(c *pgxpool.Conn) error {
		return db.Fault(c.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM platform.cluster_nodes WHERE id = $1 AND expires_at > clock_timestamp())`, id).Scan(&alive))
	})
	return alive, err
}
