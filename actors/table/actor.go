package table

import (
	"context"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// Props describe the actor of one table. A crash ends it: the feed makes a new
// one and tells the subscribers what they may have missed.
func Props(name string, o Options) kernel.Props {
	return kernel.Props{
		Name:    name,
		New:     func() kernel.Actor { return &actor{options: o, follow: newMembership()} },
		Limit:   1 << 16,
		OnCrash: kernel.Stop,
	}
}

// actor owns who follows the table and what waits for being judged.
type actor struct {
	options Options
	follow  *membership
	// judging: follow is the judgement's until it is done; gone are those whose
	// connections went meanwhile.
	judging bool
	gone    []kernel.Ref
	waiting []any
	stream  delivery.Stream
}

// Receive implements kernel.Actor.
func (a *actor) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case Drop:
		// A connection that is gone need not wait its turn.
		if !a.judging {
			a.follow.drop(m.Subscriber)
			return
		}
		a.gone = append(a.gone, m.Subscriber)
		for i, w := range a.waiting {
			switch w := w.(type) {
			case Add:
				if w.Subscriber.Ref == m.Subscriber {
					a.waiting[i] = nil
				}
			case Replace:
				if w.Subscriber.Ref == m.Subscriber {
					a.waiting[i] = Remove{Subscriber: w.Old, ID: w.Subscription.ID}
					// Nobody needs what still comes to it.
					_ = w.Old.Tell(Replaced{})
				}
			}
		}
	case Add, Replace, Remove, Deliver, Notify, NotifyView, TellPosition:
		if a.judging {
			a.waiting = append(a.waiting, m)
			return
		}
		a.handle(c, m)
	}
}

func (a *actor) handle(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case Add:
		a.follow.add(m)
	case Replace:
		if noted := a.follow.shown(m.Old, m.Subscription.ID); noted != nil && m.Subscription.Shown != nil {
			m.Subscription.Shown.Take(noted.Notes())
		}
		a.follow.drop(m.Old)
		a.follow.add(m.Add)
		// One that has ended gets nothing anyway.
		_ = m.Old.Tell(Replaced{})
	case Remove:
		shown := a.follow.shown(m.Subscriber, m.ID)
		a.follow.remove(m)
		if !m.Then.IsZero() {
			// One that has ended waits for nothing.
			_ = m.Then.Tell(Removed{shown})
		}
	case Notify:
		a.notify(m.Notice)
	case NotifyView:
		a.notifyView(m)
	case TellPosition:
		a.tellPosition(m)
	case Deliver:
		a.deliver(c, m)
	}
}

// deliver judges on another goroutine; what comes meanwhile waits.
func (a *actor) deliver(c *kernel.Context, m Deliver) {
	if m.Broken {
		a.notify(schemaChanged)
	}
	if len(m.Entries) == 0 || len(a.follow.groups) == 0 {
		a.done(c)
		return
	}
	a.judging = true
	log, id, follow := a.options.Log, a.options.ID, a.follow
	c.Go(judgeTimeout, func(ctx context.Context) (any, error) {
		return judge(ctx, log, id, m.Plan, m.Entries, follow)
	}, func(c *kernel.Context, res any, err error) {
		a.judging = false
		for _, ref := range a.gone {
			a.follow.drop(ref)
		}
		a.gone = nil
		a.verdict(c, m.Span, res, err)
		a.done(c)
		for len(a.waiting) > 0 && !a.judging {
			next := a.waiting[0]
			a.waiting = a.waiting[1:]
			a.handle(c, next)
		}
	})
}

func (a *actor) verdict(c *kernel.Context, span changelog.Span, res any, err error) {
	if err != nil {
		c.Logger().Error("changes could not be judged", "error", err)
		f := fault.From(err)
		a.notify(delivery.Notice{Type: "resume_failed", Code: "not_judged", Message: f.Message})
		return
	}
	j := res.(*judged)
	switch {
	case j.gone:
		return // the feed meets the marker and says so
	case j.changed:
		a.notify(schemaChanged)
		return
	}
	a.follow.track(j)
	parcels, err := encode(j, sealer{a.options.Cursors, a.options.ID, span})
	if err != nil {
		c.Logger().Error("changes could not be encoded", "error", err)
		a.notify(delivery.Notice{Type: "resume_failed", Code: "internal", Message: "changes could not be encoded"})
		return
	}
	for _, p := range parcels {
		a.send(p)
	}
}

var schemaChanged = delivery.Notice{Type: "resume_failed", Code: "schema_changed", Message: "the table's columns changed behind changes that were not delivered yet: read the table again"}

// ViewChanged tells that other rows may be visible than those that the changes said.
var ViewChanged = delivery.Notice{Type: "view_changed", Code: "policy_data_changed", Message: "rows that the policies read have changed: read the table again"}

func (a *actor) notifyView(m NotifyView) {
	t, ok := m.Plan.Table(a.options.ID)
	if !ok {
		return
	}
	a.follow.arrange(t)
	for _, g := range a.follow.groups {
		// Policies that are decided in memory read the row and the caller alone.
		if !g.asker.inMemory() && !g.asker.view.Denied {
			if p := notices(g, ViewChanged); p.messages > 0 {
				a.send(p)
			}
		}
	}
}

func (a *actor) notify(n delivery.Notice) {
	for _, g := range a.follow.groups {
		a.send(notices(g, n))
	}
}

// send puts a frame into the rings of its receivers and tells them. Each calls
// Done; for those that are gone it is called here.
func (a *actor) send(p parcel) {
	if len(p.bytes) == 0 {
		return // the dialect has no words for it
	}
	f := &delivery.Frame{Bytes: p.bytes, Messages: p.messages, Reliable: true}
	receivers := 0
	for _, g := range p.receivers {
		receivers += len(g.members)
	}
	f.Track(a.options.Window, receivers)
	for _, g := range p.receivers {
		g.told = true
		if g.ring == nil {
			g.ring = a.stream.Ring()
		}
		link := g.ring.Add(f)
		for ref := range g.members {
			if err := ref.Tell(link); err != nil {
				f.Done()
			}
		}
	}
}

func (a *actor) done(c *kernel.Context) {
	if err := a.options.Feed.Tell(Delivered{Table: a.options.ID, Identities: len(a.follow.askers)}); err != nil && err != kernel.ErrStopped {
		// The feed counts deliveries: without this it would wait for ever.
		c.Logger().Error("the feed does not hear", "error", err)
		c.Stop()
	}
}
