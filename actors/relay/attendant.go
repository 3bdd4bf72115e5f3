package relay

import (
	"context"
	"time"

	"fluxbase/actors/kernel"
)

// Times of an attendant.
const (
	attendEvery   = 5 * time.Second
	attendTimeout = 8 * time.Second
)

// attendant keeps a tenant's relay alive from one node.
type attendant struct {
	tenant    string
	placement kernel.Placement
	members   kernel.Members
	unwatch   func()
	begun     bool
	asking    bool
	again     bool
}

type attendNow struct{}

// AttendantProps describe the attendant of a tenant on this node. It takes Attend and
// Rung.
func AttendantProps(name, tenant string, p kernel.Placement, m kernel.Members) kernel.Props {
	return kernel.Props{
		Name: name,
		New:  func() kernel.Actor { return &attendant{tenant: tenant, placement: p, members: m} },
		// Whoever cannot tell it that the database rang knows that it was told before.
		Limit: 64,
	}
}

// Receive handles Attend and Rung.
func (a *attendant) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started:
		self := c.Self()
		a.unwatch = a.members.Watch(func([]kernel.NodeID) {
			// The relay may live here now. When the mailbox is full, it is asked anyway.
			_ = self.Tell(Rung{})
		})
		c.After(attendEvery, Attend{}) // if nobody says so
	case kernel.Stopping:
		if a.unwatch != nil {
			a.unwatch()
		}
	case Attend:
		if !a.begun {
			a.begun = true
			a.attend(c)
		}
	case attendNow:
		a.attend(c)
	case Rung:
		// Every node hears the bell: the relay's own tells it.
		if a.begun && a.placement.Home(Kind, a.tenant) == a.members.Self() {
			a.ask(c)
		}
	}
}

func (a *attendant) attend(c *kernel.Context) {
	a.ask(c)
	c.After(attendEvery, attendNow{})
}

func (a *attendant) ask(c *kernel.Context) {
	if a.asking {
		a.again = true
		return
	}
	a.asking, a.again = true, false
	c.Go(attendTimeout, func(ctx context.Context) (any, error) {
		return a.placement.AskHome(ctx, Kind, a.tenant, &attend{})
	}, func(c *kernel.Context, _ any, err error) {
		a.asking = false
		if err != nil {
			c.Logger().Warn("the relay of messages from the database is not reached", "tenant", a.tenant, "error", err)
		} else if a.again {
			a.ask(c)
		}
	})
}
