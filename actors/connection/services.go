package connection

import (
	"context"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/message"
	"fluxbase/persistence/query"
)

// Services are what connections of one tenant talk to.
type Services struct {
	// Channels is the node's channel.Router, Presence its presence.Router.
	Channels, Presence kernel.Ref
	// Tables is the tenant's feed of table changes.
	Tables Tables
	// Messages says who may use private channels; nil when there are none.
	Messages Messages
	// Logs are those of executions; nil when there are none.
	Logs Logs
	// Hold, unless it is nil, is called when the socket begins, and what it returns
	// when it has ended: whoever gave the services keeps them for that long.
	Hold func() (release func())
}

// TableSubscription is one subscription of one connection.
type TableSubscription struct {
	ID            string
	Subscriber    delivery.Subscriber
	Schema, Table string
	Event         string
	// Filter and Condition are those of SubscribeTable.
	Filter    string
	Condition query.Condition
	Columns   []string // to be checked; nil for all
	// Cursor and Snapshot are those of SubscribeTable.
	Cursor   string
	Snapshot *delivery.SnapshotRequest
	// Again tells that it was acknowledged: it goes on where it is, for another caller
	// perhaps, or is no more.
	Again bool
}

// Beginning is how a table subscription begins.
type Beginning struct {
	// Cursor is the place in the log behind which all is delivered; empty for none.
	Cursor string
	// Snapshot tells that rows come first.
	Snapshot bool
	// Waits tells that nothing is sent before Tables.Begin.
	Waits bool
}

// Tables follows tables for connections. Frames go to the subscriber's Ref.
type Tables interface {
	// ID names a subscription: the same for all connections that subscribe to the
	// same, so that they share their frames. ordinal tells apart equal
	// subscriptions of one connection, counted from 0. It does not block.
	ID(s TableSubscription, ordinal int) string
	// Subscribe returns when no change committed behind the beginning can be missed
	// in silence, or a coded fault; a *delivery.ResumeError when the cursor is no
	// good. Subscribing under an id that is there replaces the subscription, but for Again.
	Subscribe(ctx context.Context, s TableSubscription) (Beginning, error)
	// Begin lets a subscription that waits send what it has. It does not block.
	Begin(subscriber kernel.Ref, id string)
	// Unsubscribe ends a subscription; unknown ones are no error. It does not
	// block.
	Unsubscribe(subscriber kernel.Ref, id string)
}

// Messages asks the policies on realtime.messages; *message.Store does.
type Messages interface {
	// Readable tells what a caller may read in a private channel.
	Readable(ctx context.Context, c caller.Caller, channel string) (message.Access, error)
	// Writable tells whether it may write there.
	Writable(ctx context.Context, c caller.Caller, channel string, e message.Extension) (bool, error)
	// Since gives the newest messages of a private channel after a moment, oldest
	// first.
	Since(ctx context.Context, channel string, after time.Time, limit int) ([]message.Message, error)
}

// Limits bound one connection. Zero means the default, negative no limit.
type Limits struct {
	// Channels is the number of channels; default 100.
	Channels int
	// Subscriptions is the number of table subscriptions; default 100.
	Subscriptions int
	// Presences is the number of channels with a presence of the connection;
	// default 10.
	Presences int
	// PresenceBytes is the size of a presence state; default 16 KB.
	PresenceBytes int
	// PrivateOnly refuses public channels, except the server's own.
	PrivateOnly bool
}

func (l Limits) orDefault() Limits {
	set := func(n *int, standard int) {
		switch {
		case *n == 0:
			*n = standard
		case *n < 0:
			*n = int(^uint(0) >> 1)
		}
	}
	set(&l.Channels, 100)
	set(&l.Subscriptions, 100)
	set(&l.Presences, 10)
	set(&l.PresenceBytes, 16<<10)
	return l
}
