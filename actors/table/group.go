package table

import (
	"strings"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
)

// group is the connections for which every change comes out the same.
type group struct {
	key           string
	caller        caller.Caller
	codec         delivery.Codec
	subscriptions []Subscription // sorted by id, never changed
	members       map[kernel.Ref]struct{}
	ring          *delivery.Ring // made with its first frame
	told          bool           // something, since the last TellPosition
}

// member is one connection.
type member struct {
	subscriber    delivery.Subscriber
	subscriptions []Subscription // sorted by id, copied on change
	group         *group
}

// membership is who follows the table.
type membership struct {
	members map[kernel.Ref]*member
	groups  map[string]*group
}

func newMembership() *membership {
	return &membership{members: map[kernel.Ref]*member{}, groups: map[string]*group{}}
}

func (ms *membership) add(a Add) {
	m := ms.members[a.Subscriber.Ref]
	if m == nil {
		m = &member{}
		ms.members[a.Subscriber.Ref] = m
	}
	m.subscriber = a.Subscriber
	kept := without(m.subscriptions, a.Subscription.ID)
	at := 0
	for at < len(kept) && kept[at].ID < a.Subscription.ID {
		at++
	}
	m.subscriptions = append(kept[:at:at], append([]Subscription{a.Subscription}, kept[at:]...)...)
	ms.regroup(m)
}

func (ms *membership) remove(r Remove) {
	m := ms.members[r.Subscriber]
	if m == nil {
		return
	}
	m.subscriptions = without(m.subscriptions, r.ID)
	if len(m.subscriptions) == 0 {
		ms.drop(r.Subscriber)
		return
	}
	ms.regroup(m)
}

func (ms *membership) drop(ref kernel.Ref) {
	if m := ms.members[ref]; m != nil {
		ms.leave(m)
		delete(ms.members, ref)
	}
}

// regroup puts a member where it belongs now.
func (ms *membership) regroup(m *member) {
	ms.leave(m)
	key := groupKey(m)
	g := ms.groups[key]
	if g == nil {
		g = &group{key: key, caller: m.subscriber.Caller, codec: m.subscriber.Codec, subscriptions: m.subscriptions, members: map[kernel.Ref]struct{}{}}
		ms.groups[key] = g
	}
	g.members[m.subscriber.Ref] = struct{}{}
	m.group = g
}

func (ms *membership) leave(m *member) {
	if m.group == nil {
		return
	}
	delete(m.group.members, m.subscriber.Ref)
	if len(m.group.members) == 0 {
		delete(ms.groups, m.group.key)
	}
	m.group = nil
}

func groupKey(m *member) string {
	identity := m.subscriber.Caller.Identity()
	var b strings.Builder
	b.Write(identity[:])
	b.WriteString(m.subscriber.Codec.Dialect())
	for _, s := range m.subscriptions {
		for _, part := range []string{s.ID, s.Event, s.FilterText, string(s.Scope[:])} {
			b.WriteByte(0)
			b.WriteString(part)
		}
	}
	return b.String()
}

func without(all []Subscription, id string) []Subscription {
	kept := make([]Subscription, 0, len(all)+1)
	for _, s := range all {
		if s.ID != id {
			kept = append(kept, s)
		}
	}
	return kept
}
