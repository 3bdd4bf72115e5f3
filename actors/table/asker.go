package table

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/query"
)

// asker is the callers who see the same rows: all of a database role where no
// policy decides; where policies are decided in memory, those who agree in what
// the policies read of their claims; else those whom PostgreSQL is told the same
// about.
type asker struct {
	key  string
	role caller.DatabaseRole
	// caller is one of them.
	caller caller.Caller
	view   *changelog.View
	// policies decide in memory; nil where PostgreSQL does, or nothing does.
	policies *policy.Predicate
	groups   map[*group]struct{}
	// seats are those of the groups that may get anything, open the number of
	// them that PostgreSQL decides.
	seats map[*seat]struct{}
	open  int
}

// inMemory tells whether it needs no SQL to know which rows the asker sees.
func (a *asker) inMemory() bool {
	return a.view.Visibility != changelog.ByPolicy || a.policies != nil
}

// seat is one subscription of a group.
type seat struct {
	group        *group
	number       int // in the group
	subscription Subscription
	// holds decides which rows it gets, policies and filter together; nil where
	// PostgreSQL decides at least one of them.
	holds *policy.Predicate

	// What it sees of the entry at clock.
	clock uint64
	sight sight
}

// ask finds the asker of a caller under the table that groups are arranged by.
func (ms *membership) ask(c caller.Caller) *asker {
	role := c.DatabaseRole()
	a := &asker{key: "role " + string(role), role: role, caller: c, view: ms.table.View(role), groups: map[*group]struct{}{}, seats: map[*seat]struct{}{}}
	if a.view.Visibility == changelog.ByPolicy && !a.view.Denied {
		if p, ok := ms.table.Predicate(c); ok {
			a.policies = p
			a.key = "claims " + string(role) + " " + p.Key()
		} else {
			identity := c.Identity()
			a.key = "caller " + string(identity[:])
		}
	}
	if known := ms.askers[a.key]; known != nil {
		return known
	}
	return a
}

// seat gives a new group's subscriptions their places.
func (ms *membership) seat(g *group) {
	a := g.asker
	a.groups[g] = struct{}{}
	ms.askers[a.key] = a
	switch {
	case a.view.Denied:
		ms.denied[a] = struct{}{}
	case a.policies != nil:
		ms.decided[a] = struct{}{}
	}
	g.seats = make([]*seat, len(g.subscriptions))
	for i, s := range g.subscriptions {
		one := &seat{group: g, number: i, subscription: s}
		g.seats[i] = one
		if a.view.Denied || a.view.Visibility == changelog.Never {
			continue
		}
		a.seats[one] = struct{}{}
		filter, ok := (*policy.Predicate)(nil), true
		if s.Filter != nil {
			filter, ok = ms.table.Filter(s.Filter)
		}
		if ok && a.inMemory() {
			one.holds = policy.All(a.policies, filter)
			ms.index.Add(one.holds, one)
			continue
		}
		a.open++
		ms.asking[a] = struct{}{}
	}
}

// unseat takes them away.
func (ms *membership) unseat(g *group) {
	a := g.asker
	if a == nil {
		return
	}
	for _, one := range g.seats {
		if _, taken := a.seats[one]; !taken {
			continue
		}
		delete(a.seats, one)
		if one.holds != nil {
			ms.index.Remove(one.holds, one)
		} else if a.open--; a.open == 0 {
			delete(ms.asking, a)
		}
	}
	if delete(a.groups, g); len(a.groups) == 0 {
		delete(ms.askers, a.key)
		delete(ms.denied, a)
		delete(ms.decided, a)
	}
}

// arrange makes the groups those of a table as it is now.
func (ms *membership) arrange(t *changelog.Table) {
	if t.Same(ms.table) {
		return
	}
	clock := ms.clock
	members := ms.members
	*ms = *newMembership()
	ms.table, ms.members, ms.clock = t, members, clock
	for _, m := range members {
		m.group = nil
		ms.regroup(m)
	}
}

// question is what PostgreSQL must be asked for an asker: about the seats that it
// decides, or about all. numbers say which filter is which.
func (a *asker) question(all bool) (q changelog.Question, numbers map[string]int) {
	q.Caller = a.caller
	numbers = map[string]int{}
	var filters []query.Condition
	for s := range a.seats {
		if s.subscription.Filter == nil || !all && s.holds != nil {
			continue
		}
		if _, known := numbers[s.subscription.FilterText]; !known {
			numbers[s.subscription.FilterText] = len(filters)
			filters = append(filters, s.subscription.Filter)
		}
	}
	q.Filters = filters
	return q, numbers
}
