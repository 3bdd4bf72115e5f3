package feed

import (
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// subscription is one subscription of one connection.
type subscription struct {
	id string
	// of is the id of the wildcard that the subscription is a part of, which is all
	// that the subscriber knows; empty for others.
	of         string
	subscriber delivery.Subscriber
	schema     string
	table      string
	event      string
	filter     query.Condition
	filterKey  string
	filterText string
	columns    []string
	tableID    int32
	// replay brings the subscription to the present; zero when it is live.
	replay kernel.Ref
	// rows is set when it began with rows. stale: they are not what the caller may
	// see any more, and are to be sent again.
	rows  *delivery.SnapshotRequest
	stale bool
}

// shown is the id that the subscriber knows.
func (s *subscription) shown() string {
	if s.of != "" {
		return s.of
	}
	return s.id
}

// ofTable is the subscription as its table knows it.
func (s *subscription) ofTable() table.Subscription {
	return table.Subscription{ID: s.shown(), Event: s.event, Filter: s.filter, FilterText: s.filterKey, Scope: s.scope(), Repairs: s.rows != nil}
}

// subscribed is the answer to whoever subscribed, without a cursor.
func (s *subscription) subscribed() Subscribed {
	return Subscribed{ID: s.id, Schema: s.schema, Table: s.table, Event: s.event, Filter: s.filterText}
}

// notify sends a notice about the subscription.
func (s *subscription) notify(n delivery.Notice) {
	n.SubscriptionID = s.shown()
	f := &delivery.Frame{Bytes: s.subscriber.Codec.AppendNotice(nil, &n), Messages: 1, Reliable: true}
	// A connection that is gone needs no notice.
	_ = s.subscriber.Ref.Tell(f)
}

// ended tells the subscriber why the subscription is over. A part of a wildcard is
// only one table fewer.
func (s *subscription) ended(n delivery.Notice) {
	if s.of != "" {
		if n.Code != string(fault.RealtimeNotEnabled) {
			s.notify(n)
		}
		return
	}
	// Before the client knows, so that it finds its id free. A connection that
	// takes no message is about to end.
	_ = s.subscriber.Ref.Tell(delivery.SubscriptionEnded{ID: s.id})
	s.notify(n)
}

// registry is who is subscribed to what. It outlives a crash of the feed.
type registry struct {
	subscribers map[kernel.Ref]map[string]*subscription
	tables      map[int32]int
	count       int
	withRows    int // began with rows
	wildcards   wildcards
}

func (r *registry) empty() bool { return r.count == 0 && len(r.wildcards) == 0 }

// knows tells whether a connection has any subscription.
func (r *registry) knows(ref kernel.Ref) bool {
	return r.subscribers[ref] != nil || r.wildcards[ref] != nil
}

func (r *registry) add(s *subscription) {
	r.remove(s.subscriber.Ref, s.id)
	if r.tables == nil {
		r.tables = map[int32]int{}
	}
	if r.subscribers[s.subscriber.Ref] == nil {
		r.subscribers[s.subscriber.Ref] = map[string]*subscription{}
	}
	r.subscribers[s.subscriber.Ref][s.id] = s
	r.tables[s.tableID]++
	r.count++
	if s.rows != nil {
		r.withRows++
	}
}

// remove takes a subscription out; nil when it is not there.
func (r *registry) remove(ref kernel.Ref, id string) *subscription {
	s := r.subscribers[ref][id]
	if s == nil {
		return nil
	}
	delete(r.subscribers[ref], id)
	if len(r.subscribers[ref]) == 0 {
		delete(r.subscribers, ref)
	}
	if r.tables[s.tableID]--; r.tables[s.tableID] == 0 {
		delete(r.tables, s.tableID)
	}
	r.count--
	if s.rows != nil {
		r.withRows--
	}
	return s
}

// all lists the subscriptions.
func (r *registry) all() []*subscription {
	list := make([]*subscription, 0, r.count)
	for _, of := range r.subscribers {
		for _, s := range of {
			list = append(list, s)
		}
	}
	return list
}

// followed lists the subscriptions of some subscribers to a table.
func (r *registry) followed(m ListFollowed) []Followed {
	list := []Followed{}
	for _, ref := range m.Subscribers {
		for _, s := range r.subscribers[ref] {
			if s.schema == m.Schema && s.table == m.Table {
				list = append(list, Followed{Subscriber: ref, ID: s.shown(), Event: s.event, Filter: s.filterText, Condition: s.filter, Live: s.replay == (kernel.Ref{})})
			}
		}
	}
	return list
}

// each calls do for the subscriptions to a table, which do may remove.
func (r *registry) each(table int32, do func(*subscription)) {
	for _, all := range r.subscribers {
		for _, s := range all {
			if s.tableID == table {
				do(s)
			}
		}
	}
}
