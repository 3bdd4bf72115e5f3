// Package redis keeps in Redis what the nodes of a cluster share beside their
// database: the histories of channels, which outlive their homes there, and the
// counters of limits.
//
// Every operation is one script, so that no node sees half of another's.
package redis

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// prefix begins every key, so that the database may be shared.
const prefix = "fluxbase:"

// Store is the way to a Redis server. It is safe for concurrent use.
type Store struct{ client *redis.Client }

// Open makes a store of an address (redis://, rediss:// or unix://). It does not
// connect: what needs the server fails while it is not there.
func Open(address string) (*Store, error) {
	o, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("the address of Redis cannot be read") // it may hold a password
	}
	o.DialTimeout, o.ReadTimeout, o.WriteTimeout = 2*time.Second, 2*time.Second, 2*time.Second
	// A script that was sent may have run: who called decides whether to try again.
	o.MaxRetries = -1
	o.ContextTimeoutEnabled = true
	return &Store{redis.NewClient(o)}, nil
}

// Ping tells whether the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("Redis: %w", err)
	}
	return nil
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }
