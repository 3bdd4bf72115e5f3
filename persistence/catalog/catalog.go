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

	reading shared // of the whole catalogue
	looking shared // of its fingerprint
	mark    string // the fingerprint that looking found last; its own

	mu       sync.Mutex
	watchers map[int]func(*Snapshot)
	watched  int
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
	c.reading.work, c.looking.work = c.load, c.look
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
func (c *Catalog) Reload(ctx context.Context) error { return c.reading.run(ctx) }

// Refresh reads the catalogue anew if the schema has changed, and tells whether
// Current is another snapshot than seen now. It is for whoever did not find in
// seen what may have been made a moment ago: the announcement may still be on its
// way. Calls share their look at the database.
func (c *Catalog) Refresh(ctx context.Context, seen *Snapshot) (bool, error) {
	if c.Current() == seen {
		if err := c.looking.run(ctx); err != nil {
			return false, err
		}
	}
	return c.Current() != seen, nil
}

// look compares the fingerprint with the last one and reads when it is another.
func (c *Catalog) look() error {
	ctx, cancel := context.WithTimeout(context.Background(), loadTimeout)
	defer cancel()
	mark, err := c.fingerprint(ctx)
	if err != nil || mark == c.mark {
		return err
	}
	if err := c.reading.run(ctx); err != nil {
		return err
	}
	c.mark = mark
	return nil
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
	for {
		if err := c.looking.run(ctx); err != nil && ctx.Err() == nil {
			c.options.Logger.Warn("cannot look for schema changes", "error", err)
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
