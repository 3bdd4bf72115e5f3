package feed

import (
	"strconv"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// Every stands for all tables, or all schemas, of a Subscribe.
const Every = "*"

// wildcard is a subscription to every enabled table of a schema, or of all, that its
// caller may read: to each of them with a subscription of its own, under the id of the
// whole. Tables that are enabled later are followed from then on.
type wildcard struct {
	id         string
	subscriber delivery.Subscriber
	schema     string
	event      string
}

func (w *wildcard) covers(t *changelog.Table) bool { return w.schema == Every || w.schema == t.Schema }

// part is the wildcard's subscription to one table.
func (w *wildcard) part(t *changelog.Table) *subscription {
	return &subscription{
		id: w.id + "\x00" + strconv.Itoa(int(t.ID)), of: w.id,
		subscriber: w.subscriber, schema: t.Schema, table: t.Name, event: w.event, tableID: t.ID,
	}
}

// notify sends a notice about the whole.
func (w *wildcard) notify(n delivery.Notice) {
	whole := subscription{id: w.id, subscriber: w.subscriber}
	whole.notify(n)
}

// wildcards are those of each connection by their ids.
type wildcards map[kernel.Ref]map[string]*wildcard

func (all wildcards) add(w *wildcard) {
	if all[w.subscriber.Ref] == nil {
		all[w.subscriber.Ref] = map[string]*wildcard{}
	}
	all[w.subscriber.Ref][w.id] = w
}

func (all wildcards) remove(ref kernel.Ref, id string) {
	if delete(all[ref], id); len(all[ref]) == 0 {
		delete(all, ref)
	}
}

// followEvery subscribes to whatever the wildcard covers.
func (f *feed) followEvery(c *kernel.Context, m Subscribe) (Subscribed, error) {
	switch {
	case m.Table != Every:
		return Subscribed{}, fault.New(fault.InvalidInput, "all schemas can only be followed with all their tables")
	case m.Filter != nil:
		return Subscribed{}, fault.New(fault.InvalidInput, "a filter needs a table")
	case m.Cursor != "" || m.Snapshot != nil:
		return Subscribed{}, fault.New(fault.InvalidInput, "rows and changes from a cursor need a table")
	}
	w := &wildcard{id: m.SubscriptionID, subscriber: m.Subscriber, schema: m.Schema, event: m.Event}
	if w.id == "" {
		for ordinal := 0; w.id == "" || f.registry.wildcards[w.subscriber.Ref][w.id] != nil; ordinal++ {
			w.id = ID(m.Schema, m.Table, m.Event, nil, ordinal)
		}
	}
	if m.Again && f.registry.wildcards[w.subscriber.Ref][w.id] == nil {
		return Subscribed{}, fault.New(fault.NotFound, "the subscription has ended")
	}
	f.registry.wildcards.add(w)
	c.Watch(w.subscriber.Ref)
	for _, t := range f.plan.Tables() {
		if !w.covers(t) {
			continue
		}
		if err := f.followPart(c, w, t, m.Again); err != nil {
			f.unsubscribe(c, w.subscriber.Ref, w.id)
			return Subscribed{}, err
		}
	}
	return Subscribed{ID: w.id, Schema: m.Schema, Table: m.Table, Event: m.Event}, nil
}

// followPart makes the wildcard's subscription to a table what its caller may have.
// again tells that the caller may be another one than before.
func (f *feed) followPart(c *kernel.Context, w *wildcard, t *changelog.Table, again bool) error {
	s := w.part(t)
	old := f.registry.subscribers[s.subscriber.Ref][s.id]
	denied := t.View(s.subscriber.Caller.DatabaseRole()).Denied
	switch {
	case denied && old != nil:
		f.unsubscribe(c, s.subscriber.Ref, s.id)
		return nil
	case denied, old != nil && !again:
		return nil
	case old != nil:
		return f.recast(c, old, s)
	default:
		f.registry.add(s)
		return f.attach(c, s)
	}
}

// spread follows what the plan has and the wildcards do not follow yet.
func (f *feed) spread(c *kernel.Context) {
	for _, all := range f.registry.wildcards {
		for _, w := range all {
			for _, t := range f.plan.Tables() {
				if !w.covers(t) {
					continue
				}
				if err := f.followPart(c, w, t, false); err != nil {
					w.notify(delivery.Notice{
						Type: "error", Code: string(fault.CodeOf(err)),
						Message: "table " + t.Schema + "." + t.Name + " is not followed: " + fault.From(err).Message,
					})
				}
			}
		}
	}
}

// dropEvery ends a wildcard and its parts.
func (f *feed) dropEvery(c *kernel.Context, ref kernel.Ref, id string) {
	f.registry.wildcards.remove(ref, id)
	for _, s := range f.registry.subscribers[ref] {
		if s.of == id {
			f.unsubscribe(c, ref, s.id)
		}
	}
	if !f.registry.knows(ref) {
		c.Unwatch(ref)
	}
	f.ifUnused()
}
