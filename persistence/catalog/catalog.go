// Package catalog knows the exposed part of a database's schema: relations,
// columns and their types, keys and references.
//
// What is known is a Snapshot: immutable, complete, read from one statement. The
// Catalog holds the newest one and replaces it when the schema changed, which it
// learns from whoever calls Reload (a listener on NotifyChannel, rung by
// bootstrap's event trigger) or, where there is no event trigger, from Poll.
package catalog

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
)

// NotifyChannel is rung, without a payload, when a transaction that changed the
// schema commits.
const NotifyChannel = "fluxbase_schema"

// loadTimeout bounds one reading of the catalogue.
const loadTimeout = 30 * time.Second

// Options say what is exposed.
type Options struct {
	// Schemas are the exposed schemas; the first one is meant when none is named.
	// Empty means public alone.
	Schemas []string
	// Logger hears about changes and about polls that failed. Nil means
	// slog.Default.
	Logger *slog.Logger
}

// Catalog keeps the newest snapshot of one database. It is safe for use by many
// goroutines.
type Catalog struct {
	db      *db.Database
	options Options
	current atomic.Pointer[Snapshot]

	mu       sync.Mutex
	running  *load // the reading under way
	waiting  *load // the one that follows it, when somebody asked meanwhile
	watchers map[int]func(*Snapshot)
	watched  int
}

type load struct {
	done chan struct{}
	err  error
}

// Open reads the first snapshot.
func Open(ctx context.Context, d *db.Database, o Options) (*Catalog, error) {
	if len(o.Schemas) == 0 {
		o.Schemas = []string{"public"}
	}
	for _, s := range o.Schemas {
		if strings.HasPrefix(s, "pg_") || slices.Contains([]string{"", "information_schema", "fluxbase", "platform", "realtime"}, s) {
			return nil, fmt.Errorf("schema %q must not be exposed", s)
		}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	c := &Catalog{db: d, options: o, watchers: make(map[int]func(*Snapshot))}
	if err := c.Reload(ctx); err != nil {
		return nil, err
	}
	return c, nil
}

// Current is the newest snapshot; never nil.
func (c *Catalog) Current() *Snapshot { return c.current.Load() }

// Reload reads the catalogue anew. When it returns nil, Current is at least as
// new as the call. Calls that come while one is being read share the next
// reading. ctx bounds the waiting, not the reading.
func (c *Catalog) Reload(ctx context.Context) error {
	c.mu.Lock()
	var l *load
	switch {
	case c.running == nil:
		l = &load{done: make(chan struct{})}
		c.running = l
		go c.loadAll(l)
	case c.waiting == nil:
		l = &load{done: make(chan struct{})}
		c.waiting = l
	default:
		l = c.waiting
	}
	c.mu.Unlock()
	select {
	case <-l.done:
		return l.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// loadAll reads until nobody waits any more.
func (c *Catalog) loadAll(l *load) {
	for l != nil {
		l.err = c.load()
		close(l.done)
		c.mu.Lock()
		l, c.waiting = c.waiting, nil
		c.running = l
		c.mu.Unlock()
	}
}

func (c *Catalog) load() error {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	s, err := read(ctx, c.db, c.options.Schemas)
	if err != nil {
		return fmt.Errorf("read the catalogue: %w", err)
	}
	old := c.current.Load()
	if old != nil && old.hash == s.hash {
		return nil
	}
	s.version = 1
	if old != nil {
		s.version = old.version + 1
		// What is prepared may have parameters of types that are gone.
		c.db.ForgetStatements()
		c.options.Logger.Info("the database schema changed", "version", s.version, "relations", len(s.relations))
	}
	c.current.Store(s)
	c.mu.Lock()
	watchers := make([]func(*Snapshot), 0, len(c.watchers))
	for _, w := range c.watchers {
		watchers = append(watchers, w)
	}
	c.mu.Unlock()
	for _, w := range watchers {
		w(s)
	}
	return nil
}

// Watch calls changed with every new snapshot until cancel is called. changed
// must not block.
func (c *Catalog) Watch(changed func(*Snapshot)) (cancel func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id := c.watched
	c.watched++
	c.watchers[id] = changed
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.watchers, id)
	}
}

// Announced tells whether the database rings NotifyChannel on schema changes. If
// it does not, use Poll.
func (c *Catalog) Announced(ctx context.Context) (bool, error) {
	var announced bool
	err := c.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		return db.Fault(conn.QueryRow(ctx, `SELECT count(*) = 2 FROM pg_event_trigger
			WHERE evtname IN ('fluxbase_announce', 'fluxbase_announce_drop') AND evtenabled IN ('O', 'A')`).Scan(&announced))
	})
	return announced, err
}

// Poll looks every interval whether the schema changed, and reloads when it did,
// until ctx ends. It is for databases where no event trigger could be made.
func (c *Catalog) Poll(ctx context.Context, interval time.Duration) {
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	var known string
	for {
		mark, err := c.fingerprint(ctx)
		switch {
		case err != nil:
			if ctx.Err() != nil {
				return
			}
			c.options.Logger.Warn("cannot look for schema changes", "error", err)
		case mark != known:
			if err := c.Reload(ctx); err == nil {
				known = mark
			} else if !errors.Is(err, context.Canceled) {
				c.options.Logger.Warn("cannot read the changed schema", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// fingerprint changes with every row of the system catalogues that the snapshot
// is made of: a row that changed was written by another transaction.
func (c *Catalog) fingerprint(ctx context.Context) (mark string, err error) {
	err = c.db.Owner(ctx, func(conn *pgxpool.Conn) error {
		return db.Fault(conn.QueryRow(ctx, fingerprintSQL, c.options.Schemas).Scan(&mark))
	})
	return mark, err
}
