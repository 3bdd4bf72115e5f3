// Package feed is the actor that reads a tenant's change log on this node and
// hands the changes to the actors of the tables (actors/table).
//
// It reads while somebody is subscribed: when the bell rings, again after a short
// while as long as transactions are running whose changes may come, and once a
// second whatever happens, because a bell can be lost with its connection. One
// read is in flight at most, and none while the connections have too much to
// write. A subscription is acknowledged when everything that is committed behind its
// cursor will be delivered, or its end be told.
//
// A subscription that begins in the past, at a cursor or with the rows of a snapshot,
// is brought to the present by an actor of its own (actors/replay). The feed opens
// its cursor, attaches it to its table when it has read as far itself, and puts the
// subscriber into its place when it has arrived. The same is done again when tables
// were written to which a table's policies read, for those who began with rows; the
// others are told that their view changed.
package feed

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/google/uuid"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/query"
)

// Subscribe asks for a table's changes; the answer is Subscribed or a coded
// fault. A subscriber that subscribes under an id it already has replaces the
// subscription, for instance because its caller is another one now.
type Subscribe struct {
	Subscriber delivery.Subscriber
	// SubscriptionID comes with every change. Empty lets the feed make the one of
	// ID, which is better: connections with the same ids share their frames.
	SubscriptionID string
	// Schema and Table may be Every; see wildcard.
	Schema, Table string
	// Event is INSERT, UPDATE, DELETE or *; empty means *.
	Event string
	// Filter must hold of a row; nil for every row. FilterText is what the client
	// wrote, for the answer.
	Filter     query.Condition
	FilterText string
	// Columns are those that the subscriber wants: it must be allowed to read them,
	// and leaves the others out itself. Nil for all.
	Columns []string
	// Cursor is where to go on; empty for now. Snapshot asks for the rows first; nil
	// for none. With either the subscription waits for Begin when it is answered. The
	// error is a *delivery.ResumeError when the cursor is no good.
	//
	Cursor   string
	Snapshot *delivery.SnapshotRequest
	// Again asks for a subscription that is there under the id to go on where it is,
	// for another caller; NOT_FOUND when there is none.
	Again bool
}

// Subscribed: every change that is committed behind Cursor will be delivered.
type Subscribed struct {
	ID                           string
	Schema, Table, Event, Filter string
	// Cursor is where the subscription begins; empty when the feed has no cursors.
	Cursor string
	// Snapshot tells that rows come first, Waits that nothing comes before Begin.
	Snapshot, Waits bool
}

// Begin lets a subscription that waits send what it has; others need none.
type Begin struct {
	Subscriber     kernel.Ref
	SubscriptionID string
}

// Unsubscribe ends a subscription, or with an empty id all of the subscriber's;
// unknown ones are no error.
type Unsubscribe struct {
	Subscriber     kernel.Ref
	SubscriptionID string
}

// Reidentify gives all subscriptions of a connection another caller. The answer
// is an error when the new caller may not have one of them; that one is ended.
type Reidentify struct{ Subscriber delivery.Subscriber }

// Gone says that a connection is closed. The feed watches its subscribers, too.
type Gone struct{ Subscriber kernel.Ref }

// The messages of whoever listens to the database.
type (
	// Rung: the log has grown.
	Rung struct{}
	// ListenerUp: bells are heard from now on; some may have been missed.
	ListenerUp struct{}
	// ListenerDown: bells are not heard.
	ListenerDown struct{}
)

// ListFollowed asks which subscriptions to a table some subscribers have; the answer
// is []Followed.
type ListFollowed struct {
	Subscribers   []kernel.Ref
	Schema, Table string
}

// Followed is one subscription.
type Followed struct {
	Subscriber kernel.Ref
	ID         string
	// Event is INSERT, UPDATE, DELETE or *; Filter is the text of the filter and
	// Condition what it says, empty and nil for none.
	Event, Filter string
	Condition     query.Condition
	// Live tells that it gets changes as they come, and does not read what it
	// missed or wait for its rows.
	Live bool
}

// GetStats asks for Stats.
type GetStats struct{}

// Stats are the feed's figures.
type Stats struct {
	// Tables are followed by at least one of Subscriptions.
	Tables, Subscriptions int
	// Subscribers are connections.
	Subscribers int
	// Replaying are the subscriptions that are being brought to the present.
	Replaying int
	// WindowBytes are on their way to connections.
	WindowBytes int64
	// Reads, Entries count since the feed was made.
	Reads, Entries uint64
	// Lag is how old the oldest entry of the last read that had any was when it was
	// read here. It is measured with two clocks, the database's and this node's.
	Lag time.Duration
	// Listening tells whether bells are heard.
	Listening bool
	// Identities are the callers that the tables tell apart by what they see.
	Identities int
}

var namespace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("fluxbase:subscription"))

// ID is the id of a subscription: the same for every connection that subscribes
// to the same, so that they share their frames. ordinal tells apart the equal
// subscriptions of one connection, counted from 0.
func ID(schema, table, event string, filter query.Condition, ordinal int) string {
	text := ""
	for _, part := range []string{schema, table, event, conditionKey(filter), strconv.Itoa(ordinal)} {
		text += strconv.Itoa(len(part)) + ":" + part
	}
	return uuid.NewSHA1(namespace, []byte(text)).String()
}

// conditionKey is a text that is equal for equal conditions only.
func conditionKey(c query.Condition) string {
	if c == nil {
		return ""
	}
	h := sha256.New()
	write := func(parts ...string) {
		for _, p := range parts {
			h.Write([]byte(strconv.Itoa(len(p)) + ":" + p))
		}
	}
	var walk func(query.Condition)
	walk = func(c query.Condition) {
		switch c := c.(type) {
		case query.And:
			write("and", strconv.Itoa(len(c)))
			for _, one := range c {
				walk(one)
			}
		case query.Or:
			write("or", strconv.Itoa(len(c)))
			for _, one := range c {
				walk(one)
			}
		case query.Not:
			write("not")
			walk(c.Condition)
		case *query.Compare:
			write("compare", c.Path.Column, strconv.Itoa(len(c.Path.Steps)))
			for _, s := range c.Path.Steps {
				write(s.Key, strconv.FormatBool(s.Index), strconv.FormatBool(s.Text))
			}
			write(string(c.Op), strconv.Itoa(int(c.Quantifier)), c.Language, c.Value, strconv.Itoa(len(c.Values)))
			write(c.Values...)
		}
	}
	walk(c)
	return hex.EncodeToString(h.Sum(nil))
}
