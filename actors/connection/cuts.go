package connection

import "time"

// Cut is a connection that was ended because it was too slow.
type Cut struct {
	Connection
	At     time.Time
	Reason string
}

// ListCuts asks the Directory for the last connections of a tenant (all tenants
// when empty) that were cut on this node, the last one first. UserID and ID, unless
// they are empty, say whose or which. The answer is []Cut.
type ListCuts struct{ Tenant, UserID, ID string }

// cutSlow tells the Directory that a connection was cut. It may come behind the
// word that the connection has ended.
type cutSlow struct {
	seat   *registered
	reason string
}

// keptCuts is how many cuts are remembered, of all tenants.
const keptCuts = 256

// cuts are the last connections that were cut. The zero value is empty.
type cuts struct {
	list []Cut
	next int // index of the oldest once the list is full
	// counts are all there ever were, by tenant.
	counts map[string]int
}

func (c *cuts) add(cut Cut) {
	if c.counts == nil {
		c.counts = map[string]int{}
	}
	c.counts[cut.Tenant]++
	if len(c.list) < keptCuts {
		c.list = append(c.list, cut)
		return
	}
	c.list[c.next] = cut
	c.next = (c.next + 1) % keptCuts
}

func (c *cuts) find(l ListCuts) []Cut {
	found := []Cut{}
	for i := range c.list {
		cut := c.list[(c.next+len(c.list)-1-i)%len(c.list)]
		if matchesOrAny(l.Tenant, cut.Tenant) && matchesOrAny(l.UserID, cut.UserID) && matchesOrAny(l.ID, cut.ID) {
			found = append(found, cut)
		}
	}
	return found
}

func matchesOrAny(want, got string) bool { return want == "" || want == got }
