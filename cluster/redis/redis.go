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
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

// prefix begins every key, so that the database may be shared.
const prefix = "fluxbase:"

// Store is the way to a Redis server. It is safe for concurrent use.
type Store struct {
	client        *redis.Client
	calls, failed atomic.Uint64
}

// Stats count since the store was opened.
type Stats struct {
	// Calls are scripts that were sent, Failed those that were not answered or with an
	// error.
	Calls, Failed uint64
}

// Stats gives the figures, for metrics.
func (s *Store) Stats() Stats { return Stats{Calls: s.calls.Load(), Failed: s.failed.Load()} }

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
	return &Store{client: redis.NewClient(o)}, nil
}

// Ping tells whether the server answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.client.Ping(ctx).Err(); err != nil {
		return fmt.Errorf("redis: %w", err)
	}
	return nil
}

// run runs a script.
func (s *Store) run(ctx context.Context, script *redis.Script, keys []string, args ...any) *redis.Cmd {
	s.calls.Add(1)
	cmd := script.Run(ctx, s.client, keys, args...)
	if cmd.Err() != nil {
		s.failed.Add(1)
	}
	return cmd
}

// Close ends the connections.
func (s *Store) Close() error { return s.client.Close() }
