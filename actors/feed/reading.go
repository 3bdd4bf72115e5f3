package feed

import (
	"context"
	"errors"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// rung reads now, or as soon as the read under way is done.
func (f *feed) rung(c *kernel.Context) {
	f.look = firstLook
	f.again = true
	f.read(c)
}

// rest reads again after a while.
func (f *feed) rest(c *kernel.Context, d time.Duration) {
	f.pause.Cancel()
	if f.state != open {
		return
	}
	f.pauses++
	f.pause = c.After(d, wake{f.pauses})
}

// read begins a read, or will when it is time, if nothing forbids it. What forbids it
// ends with a call of read.
func (f *feed) read(c *kernel.Context) (begins bool) {
	if f.state == open && f.window.Full() {
		f.press(c)
		return false
	}
	if f.state != open || f.reading || f.outstanding >= maxOutstanding {
		return false
	}
	if early := pace - time.Since(f.begun); early > 0 && !f.unfinished {
		f.rest(c, early)
		return true
	}
	f.reading, f.again, f.unfinished = true, false, false
	f.begun = time.Now()
	f.pause.Cancel()
	f.pauses++
	log, from, plan, limit := f.options.Log, f.at, f.plan, f.options.Batch
	generation := f.generation
	if time.Since(f.planRead) > planAge {
		plan = nil
	}
	c.Go(readTimeout, func(ctx context.Context) (any, error) { return log.Read(ctx, from, plan, limit) },
		func(c *kernel.Context, res any, err error) {
			f.reading = false
			if f.generation != generation {
				// Closed or begun anew meanwhile: this is not what is wanted any more.
				f.read(c)
				return
			}
			f.haveRead(c, res, err)
		})
	return true
}

func (f *feed) haveRead(c *kernel.Context, res any, err error) {
	switch {
	case errors.Is(err, changelog.ErrTooOld):
		f.restart(c, changelog.ErrTooOld)
		return
	case errors.Is(err, changelog.ErrEpochChanged):
		f.restart(c, changelog.ErrEpochChanged)
		return
	case err != nil:
		c.Logger().Warn("the change log cannot be read", "error", err)
		f.rest(c, retryDelay)
		return
	}
	b := res.(*changelog.Batch)
	f.reads++
	f.entries += uint64(len(b.Entries))
	if len(b.Entries) > 0 {
		f.lag = max(0, time.Since(b.Entries[0].At))
	}
	f.dispatch(c, b)
	f.at, f.unfinished = b.Next, b.More
	f.attachReplays(c)
	switch {
	case b.More || f.again:
		if !f.read(c) {
			// Whatever forbids it may end without a word to us.
			f.rest(c, f.options.Poll)
		}
	case b.Running:
		f.rest(c, f.look)
		f.look = min(2*f.look, lastLook)
	default:
		f.look = firstLook
		f.rest(c, f.options.Poll)
	}
}

// adopt makes a plan the current one.
func (f *feed) adopt(c *kernel.Context, p *changelog.Plan) {
	if p == nil {
		return
	}
	f.plan, f.planRead = p, time.Now()
	for id, t := range p.Tables() {
		if _, known := f.signatures[id]; !known {
			f.signatures[id] = t.Signature
		}
	}
	for id := range f.signatures {
		if _, enabled := p.Table(id); !enabled {
			delete(f.signatures, id)
			f.disabled(c, id)
		}
	}
	if !f.anew {
		f.spread(c)
	}
}

// dispatch hands the entries of a batch to their tables. An entry can be judged
// when its table had the columns that the plan has.
func (f *feed) dispatch(c *kernel.Context, b *changelog.Batch) {
	f.adopt(c, b.Plan)
	if f.state != open {
		return // the last subscription was to a table that was disabled
	}
	deliveries, touched := map[int32]*table.Deliver{}, map[int32]bool{}
	to := func(id int32) *table.Deliver {
		if f.tables[id] == nil {
			return nil
		}
		d := deliveries[id]
		if d == nil {
			d = &table.Deliver{Plan: f.plan, Span: b.Span}
			deliveries[id] = d
		}
		return d
	}
	for _, e := range b.Entries {
		if e.Type == changelog.Marker {
			mark, err := e.Mark()
			if err != nil {
				c.Logger().Error("a marker cannot be read", "error", err)
				continue
			}
			for id, signature := range mark.Columns {
				f.signatures[id] = signature
			}
			continue
		}
		touched[e.Table] = true
		d := to(e.Table)
		if d == nil {
			continue
		}
		if t, ok := f.plan.Table(e.Table); !ok {
			continue
		} else if f.signatures[e.Table] != t.Signature {
			d.Broken, d.Entries = true, nil
			continue
		}
		d.Entries = append(d.Entries, e)
	}
	// Without an event trigger there are no markers: what the plan says holds when
	// all that its snapshot saw is read.
	if f.plan.Unmarked && b.Next.Reading.IsZero() {
		for id, t := range f.plan.Tables() {
			f.signatures[id] = t.Signature
		}
	}
	for id, d := range deliveries {
		f.deliver(c, id, *d)
	}
	f.viewsChanged(c, touched)
}

func (f *feed) deliver(c *kernel.Context, id int32, d table.Deliver) {
	t := f.tables[id]
	if err := t.ref.Tell(d); err != nil {
		// It is about to be gone, and what happens then is done in terminated.
		c.Logger().Error("changes cannot be handed over", "table", id, "error", err)
		c.StopChild(t.ref)
		return
	}
	t.outstanding++
	f.outstanding++
}

func (f *feed) delivered(c *kernel.Context, m table.Delivered) {
	id := m.Table
	t := f.tables[id]
	if t == nil || t.outstanding == 0 {
		return
	}
	t.identities = m.Identities
	t.outstanding--
	f.outstanding--
	f.dropIfUnused(c, id)
	if f.outstanding == maxOutstanding-1 {
		f.read(c)
	}
}

// dropIfUnused ends the actor of a table that nobody follows and that has nothing
// to do.
func (f *feed) dropIfUnused(c *kernel.Context, id int32) {
	if t := f.tables[id]; t != nil && t.outstanding == 0 && f.registry.tables[id] == 0 {
		f.drop(c, id)
	}
}

// drop ends a table's actor.
func (f *feed) drop(c *kernel.Context, id int32) {
	t := f.tables[id]
	if t == nil {
		return
	}
	delete(f.tables, id)
	f.outstanding -= t.outstanding
	c.Unwatch(t.ref)
	c.StopChild(t.ref)
}

// child gives the actor of a table, which is made if need be.
func (f *feed) child(c *kernel.Context, id int32) (*child, error) {
	if t := f.tables[id]; t != nil {
		return t, nil
	}
	ref, err := c.Spawn(table.Props("", table.Options{ID: id, Log: f.options.Log, Cursors: f.options.Cursors, Window: f.window, Feed: c.Self()}))
	if err != nil {
		return nil, err
	}
	c.Watch(ref)
	f.tables[id] = &child{ref: ref}
	return f.tables[id], nil
}

// terminated is the end of a connection, or the crash of a table's actor.
func (f *feed) terminated(c *kernel.Context, ref kernel.Ref) {
	for id, t := range f.tables {
		if t.ref != ref {
			continue
		}
		delete(f.tables, id)
		f.outstanding -= t.outstanding
		f.registry.each(id, func(s *subscription) {
			if !s.replay.IsZero() {
				if f.replays[s.replay].attached {
					f.failReplay(c, s.replay, fault.New(fault.InternalError, "the delivery of changes failed"))
				}
				return
			}
			s.notify(delivery.Notice{Type: "resume_failed", Code: "internal", Message: "the delivery of changes failed: changes may be missing"})
			f.reattach(c, s)
		})
		f.read(c)
		return
	}
	if f.replays[ref] != nil {
		f.failReplay(c, ref, fault.New(fault.InternalError, "changes may be missing"))
		return
	}
	f.gone(c, ref)
}

// disabled ends the subscriptions to a table that is not enabled any more.
func (f *feed) disabled(c *kernel.Context, id int32) {
	f.registry.each(id, func(s *subscription) {
		if r := f.replays[s.replay]; r != nil && r.answer != nil {
			f.failReplay(c, s.replay, fault.New(fault.RealtimeNotEnabled, notEnabled(s).Message))
			return
		}
		s.ended(notEnabled(s))
		f.registry.remove(s.subscriber.Ref, s.id)
		if !s.replay.IsZero() {
			f.detach(c, s)
		}
	})
	f.drop(c, id)
	f.ifUnused()
}

// lost tells every subscription that changes are missing.
func (f *feed) lost(n delivery.Notice) {
	for _, all := range f.registry.subscribers {
		for _, s := range all {
			if s.of == "" {
				s.notify(n)
			}
		}
	}
	for _, all := range f.registry.wildcards {
		for _, w := range all {
			w.notify(n)
		}
	}
}

// ifUnused stops reading when nobody is subscribed.
func (f *feed) ifUnused() {
	if f.registry.empty() && f.state == open {
		f.close()
	}
}
