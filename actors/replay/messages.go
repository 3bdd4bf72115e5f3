// Package replay is the actor that brings one subscription from a cursor, or from a
// snapshot of its table's rows, to the present, and leaves it to the table's actor
// there (actors/table).
//
// It reads the log in rounds. When a round was short it has itself attached: the feed
// adds it to the table in the subscriber's place, at a position that the feed has
// reached. What the table sends from there on waits at a gate, while one last round
// is read up to that position and sent; then the gate opens and the subscriber takes
// its place. So every change comes once, from here or from the table, in the order of
// its row.
//
// It reads no further than the connection writes, and all actors of a feed together
// hold a bounded number of bytes.
package replay

import (
	"context"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/query"
)

// Options say what is replayed, to whom.
type Options struct {
	// Feed is told Ready, Attach, Live and Failed.
	Feed kernel.Ref
	// Readers reads the log, RowReaders snapshots, which may take long; pools of Reader.
	Readers, RowReaders kernel.Target
	// Budget bounds what all replays hold together.
	Budget *Budget
	// Cursors seals positions; nil for changes without.
	Cursors *changelog.Cursors

	Subscriber   delivery.Subscriber
	Subscription table.Subscription
	// Table is the table's id in the registry.
	Table int32
	// Plan is the plan at hand.
	Plan *changelog.Plan
	// From is the place to go on from, Signature the digest of the columns that the
	// table has there. With Rows only From's Epoch counts.
	From      changelog.Position
	Signature string
	// Rows, unless it is nil, is the snapshot to begin with.
	Rows *changelog.Selection
	// Again tells that the subscription was live: it reads when table.Removed says that
	// nothing comes from the table any more, and sends only what is different from
	// what is shown, as far as that is known.
	Again bool
	// Track asks for what is shown to be remembered.
	Track bool
}

// The messages of the feed.
type (
	// Begin: the client knows of the subscription.
	Begin struct{}
	// Recast gives the subscription another caller: nothing is judged for the one
	// before from here on. One that began with rows begins with them again.
	Recast struct{ Subscriber delivery.Subscriber }
	// Attached: what the table sends of what Until did not see comes through here.
	Attached struct {
		Until changelog.Snapshot
		// Table is the table's actor.
		Table kernel.Ref
	}
)

// The messages to the feed. Replay is the actor.
type (
	// Ready: nothing that is committed behind the position can be missed in silence
	// any more.
	Ready struct {
		Replay    kernel.Ref
		At        changelog.Position
		Signature string
	}
	// Attach asks for Attached once everything that At saw was read by the feed.
	Attach struct {
		Replay kernel.Ref
		At     changelog.Position
	}
	// Live: everything before the present was sent, the subscriber may take its
	// place. The actor ends with table.Replaced. ViewChanged tells that tables were
	// written to meanwhile which the table's policies read.
	Live struct {
		Replay      kernel.Ref
		ViewChanged bool
		// Shown is what the client holds now; nil when it is not remembered.
		Shown *table.Shown
		// Recasts are how many other callers got their own rows.
		Recasts int
	}
	// Failed: it cannot go on, and ends.
	Failed struct {
		Replay kernel.Ref
		Err    error
	}
)

// Log is what is read; *changelog.Log does.
type Log interface {
	table.Log
	ReadTables(ctx context.Context, from changelog.Position, tables []int32, plan *changelog.Plan, limit changelog.Limit) (*changelog.Batch, error)
	Rows(ctx context.Context, t *changelog.Table, c caller.Caller, s changelog.Selection, limit changelog.RowLimit) (*changelog.Rows, error)
}

// Selection makes what is selected of what a client asks for; nil of nil.
func Selection(r *delivery.SnapshotRequest, filter query.Condition) *changelog.Selection {
	if r == nil {
		return nil
	}
	return &changelog.Selection{Filter: filter, Order: r.Order, Limit: r.Limit}
}
