package server

import (
	"context"
	"time"

	"fluxbase/actors/connection"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/actors/retention"
	"fluxbase/actors/tenant"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db"
)

// pruneEvery is how often old entries of a change log are thrown away.
const pruneEvery = time.Minute

// Enabling a table waits for locks: few at a time.
const registrarWorkers, registrarQueue = 2, 16

// openFeed spawns the reader of a tenant's change log, who keeps the log within
// its bounds, and the registry of its tables.
func (s *Server) openFeed(ctx context.Context, p *tenantParts, database *db.Database, spawn kernel.Spawner) (err error) {
	c := s.options.Config.Realtime
	log := changelog.New(database)
	p.log = log
	if err := log.Configure(ctx, int(c.MaxImageBytes)); err != nil {
		return err
	}
	if _, err := spawn.Spawn(retention.Props("change log retention", retention.Options{
		Every: pruneEvery,
		Task: func(ctx context.Context) error {
			_, _, err := log.Prune(ctx, c.LogRetention, int64(c.LogMaxBytes))
			return err
		},
	})); err != nil {
		return err
	}
	if p.route.Registrar, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "registrar", Workers: registrarWorkers, Queue: registrarQueue,
		New: func() kernel.Worker { return feed.Registrar{Registry: log} },
	}); err != nil {
		return err
	}
	cursors, err := changelog.NewCursors([]byte(c.CursorKey.Reveal()), p.route.ID)
	if err != nil {
		return err
	}
	p.feed, err = spawn.Spawn(feed.Props("feed", feed.Options{
		Log: log, Cursors: cursors, RingBytes: int64(c.RingBytes), Logger: s.options.Logger,
		Snapshot: changelog.RowLimit{Rows: int64(c.SnapshotMaxRows), Bytes: int(c.SnapshotMaxBytes)},
	}))
	p.route.Feed = p.feed
	return err
}

// tellFeeds tells something to the feeds of all tenants that are open here. A
// feed that is too busy to hear it looks by itself within a second.
func (s *Server) tellFeeds(msg any) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		_ = t.Parts.feed.Tell(msg)
		return true
	})
}

// follower brings the subscriptions of connections to a tenant's feed.
type follower struct{ feed kernel.Ref }

var _ connection.Tables = follower{}

// ID implements connection.Tables.
func (follower) ID(s connection.TableSubscription, ordinal int) string {
	return feed.ID(s.Schema, s.Table, s.Event, s.Condition, ordinal)
}

// Subscribe implements connection.Tables.
func (f follower) Subscribe(ctx context.Context, s connection.TableSubscription) (connection.Beginning, error) {
	begun, err := kernel.Ask[feed.Subscribed](ctx, f.feed, feed.Subscribe{
		Subscriber: s.Subscriber, SubscriptionID: s.ID, Schema: s.Schema, Table: s.Table, Event: s.Event, Filter: s.Condition, FilterText: s.Filter, Columns: s.Columns,
		Cursor: s.Cursor, Snapshot: s.Snapshot, Again: s.Again,
	})
	return connection.Beginning{Cursor: begun.Cursor, Snapshot: begun.Snapshot, Waits: begun.Waits}, err
}

// Begin implements connection.Tables. A feed that does not hear it finds out when
// the client gives up.
func (f follower) Begin(subscriber kernel.Ref, id string) {
	_ = f.feed.Tell(feed.Begin{Subscriber: subscriber, SubscriptionID: id})
}

// Unsubscribe implements connection.Tables. A feed that does not hear it finds
// out when the connection ends.
func (f follower) Unsubscribe(subscriber kernel.Ref, id string) {
	_ = f.feed.Tell(feed.Unsubscribe{Subscriber: subscriber, SubscriptionID: id})
}
