package presence

import (
	"context"
	"crypto/rand"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Bounds and pauses of a room's actor.
const (
	maxPending = 8192
	maxBatch   = 256
	idleAfter  = 30 * time.Second
	// calmRoom is the number of states up to which every change is told at once;
	// beyond it rounds of events are at least a millisecond per state apart (at
	// most maxPause): a sync costs bytes in proportion to the room.
	calmRoom = 50
	maxPause = 250 * time.Millisecond
)

// local is a room on one node: its copy, its watchers, and what the node's own
// connections track.
type local struct {
	key      Key
	router   *routerShared
	copy     replica
	audience audience
	holdings *holdings

	waiting []delivery.Subscriber // for their first sync
	pending []pending             // steps that the home does not know of

	// busy: a question that changes what the home knows of this node is on its
	// way. There is one at a time: two could overtake each other.
	busy         bool
	announceNext bool
	keeping      bool
	withdrawn    bool

	steps    []Change // not told to watchers yet
	pausing  bool
	lastEmit time.Time

	handled uint64
	quiet   time.Time
}

// pending is a step that waits for the home's answer.
type pending struct {
	step  Change
	owner kernel.Ref // zero when nobody waits for Tracked
	ref   string     // of the Track
}

func newLocal(key Key, router *routerShared) *local {
	return &local{
		key: key, router: router, copy: replica{roster: newRoster()}, audience: audience{},
		holdings: newHoldings(), withdrawn: true,
	}
}

// Receive handles what connections, the router and homes say.
func (l *local) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		l.quiet = time.Now()
		c.After(renewEvery, renew{})
	case kernel.Stopping:
		l.stop()
	case kernel.Terminated:
		l.terminated(c, m.Ref)
	case forwarded:
		l.handled++
		l.quiet = time.Now()
		l.handle(c, m.msg)
	case renew:
		l.renew(c)
	case graceOver:
		l.copy.merging = false
		l.announce(c)
	case emitNow:
		l.pausing = false
		l.emit(c)
	}
}

func (l *local) handle(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case Watch:
		l.watch(c, m.Subscriber)
	case Track:
		l.track(c, m)
	case Untrack:
		l.untrack(c, m.Owner, m.Key)
	case Leave:
		l.leave(c, m.Owner, m.Cut)
	case *changed:
		steps, behind := l.copy.take(m)
		l.note(c, steps)
		if behind && !l.withdrawn {
			l.announce(c)
		}
	case membersChanged:
		if !l.withdrawn {
			l.announce(c)
		}
	}
}

func (l *local) watch(c *kernel.Context, s delivery.Subscriber) {
	if l.copy.known && !l.withdrawn {
		l.greet(s)
		return
	}
	l.waiting = append(l.waiting, s)
	l.announce(c)
}

// greet makes a connection a watcher and sends it the present state. Steps that
// watchers were not told yet are in that state already; a newcomer gets their
// events on top, which is harmless: a sync with the whole state ends them.
func (l *local) greet(s delivery.Subscriber) {
	state := &delivery.Presence{Channel: l.key.Channel, Private: l.key.Private, Initial: true, State: l.copy.roster.state}
	if s.Ref.Tell(encode(s.Codec, state)) == nil {
		l.audience[s.Ref] = s
	}
}

func (l *local) track(c *kernel.Context, t Track) {
	c.Watch(t.Owner)
	step := l.holdings.track(t, l.router.node, rand.Text()[:16])
	l.queue(c, pending{step: step, owner: t.Owner, ref: t.Ref})
}

func (l *local) untrack(c *kernel.Context, owner kernel.Ref, key string) {
	if step, ok := l.holdings.untrack(owner, key); ok {
		l.queue(c, pending{step: step})
	}
}

// terminated hears that an owner's actor has ended. What the owner said before that
// may still be at the router, which says better how it ended.
func (l *local) terminated(c *kernel.Context, owner kernel.Ref) {
	cut := Leave{Room: l.key, Owner: owner, Cut: true}
	if l.router.self.Tell(cut) != nil {
		l.leave(c, owner, true)
	}
}

func (l *local) leave(c *kernel.Context, owner kernel.Ref, cut bool) {
	delete(l.audience, owner)
	for i, s := range l.waiting {
		if s.Ref == owner {
			l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
			break
		}
	}
	for _, step := range l.holdings.leave(owner, cut) {
		l.queue(c, pending{step: step})
	}
}

func (l *local) queue(c *kernel.Context, p pending) {
	if len(l.pending) >= maxPending && p.step.New != nil {
		l.answer(p, fault.New(fault.Overloaded, "this room takes no more presences now").WithRetryAfter(time.Second))
		return
	}
	l.pending = append(l.pending, p)
	l.flush(c)
}

func (l *local) answer(p pending, err error) {
	if !p.owner.IsZero() {
		// An owner that cannot take this is closing.
		_ = p.owner.Tell(Tracked{Room: l.key, Key: p.step.New.Key, Ref: p.ref, Err: err})
	}
}

// flush asks the next question, if there is one and none is on its way.
func (l *local) flush(c *kernel.Context) {
	switch {
	case l.busy:
	case l.announceNext:
		l.announceNext = false
		l.sendAnnouncement(c)
	case len(l.pending) == 0:
	case l.withdrawn || !l.copy.known:
		// Watchers must be there first, or the tracker would miss its own join.
		l.sendAnnouncement(c)
	default:
		l.sendSteps(c)
	}
}

func (l *local) sendSteps(c *kernel.Context) {
	n := min(len(l.pending), maxBatch)
	batch := l.pending[:n:n]
	l.pending = l.pending[n:]
	question := &apply{Steps: make([]Change, n)}
	for i, p := range batch {
		question.Steps[i] = p.step
	}
	l.busy = true
	l.ask(c, question, func(c *kernel.Context, res kernel.Wire, err error) {
		l.busy = false
		answer, ok := res.(*applied)
		if err == nil && (!ok || len(answer.Codes) != n || len(answer.Refs) != n) {
			err = fault.New(fault.InternalError, "unexpected answer of a room's home")
		}
		l.settle(c, batch, answer, err)
		l.flush(c)
	})
}

// settle notes what the home took. After a failure nobody knows; the next
// announcement makes the home's view equal to ours.
func (l *local) settle(c *kernel.Context, batch []pending, answer *applied, err error) {
	for i, p := range batch {
		switch {
		case err != nil:
			l.holdings.settle(p.step, "")
			l.answer(p, fault.From(err))
		case answer.Codes[i] != "":
			l.answer(p, fault.Newf(fault.Code(answer.Codes[i]), "too many presences in channel %s", l.key.Channel))
		default:
			l.holdings.settle(p.step, answer.Refs[i])
			l.answer(p, nil)
		}
	}
	if err != nil {
		c.Logger().Warn("presence home not reached", "room", l.key.String(), "error", err)
		l.announce(c)
	}
}

func (l *local) ask(c *kernel.Context, q kernel.Wire, then func(*kernel.Context, kernel.Wire, error)) {
	c.Go(askTimeout, func(ctx context.Context) (any, error) {
		return l.router.placement.AskHome(ctx, Kind, l.key.String(), q)
	}, func(c *kernel.Context, res any, err error) {
		answer, _ := res.(kernel.Wire)
		then(c, answer, err)
	})
}

// announce makes the next question one that tells the home everything of this
// node and takes its state.
func (l *local) announce(c *kernel.Context) {
	l.announceNext = true
	l.flush(c)
}

func (l *local) sendAnnouncement(c *kernel.Context) {
	l.busy, l.withdrawn = true, false
	question := &announce{Metas: l.holdings.taken.sorted(), Epoch: l.copy.epoch, Lingering: l.copy.lingering()}
	l.ask(c, question, func(c *kernel.Context, res kernel.Wire, err error) {
		l.busy = false
		if answer, ok := res.(*state); ok && err == nil {
			l.adopt(c, answer)
		} else {
			l.unreached(c, err)
		}
		l.flush(c)
	})
}

// unreached answers those who wait for a home that could not be asked. Watchers
// stay: the next renewal of the lease tries again.
func (l *local) unreached(c *kernel.Context, err error) {
	c.Logger().Warn("presence home not reached", "room", l.key.String(), "error", err)
	l.withdrawn = l.withdrawn || !l.copy.known
	if l.copy.known {
		return
	}
	waiting := l.pending
	l.pending = nil
	for _, p := range waiting {
		l.answer(p, fault.From(err))
	}
}

func (l *local) adopt(c *kernel.Context, s *state) {
	merging := l.copy.merging
	if l.copy.stale(s) {
		l.announceNext = true
	}
	l.note(c, l.copy.reset(s))
	if l.copy.merging && !merging {
		c.After(grace, graceOver{})
	}
	waiting := l.waiting
	l.waiting = nil
	for _, w := range waiting {
		l.greet(w)
	}
}

// note remembers steps for the watchers and tells them, unless the room is
// large and was told something a moment ago.
func (l *local) note(c *kernel.Context, steps []Change) {
	if len(steps) == 0 {
		return
	}
	l.steps = append(l.steps, steps...)
	if l.pausing {
		return
	}
	if n := l.copy.roster.len(); n > calmRoom {
		if wait := min(time.Duration(n)*time.Millisecond, maxPause) - time.Since(l.lastEmit); wait > 0 {
			l.pausing = true
			c.After(wait, emitNow{})
			return
		}
	}
	l.emit(c)
}

func (l *local) emit(*kernel.Context) {
	steps := l.steps
	l.steps = nil
	l.lastEmit = time.Now()
	if len(l.audience) == 0 {
		return
	}
	if joins, leaves := difference(steps); len(joins)+len(leaves) > 0 {
		l.audience.tell(&delivery.Presence{
			Channel: l.key.Channel, Private: l.key.Private,
			Joins: joins, Leaves: leaves, State: l.copy.roster.state,
		})
	}
}

func (l *local) renew(c *kernel.Context) {
	c.After(renewEvery, renew{})
	if l.busy || l.keeping || len(l.pending) > 0 {
		return
	}
	switch {
	case len(l.audience) > 0 || len(l.holdings.owners) > 0 || len(l.waiting) > 0:
		l.keep(c)
	case !l.withdrawn:
		l.withdraw(c)
	case time.Since(l.quiet) > idleAfter:
		// The router decides: it knows whether something is on its way here.
		_ = l.router.self.Tell(idle{room: l.key, handled: l.handled})
	}
}

func (l *local) withdraw(c *kernel.Context) {
	l.busy, l.withdrawn = true, true
	l.ask(c, &withdraw{}, func(c *kernel.Context, _ kernel.Wire, err error) {
		l.busy = false
		if err != nil {
			// The lease ends by itself.
			c.Logger().Debug("withdrawal from presence home failed", "room", l.key.String(), "error", err)
		}
		l.flush(c)
	})
}

func (l *local) keep(c *kernel.Context) {
	if !l.copy.known || l.withdrawn {
		l.announce(c)
		return
	}
	l.keeping = true
	question := &keep{Epoch: l.copy.epoch, Seq: l.copy.seq, Metas: l.holdings.taken.len()}
	l.ask(c, question, func(c *kernel.Context, res kernel.Wire, err error) {
		l.keeping = false
		if answer, ok := res.(*kept); err != nil || !ok || !answer.Same {
			l.announce(c)
		}
	})
}

// stop tells everybody here that the room's actor is gone; there is nobody when
// it stops because it was idle.
func (l *local) stop() {
	told := map[kernel.Ref]bool{}
	for ref := range l.audience {
		told[ref] = true
	}
	for ref := range l.holdings.owners {
		told[ref] = true
	}
	for _, s := range l.waiting {
		told[s.Ref] = true
	}
	for ref := range told {
		_ = ref.Tell(Ended{Room: l.key})
	}
}
