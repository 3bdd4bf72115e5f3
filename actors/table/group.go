package table

import (
	"strconv"
	"strings"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/changelog/policy"
)

// group is the connections for which every change comes out the same.
type group struct {
	key           string
	asker         *asker // nil before the first batch
	seats         []*seat
	codec         delivery.Codec
	subscriptions []Subscription // sorted by id, never changed
	members       map[kernel.Ref]struct{}
	ring          *delivery.Ring // made with its first frame
	told          bool           // something, since the last TellPosition

	// What a batch was to it; batch says which one.
	batch    uint64
	messages []message
}

// member is one connection.
type member struct {
	subscriber    delivery.Subscriber
	subscriptions []Subscription // sorted by id, copied on change
	group         *group
}

// membership is who follows the table. While a batch is judged it is the
// judgement's alone.
type membership struct {
	members map[kernel.Ref]*member
	groups  map[string]*group
	// table is what the groups are arranged by; nil before the first batch.
	table  *changelog.Table
	askers map[string]*asker
	index  policy.Index[*seat]
	// asking are the askers with seats that PostgreSQL decides, decided those
	// whose policies are decided in memory, denied those who may not read.
	asking, decided, denied map[*asker]struct{}
	// clock tells entries and batches apart.
	clock uint64
}

func newMembership() *membership {
	return &membership{members: map[kernel.Ref]*member{}, groups: map[string]*group{},
		askers: map[string]*asker{}, asking: map[*asker]struct{}{}, decided: map[*asker]struct{}{}, denied: map[*asker]struct{}{}}
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
	identity := m.subscriber.Caller.Identity()
	who := string(identity[:])
	var a *asker
	if ms.table != nil {
		a = ms.ask(m.subscriber.Caller)
		who = a.key
	}
	key := groupKey(who, m)
	g := ms.groups[key]
	if g == nil {
		g = &group{key: key, asker: a, codec: m.subscriber.Codec, subscriptions: m.subscriptions, members: map[kernel.Ref]struct{}{}}
		ms.groups[key] = g
		if a != nil {
			ms.seat(g)
		}
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
		ms.unseat(m.group)
	}
	m.group = nil
}

func groupKey(who string, m *member) string {
	var b strings.Builder
	b.WriteString(who)
	b.WriteString(m.subscriber.Codec.Dialect())
	for _, s := range m.subscriptions {
		for _, part := range []string{s.ID, s.Event, s.FilterText, string(s.Scope[:]), strconv.FormatBool(s.Repairs)} {
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
