package feed

import (
	"errors"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/replay"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// Readers of replays, and of the rows that some begin with: few, so that the feed's
// own reads need not wait for theirs.
const replayReaders, replayQueue = 2, 1 << 14

// replaying is a subscription that is not live yet.
type replaying struct {
	subscriber kernel.Ref
	id         string
	snapshot   bool
	track      bool // what is shown is remembered
	recasts    int  // how often there was another caller
	// answer is for whoever subscribed and waits; nil when it was called.
	answer func(Subscribed, error)
	// attach is up to where the feed has to have read; nil when that was not asked
	// for, or is done.
	attach   *changelog.Position
	attached bool
}

// replayed finds the subscription of a replay; nil when it is gone.
func (f *feed) replayed(ref kernel.Ref) (*replaying, *subscription) {
	r := f.replays[ref]
	if r == nil {
		return nil, nil
	}
	s := f.registry.subscribers[r.subscriber][r.id]
	if s == nil || s.replay != ref {
		return nil, nil
	}
	return r, s
}

// resume subscribes from a cursor, or from the rows of now.
func (f *feed) resume(c *kernel.Context, s *subscription, cursor string, answer func(Subscribed, error)) {
	o := f.replayOptions(c, s)
	if cursor != "" {
		place, err := f.openCursor(s, cursor)
		if err != nil {
			answer(Subscribed{}, err)
			return
		}
		o.From, o.Signature, o.Rows = place.Position, place.Signature, nil
		o.Track = false // which rows the client has is not known
	}
	if old := f.registry.subscribers[s.subscriber.Ref][s.id]; old != nil {
		f.detach(c, old)
	}
	if err := f.startReplay(c, s, o, answer); err != nil {
		answer(Subscribed{}, err)
	}
}

// openCursor reads a cursor of the subscription.
func (f *feed) openCursor(s *subscription, text string) (changelog.Cursor, error) {
	refused := func(reason, message string) (changelog.Cursor, error) {
		return changelog.Cursor{}, &delivery.ResumeError{Reason: reason, Message: message}
	}
	if f.options.Cursors == nil {
		return refused(delivery.InvalidCursor, "this server gives no cursors")
	}
	cursor, err := f.options.Cursors.Open(text, s.scope())
	switch {
	case err != nil:
		return refused(delivery.InvalidCursor, "the cursor is none of this subscription")
	case cursor.Position.Epoch != f.at.Epoch:
		return refused(delivery.EpochChanged, "the cursor belongs to another log")
	case cursor.Table != s.tableID:
		return refused(delivery.SchemaChanged, "the cursor belongs to another table of that name")
	}
	return cursor, nil
}

func (f *feed) replayOptions(c *kernel.Context, s *subscription) replay.Options {
	return replay.Options{
		Feed: c.Self(), Readers: f.readers, RowReaders: f.rowReaders, Budget: f.budget, Cursors: f.options.Cursors,
		Subscriber: s.subscriber, Subscription: s.ofTable(), Table: s.tableID, Plan: f.plan,
		From: changelog.Position{Epoch: f.at.Epoch}, Rows: replay.Selection(s.rows, s.filter),
		Track: f.tracks(s),
	}
}

// maxTracked is of how many subscriptions it is remembered which rows they show.
const maxTracked = 500

// tracks tells whether it is worth while to remember which rows a subscription shows:
// where policies read other tables the rows may have to be sent again.
func (f *feed) tracks(s *subscription) bool {
	t, ok := f.plan.Table(s.tableID)
	return ok && len(t.Reads) > 0 && s.rows != nil && s.rows.Limit == 0 && s.event == table.Any && f.registry.withRows < maxTracked
}

// startReplay puts the subscription in, with a replay that brings it to the present.
func (f *feed) startReplay(c *kernel.Context, s *subscription, o replay.Options, answer func(Subscribed, error)) error {
	ref, err := c.Spawn(replay.Props(o))
	if err != nil {
		return err
	}
	c.Watch(ref)
	s.replay = ref
	f.registry.add(s)
	c.Watch(s.subscriber.Ref)
	f.replays[ref] = &replaying{subscriber: s.subscriber.Ref, id: s.id, snapshot: o.Rows != nil, track: o.Track, answer: answer}
	return nil
}

// begin passes a Begin on.
func (f *feed) begin(m Begin) {
	if s := f.registry.subscribers[m.Subscriber][m.SubscriptionID]; s != nil && !s.replay.IsZero() {
		// One that has ended has nothing to send.
		_ = s.replay.Tell(replay.Begin{})
	}
}

// recast puts a subscription that goes on under another caller.
func (f *feed) recast(c *kernel.Context, old, s *subscription) error {
	changed := old.subscriber.Caller.Identity() != s.subscriber.Caller.Identity()
	s.rows, s.replay = old.rows, old.replay
	s.stale = old.stale
	f.registry.add(s)
	if s.replay.IsZero() {
		s.stale = s.stale || changed && s.rows != nil
		if err := f.attach(c, s); err != nil {
			return err
		}
		f.repair(c, s)
		return nil
	}
	r := f.replays[s.replay]
	if !changed || r == nil {
		return nil
	}
	r.recasts++
	// One that has ended is told to us in a moment.
	_ = s.replay.Tell(replay.Recast{Subscriber: s.subscriber})
	if r.attached {
		return f.follow(c, s, s.replay, nil)
	}
	return nil
}

// ready answers whoever subscribed.
func (f *feed) ready(m replay.Ready) {
	r, s := f.replayed(m.Replay)
	if s == nil || r.answer == nil {
		return
	}
	answer := r.answer
	r.answer = nil
	begun := s.subscribed()
	begun.Snapshot, begun.Waits = r.snapshot, true
	begun.Cursor = f.seal(s, m.At, m.Signature)
	answer(begun, nil)
}

// wantAttach notes how far the feed has to read for a replay.
func (f *feed) wantAttach(c *kernel.Context, m replay.Attach) {
	r, _ := f.replayed(m.Replay)
	if r == nil {
		return
	}
	r.attach = &m.At
	f.attaching[m.Replay] = r
	if f.attachReplays(c); r.attach != nil {
		f.rung(c)
	}
}

// attachReplays lets the tables send to the replays for which the feed has read far
// enough, from here on.
func (f *feed) attachReplays(c *kernel.Context) {
	if f.state != open || !f.at.Reading.IsZero() {
		return // in the middle of a snapshot: nothing says in short what was read
	}
	for ref, r := range f.attaching {
		if !r.attach.Seen.Within(f.at.Seen) {
			continue
		}
		delete(f.attaching, ref)
		r.attach = nil
		_, s := f.replayed(ref)
		if s == nil {
			continue
		}
		var shown *table.Shown
		if r.track {
			shown = table.NewNotes()
		}
		if err := f.follow(c, s, ref, shown); err != nil {
			f.failReplay(c, ref, err)
			continue
		}
		r.attached = true
		// One that has ended is told to us in a moment.
		_ = ref.Tell(replay.Attached{Until: f.at.Seen, Table: f.tables[s.tableID].ref})
	}
}

// live puts the subscriber into its replay's place.
func (f *feed) live(c *kernel.Context, m replay.Live) {
	ref := m.Replay
	r, s := f.replayed(ref)
	t := (*child)(nil)
	if s != nil {
		t = f.tables[s.tableID]
	}
	if t == nil {
		return
	}
	delete(f.replays, ref)
	c.Unwatch(ref)
	s.replay = kernel.Ref{}
	of := s.ofTable()
	of.Shown = m.Shown
	if err := t.ref.Tell(table.Replace{Old: ref, Add: table.Add{Subscriber: s.subscriber, Subscription: of}}); err != nil {
		// Nothing comes through the replay any more.
		c.StopChild(ref)
		f.endSubscription(c, s, err)
		return
	}
	if t, ok := f.plan.Table(s.tableID); ok && m.ViewChanged && seesByOthers(t, s.subscriber.Caller) {
		s.stale = true
	}
	// A caller that came when the rows were sent already has none of its own.
	s.stale = s.stale || s.rows != nil && m.Recasts != r.recasts
	f.repair(c, s)
}

// failReplay ends the subscription of a replay that cannot go on.
func (f *feed) failReplay(c *kernel.Context, ref kernel.Ref, err error) {
	r, s := f.replayed(ref)
	if s == nil {
		f.forgetReplay(c, ref)
		return
	}
	if r.answer != nil {
		answer := r.answer
		r.answer = nil
		f.unsubscribe(c, r.subscriber, r.id)
		answer(Subscribed{}, err)
		return
	}
	f.endSubscription(c, s, err)
}

// failReplays ends all of them: the position is lost.
func (f *feed) failReplays(c *kernel.Context, err error) {
	for ref := range f.replays {
		f.failReplay(c, ref, err)
	}
}

// endSubscription ends a subscription that would miss something, and says so.
func (f *feed) endSubscription(c *kernel.Context, s *subscription, err error) {
	n := delivery.Notice{Type: "resume_failed", Code: string(fault.CodeOf(err)), Message: "the subscription ended: " + fault.From(err).Message}
	var gone *delivery.ResumeError
	if errors.As(err, &gone) {
		n.Code, n.Message = gone.Reason, gone.Message
	}
	s.ended(n)
	f.unsubscribe(c, s.subscriber.Ref, s.id)
}

// forgetReplay stops a replay.
func (f *feed) forgetReplay(c *kernel.Context, ref kernel.Ref) {
	if r := f.replays[ref]; r != nil && r.answer != nil {
		defer r.answer(Subscribed{}, fault.New(fault.Canceled, "the subscription was ended or replaced"))
	}
	delete(f.replays, ref)
	delete(f.attaching, ref)
	c.Unwatch(ref)
	c.StopChild(ref)
}

// detach takes a subscription out of wherever it gets its changes from.
func (f *feed) detach(c *kernel.Context, s *subscription) {
	t := f.tables[s.tableID]
	if s.replay.IsZero() {
		if t != nil {
			// One that has ended needs not be told.
			_ = t.ref.Tell(table.Remove{Subscriber: s.subscriber.Ref, ID: s.shown()})
		}
		return
	}
	if t != nil {
		_ = t.ref.Tell(table.Drop{Subscriber: s.replay})
	}
	f.forgetReplay(c, s.replay)
}
