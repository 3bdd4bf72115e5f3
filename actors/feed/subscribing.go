package feed

import (
	"context"
	"maps"
	"slices"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// subscribe checks what is asked for against the plan of this moment.
func (f *feed) subscribe(c *kernel.Context, m Subscribe) {
	switch m.Event {
	case "":
		m.Event = table.Any
	case "INSERT", "UPDATE", "DELETE", table.Any:
	default:
		c.Fail(fault.Newf(fault.InvalidInput, "unknown event %q", m.Event).WithHint("Events are INSERT, UPDATE, DELETE and *."))
		return
	}
	if m.Schema == "" {
		m.Schema = "public"
	}
	s := &subscription{
		id: m.SubscriptionID, subscriber: m.Subscriber, schema: m.Schema, table: m.Table, event: m.Event,
		filter: m.Filter, filterKey: conditionKey(m.Filter), filterText: m.FilterText, columns: m.Columns, rows: m.Snapshot,
	}
	request := c.Request()
	answer := func(begun Subscribed, err error) {
		if request == nil {
			return
		}
		if err != nil {
			request.Fail(err)
			f.ifUnused()
			return
		}
		request.Reply(begun)
	}
	f.whenOpen(c, func(c *kernel.Context, err error) {
		if err != nil {
			answer(Subscribed{}, fault.New(fault.ServiceUnavailable, "changes cannot be followed right now").WithCause(err))
			return
		}
		if m.Table == Every || m.Schema == Every {
			answer(f.followEvery(c, m))
			return
		}
		f.admit(c, s, true, func(c *kernel.Context, err error) {
			if err != nil {
				answer(Subscribed{}, err)
				return
			}
			f.enter(c, s, m, answer)
		})
	})
}

// admit tells whether the table is enabled and the caller may have what it asks for.
// refresh allows for one look at the plan of this moment.
func (f *feed) admit(c *kernel.Context, s *subscription, refresh bool, then func(*kernel.Context, error)) {
	t, ok := f.plan.Named(s.schema, s.table)
	if !ok {
		if !refresh {
			then(c, fault.Newf(fault.RealtimeNotEnabled, "table %s.%s not enabled for realtime", s.schema, s.table))
			return
		}
		f.refreshed(c, func(c *kernel.Context, err error) {
			if err != nil {
				then(c, err)
				return
			}
			f.admit(c, s, false, then)
		})
		return
	}
	if err := permitted(t, s); err != nil {
		then(c, err)
		return
	}
	s.tableID = t.ID
	if s.filter == nil {
		then(c, nil)
		return
	}
	log := f.options.Log
	c.Go(readTimeout, func(ctx context.Context) (any, error) {
		return nil, log.CheckValues(ctx, t, s.subscriber.Caller, s.filter)
	}, func(c *kernel.Context, _ any, err error) {
		if err != nil {
			then(c, err)
			return
		}
		f.whenOpen(c, then)
	})
}

// permitted tells whether the subscriber may read what it asks for.
func permitted(t *changelog.Table, s *subscription) error {
	role := s.subscriber.Caller.DatabaseRole()
	if t.View(role).Denied {
		return fault.Newf(fault.InsufficientPermissions, "permission denied for table %s", t.Name)
	}
	if err := t.CheckColumns(role, s.columns); err != nil {
		return err
	}
	return t.CheckFilter(role, s.filter)
}

// refreshed reads the plan of this moment.
func (f *feed) refreshed(c *kernel.Context, then func(c *kernel.Context, err error)) {
	log := f.options.Log
	c.Go(readTimeout, func(ctx context.Context) (any, error) {
		_, plan, err := log.Now(ctx)
		return plan, err
	}, func(c *kernel.Context, res any, err error) {
		if err != nil {
			then(c, err)
			return
		}
		plan := res.(*changelog.Plan)
		f.whenOpen(c, func(c *kernel.Context, err error) {
			if err == nil && plan.Newer(f.plan) {
				f.adopt(c, plan)
				f.whenOpen(c, then) // it may have disabled the last subscription
				return
			}
			then(c, err)
		})
	})
}

// enter puts a subscription in. Without a cursor and rows every change reaches it
// from here on.
func (f *feed) enter(c *kernel.Context, s *subscription, m Subscribe, answer func(Subscribed, error)) {
	if _, enabled := f.plan.Table(s.tableID); !enabled {
		answer(Subscribed{}, fault.Newf(fault.RealtimeNotEnabled, "table %s.%s not enabled for realtime", s.schema, s.table))
		return
	}
	if s.id == "" {
		for ordinal := 0; s.id == "" || f.registry.subscribers[s.subscriber.Ref][s.id] != nil; ordinal++ {
			s.id = ID(s.schema, s.table, s.event, s.filter, ordinal)
		}
	}
	old := f.registry.subscribers[s.subscriber.Ref][s.id]
	var err error
	switch {
	case m.Again && (old == nil || old.tableID != s.tableID):
		err = fault.New(fault.NotFound, "the subscription has ended")
	case m.Again:
		err = f.recast(c, old, s)
	case m.Cursor != "" || m.Snapshot != nil:
		f.resume(c, s, m.Cursor, answer)
		return
	default:
		if old != nil {
			f.detach(c, old)
		}
		f.registry.add(s)
		c.Watch(s.subscriber.Ref)
		err = f.attach(c, s)
	}
	if err != nil {
		answer(Subscribed{}, err)
		return
	}
	begun := s.subscribed()
	begun.Cursor = f.seal(s, f.at, f.signatures[s.tableID])
	answer(begun, nil)
}

// attach tells the table's actor of a subscription.
func (f *feed) attach(c *kernel.Context, s *subscription) error {
	err := f.follow(c, s, s.subscriber.Ref, nil)
	if err != nil {
		f.registry.remove(s.subscriber.Ref, s.id)
	}
	return err
}

// follow lets the table's actor send a subscription's changes to receiver, and keep
// shown.
func (f *feed) follow(c *kernel.Context, s *subscription, receiver kernel.Ref, shown *table.Shown) error {
	t, err := f.child(c, s.tableID)
	if err != nil {
		return err
	}
	subscriber := s.subscriber
	subscriber.Ref = receiver
	of := s.ofTable()
	of.Shown = shown
	return t.ref.Tell(table.Add{Subscriber: subscriber, Subscription: of})
}

// reattach is attach for a subscription that was acknowledged: when it fails the
// subscriber is told.
func (f *feed) reattach(c *kernel.Context, s *subscription) {
	if err := f.attach(c, s); err != nil {
		s.ended(delivery.Notice{Type: "error", Code: string(fault.CodeOf(err)), Message: "the subscription ended: " + fault.From(err).Message})
	}
}

// resubscribe takes everybody in again after the position was lost.
func (f *feed) resubscribe(c *kernel.Context) {
	for _, s := range f.registry.all() {
		t, ok := f.plan.Named(s.schema, s.table)
		if !ok || s.of != "" && t.ID != s.tableID {
			s.ended(notEnabled(s))
			f.unsubscribe(c, s.subscriber.Ref, s.id)
			continue
		}
		if !s.replay.IsZero() {
			f.endSubscription(c, s, fault.New(fault.InternalError, "changes may be missing"))
			continue
		}
		if f.tables[s.tableID] != nil && t.ID == s.tableID {
			continue // its actor still has it
		}
		moved := *s
		moved.tableID = t.ID
		f.registry.add(&moved)
		f.reattach(c, &moved)
	}
	f.spread(c)
}

func notEnabled(s *subscription) delivery.Notice {
	return delivery.Notice{Type: "error", Code: string(fault.RealtimeNotEnabled), Message: "table " + s.schema + "." + s.table + " not enabled for realtime"}
}

func (f *feed) unsubscribe(c *kernel.Context, ref kernel.Ref, id string) {
	if id == "" {
		for one := range f.registry.wildcards[ref] {
			f.dropEvery(c, ref, one)
		}
		for one := range f.registry.subscribers[ref] {
			f.unsubscribe(c, ref, one)
		}
		return
	}
	if f.registry.wildcards[ref][id] != nil {
		f.dropEvery(c, ref, id)
		return
	}
	s := f.registry.remove(ref, id)
	if s == nil {
		return
	}
	f.detach(c, s)
	f.dropIfUnused(c, s.tableID)
	if !f.registry.knows(ref) {
		c.Unwatch(ref)
	}
	f.ifUnused()
}

// reidentify puts the connection's subscriptions under another caller.
func (f *feed) reidentify(c *kernel.Context, m Reidentify) {
	var refused error
	for _, s := range slices.Collect(maps.Values(f.registry.subscribers[m.Subscriber.Ref])) {
		changed := *s
		changed.subscriber = m.Subscriber
		err := fault.New(fault.ServiceUnavailable, "changes cannot be followed right now")
		if f.state == open {
			if t, ok := f.plan.Table(s.tableID); ok {
				if denied := permitted(t, &changed); denied == nil {
					if denied = f.recast(c, s, &changed); denied == nil {
						continue
					}
				} else {
					err = fault.From(denied)
				}
			}
		}
		f.unsubscribe(c, m.Subscriber.Ref, s.id)
		refused = err
	}
	if refused != nil {
		c.Fail(refused)
		return
	}
	c.Reply(struct{}{})
}

// gone forgets a connection.
func (f *feed) gone(c *kernel.Context, ref kernel.Ref) {
	delete(f.registry.wildcards, ref)
	told := map[int32]bool{}
	for id, s := range f.registry.subscribers[ref] {
		f.registry.remove(ref, id)
		if !s.replay.IsZero() {
			f.detach(c, s)
		} else if t := f.tables[s.tableID]; t != nil && !told[s.tableID] {
			told[s.tableID] = true
			_ = t.ref.Tell(table.Drop{Subscriber: ref})
		}
		f.dropIfUnused(c, s.tableID)
	}
	c.Unwatch(ref)
	f.ifUnused()
}
