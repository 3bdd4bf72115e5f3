// Package table is the actor that delivers the changes of one table to the
// connections that follow it.
//
// Connections that see the same rows (see asker), speak the same dialect and have
// the same subscriptions form a group: it is judged once. Who gets a row is looked
// up by the row's values where policies and filters are decided in memory; the
// others are asked about in one go. Groups that get the same of a batch share the
// encoded bytes.
//
// The actor handles one thing at a time in the order in which it came, also while
// it waits for a judgement: who was added before a batch gets all of it, who was
// added behind it nothing.
package table

import (
	"context"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/query"
)

// Any is the event of a subscription to everything.
const Any = "*"

// Subscription is what a connection follows of the table.
type Subscription struct {
	// ID comes with every change that matched.
	ID string
	// Event is INSERT, UPDATE, DELETE or Any.
	Event string
	// Filter must hold of a row; nil for every row.
	Filter query.Condition
	// FilterText tells filters apart: equal texts must mean equal filters.
	FilterText string
	// Scope is what its cursors are good for.
	Scope changelog.Scope
	// Repairs tells that it gets its rows again when its view changes.
	Repairs bool
	// Shown, unless it is nil, is kept up to date with what the subscription is sent.
	// It is the table's until Removed.
	Shown *Shown
}

// Add begins a subscription, or replaces the subscriber's subscription of that
// id. The subscriber's caller and codec are those of its last Add.
type Add struct {
	Subscriber   delivery.Subscriber
	Subscription Subscription
}

// Replace puts a subscriber into the place of another one, with one subscription. The
// other one is told Replaced when it will get nothing more. What the other one's Shown
// has noted goes to that of the new one.
type Replace struct {
	Old kernel.Ref
	Add
}

// Replaced: who is told it gets nothing more.
type Replaced struct{}

// Remove ends a subscription; unknown ones are no error.
type Remove struct {
	Subscriber kernel.Ref
	ID         string
	// Then, unless it is zero, is told Removed when nothing more is sent.
	Then kernel.Ref
}

// Removed: what was there to send before the removal was sent, and nothing follows.
type Removed struct {
	// Shown is the subscription's; nil if it had none.
	Shown *Shown
}

// Drop ends all subscriptions of a connection that is gone.
type Drop struct{ Subscriber kernel.Ref }

// Deliver brings changes of the table, in order.
type Deliver struct {
	Plan    *changelog.Plan
	Entries []changelog.Entry
	// Span is where in the log the entries are.
	Span changelog.Span
	// Broken tells that changes came before these which nobody can judge any
	// more, because the table's columns changed behind them.
	Broken bool
}

// Delivered is told to Options.Feed when a Deliver is done: its frames are with
// the connections.
type Delivered struct {
	Table int32
	// Identities is the number of callers that are told apart by what they see.
	Identities int
}

// TellPosition tells the subscriptions that got nothing since the last TellPosition
// how far the log was read, so that their cursors do not grow old. Signature is the
// digest of the table's columns at the position.
type TellPosition struct {
	At        changelog.Position
	Signature string
}

// NotifyView tells the subscriptions that see the table by its policies that other
// rows may be visible now, except for those that get their rows again.
type NotifyView struct{ Plan *changelog.Plan }

// Notify sends a notice to every subscription. The actor fills in the ids.
type Notify struct{ Notice delivery.Notice }

// Log judges changes; *changelog.Log does.
type Log interface {
	Judge(ctx context.Context, t *changelog.Table, images []changelog.Image, questions []changelog.Question) (answers []changelog.Answer, asked bool)
	// Decided counts verdicts that were taken without Judge, and how many
	// subscriptions were looked at for them.
	Decided(verdicts, looked int)
	Current(ctx context.Context, p *changelog.Plan) (bool, error)
	Now(ctx context.Context) (changelog.Position, *changelog.Plan, error)
}

// Options say what an actor is for.
type Options struct {
	// ID is the table's id in the registry.
	ID int32
	// Log judges.
	Log Log
	// Cursors seals the positions of changes; nil for changes without.
	Cursors *changelog.Cursors
	// Window bounds the bytes on their way; nil for no bound.
	Window *delivery.Window
	// Feed is told of Delivered.
	Feed kernel.Ref
}
