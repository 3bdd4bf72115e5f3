package replay

import (
	"context"
	"errors"
	"slices"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

const (
	// readTimeout bounds one read, its time in the queue included.
	readTimeout = time.Minute
	// The database may be away for a while, between these delays, at most so often.
	firstRetry, lastRetry = 100 * time.Millisecond, 2 * time.Second
	maxRetries            = 60
)

// Props describe the replay of one subscription. The feed, which spawns it, watches
// it: a crash is the end of the subscription.
func Props(o Options) kernel.Props {
	g := &gate{to: o.Subscriber.Ref}
	return kernel.Props{
		New: func() kernel.Actor {
			a := &actor{options: o, gate: g, subscriber: o.Subscriber}
			a.core = newCore(a, place{o.From, o.Signature, o.Plan}, o.Rows != nil)
			return a
		},
		Limit:     256,
		Intercept: g.pass,
		OnCrash:   kernel.Stop,
	}
}

type (
	// written says that all that was pushed is with the client.
	written struct{}
	// again ends the pause after a failed read; number tells which.
	again struct{ number int }
	// overdue says that what the gate holds kept others waiting too long.
	overdue struct{}
)

// actor is the thin shell around a core.
type actor struct {
	options    Options
	core       *core
	gate       *gate
	subscriber delivery.Subscriber
	window     *delivery.Window // of what is under way to the connection
	context    *kernel.Context  // of the message being handled

	number  int // of the newest read
	retries int
	next    any   // the read that waits for room or for the database
	held    int64 // of the budget
	touched bool  // tables that the policies read
	shown   *table.Shown
	recasts int // with rows of their own
}

// Receive implements kernel.Actor.
func (a *actor) Receive(c *kernel.Context, msg any) {
	a.context = c
	switch m := msg.(type) {
	case kernel.Started:
		self := c.Self()
		// It is full as long as anything is under way. One that has ended need not
		// know when it is not any more.
		a.window = delivery.NewWindow(1, func() { _ = self.Tell(written{}) })
		a.gate.late = func() { _ = self.Tell(overdue{}) }
		if !a.options.Again {
			a.core.read()
		}
	case kernel.Stopping:
		a.gate.close()
		a.hold(0)
	case Begin:
		a.core.begin()
	case table.Removed:
		a.shown = m.Shown
		if a.core.begin(); !a.core.reading && !a.core.told {
			a.core.read()
		}
	case Recast:
		// What was read for the caller before may not have been sent.
		a.subscriber, a.shown = m.Subscriber, nil
		if a.core.recast() {
			a.recasts++
		}
		c.Reply(struct{}{})
	case Attached:
		c.Watch(m.Table)
		a.core.attached(m.Until)
	case kernel.Terminated, table.Replaced:
		// The feed knows what to do when it is the table that has ended.
		c.Stop()
	case written:
		if !a.window.Full() {
			a.account()
			a.core.sent()
		}
	case proceed:
		a.read(a.next)
	case again:
		if m.number == a.number {
			a.read(a.next)
		}
	case overdue:
		a.core.failed(fault.New(fault.Overloaded, "the subscription kept others waiting while it was brought up to date"))
	}
	a.context = nil
}

func (a *actor) readRows(from place) { a.begin(readRows{&a.options, from, a.subscriber, a.shown}) }
func (a *actor) readPage(from place) { a.begin(readPage{&a.options, from, a.subscriber, nil}) }

// begin begins a read in place of the one before.
func (a *actor) begin(msg any) {
	a.number++
	a.retries = 0
	a.read(msg)
}

// read asks a reader when there is room for what it will give. The last part, which
// others may wait for, needs none.
func (a *actor) read(msg any) {
	a.next = msg
	if msg == nil || a.core.stage == catching && !a.options.Budget.enter(a.context.Self()) {
		return
	}
	a.next = nil
	number, readers := a.number, a.options.Readers
	if _, rows := msg.(readRows); rows {
		readers = a.options.RowReaders
	}
	a.context.Go(readTimeout, func(ctx context.Context) (any, error) {
		return kernel.Ask[page](ctx, readers, msg)
	}, func(c *kernel.Context, res any, err error) {
		if number != a.number {
			return // another one was asked for meanwhile
		}
		a.context = c
		switch {
		case err == nil:
			p := res.(page)
			// A dialect may have no words for something.
			p.frames = slices.DeleteFunc(p.frames, func(f table.Encoded) bool { return len(f.Bytes) == 0 })
			size := int64(0)
			for _, f := range p.frames {
				size += int64(len(f.Bytes))
			}
			a.hold(size)
			a.touched = a.touched || p.touched
			a.remember(p)
			a.core.page(p)
		case a.passing(err):
			a.retries++
			a.next = msg
			c.After(min(firstRetry<<min(a.retries, 10), lastRetry), again{number})
		default:
			a.core.failed(err)
		}
		a.context = nil
	})
}

// remember keeps what the client will hold behind a page.
func (a *actor) remember(p page) {
	if p.shown != nil || a.core.rowsNext {
		a.shown = p.shown
	} else if a.shown != nil {
		a.shown.Take(p.notes)
	}
}

// passing tells whether a read that failed is worth another try. Whoever waits for
// the first one is told instead.
func (a *actor) passing(err error) bool {
	if !a.core.told && !a.options.Again || a.retries >= maxRetries {
		return false
	}
	var gone *delivery.ResumeError
	if errors.As(err, &gone) {
		return false
	}
	switch fault.CodeOf(err) {
	case fault.ServiceUnavailable, fault.Overloaded, fault.Canceled, fault.Timeout, fault.InternalError, fault.DatabaseError:
		return true
	}
	return false
}

// hold says how many bytes this replay holds.
func (a *actor) hold(n int64) {
	a.options.Budget.hold(n - a.held)
	a.held = n
}

// account gives back what is written.
func (a *actor) account() {
	left := int64(0)
	for _, f := range a.core.waiting {
		left += int64(len(f.Bytes))
	}
	a.hold(left)
}

func (a *actor) ready(at place) {
	a.tell(Ready{Replay: a.context.Self(), At: at.at, Signature: at.signature})
}

func (a *actor) push(encoded []table.Encoded, paced bool) {
	frames := make([]*delivery.Frame, len(encoded))
	for i, e := range encoded {
		frames[i] = &delivery.Frame{Bytes: e.Bytes, Messages: e.Messages, Reliable: true}
		if paced {
			frames[i].Track(a.window, 1)
		}
	}
	for _, f := range frames {
		if err := a.subscriber.Ref.Tell(f); err != nil {
			f.Done() // the connection is gone, and the feed will know
		}
	}
	if !paced {
		a.account()
	}
}

func (a *actor) attach(at changelog.Position) {
	a.tell(Attach{Replay: a.context.Self(), At: at})
}

func (a *actor) release() {
	a.gate.release()
	a.hold(0)
	a.tell(Live{Replay: a.context.Self(), ViewChanged: a.touched, Shown: a.shown, Recasts: a.recasts})
}

func (a *actor) fail(err error) {
	a.gate.close()
	// The feed stops this actor: an end would be known before the reason for it.
	a.tell(Failed{Replay: a.context.Self(), Err: err})
}

func (a *actor) tell(msg any) {
	if err := a.options.Feed.Tell(msg); err != nil && err != kernel.ErrStopped {
		// The feed would wait for ever.
		a.context.Logger().Error("the feed does not hear", "error", err)
		a.context.Stop()
	}
}
