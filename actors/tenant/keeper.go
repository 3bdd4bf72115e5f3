package tenant

import (
	"context"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/tenancy"
)

// The messages of the directory's actor.
type (
	// enter asks for the *Tenant of an id.
	enter    struct{ id string }
	refresh  struct{}
	pollDue  struct{}
	sweepDue struct{}
)

// keeper is the directory's actor: it owns the actors of tenants.
type keeper[P any] struct {
	directory *Directory[P]
	slots     map[string]*slot[P] // by tenant id
	ids       map[kernel.Ref]string
	reading   bool
	again     bool
}

// slot is a tenant that is opening (no tenant yet), open, or leaving.
type slot[P any] struct {
	owner   kernel.Ref
	tenant  *Tenant[P]
	leaving bool
	// waiting ask for the tenant while it opens, or to have it again once it left.
	waiting []*kernel.Request
}

// Receive implements kernel.Actor.
func (k *keeper[P]) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		k.start(c)
	case kernel.Stopping:
		k.forgetAll()
	case enter:
		k.enter(c, m.id, c.Request())
	case opened[P]:
		k.opened(m)
	case kernel.Terminated:
		k.gone(c, m.Ref)
	case refresh:
		k.read(c)
	case pollDue:
		k.read(c)
		c.After(k.directory.o.PollEvery, pollDue{})
	case sweepDue:
		k.sweep(c)
		c.After(k.directory.o.IdleAfter/10, sweepDue{})
	}
}

func (k *keeper[P]) start(c *kernel.Context) {
	k.forgetAll()
	k.slots, k.ids = map[string]*slot[P]{}, map[kernel.Ref]string{}
	c.After(k.directory.o.PollEvery, pollDue{})
	c.After(k.directory.o.IdleAfter/10, sweepDue{})
}

func (k *keeper[P]) forgetAll() {
	k.directory.change(func(open map[string]*Tenant[P]) { clear(open) })
}

// enter answers with the open tenant, once it is.
func (k *keeper[P]) enter(c *kernel.Context, id string, r *kernel.Request) {
	s := k.slots[id]
	if s == nil {
		var err error
		if s, err = k.open(c, id); err != nil {
			r.Fail(err)
			return
		}
	}
	if s.tenant != nil && !s.leaving {
		r.Reply(s.tenant)
		return
	}
	s.waiting = append(s.waiting, r)
}

func (k *keeper[P]) open(c *kernel.Context, id string) (*slot[P], error) {
	d := k.directory
	info := d.list.Load().byID[id]
	if info == nil || info.Status == tenancy.Deleting {
		return nil, fault.New(fault.TenantNotFound, "tenant not found")
	}
	keeper := c.Self()
	owner, err := c.Spawn(kernel.Props{
		// What a crash loses, the next opening brings back.
		OnCrash: kernel.Stop,
		New:     func() kernel.Actor { return &ownerOf[P]{info: *info, opener: d.o.Open, keeper: keeper} },
	})
	if err != nil {
		return nil, err
	}
	c.Watch(owner)
	s := &slot[P]{owner: owner}
	k.slots[id], k.ids[owner] = s, id
	return s, nil
}

func (k *keeper[P]) opened(m opened[P]) {
	s := k.slots[k.ids[m.owner]]
	if s == nil {
		return
	}
	if m.err != nil {
		// It is on its way out: who asks from now on waits for that.
		s.leaving = true
		for _, r := range s.waiting {
			r.Fail(m.err)
		}
		s.waiting = nil
		return
	}
	if s.leaving {
		return
	}
	s.tenant = m.tenant
	k.directory.put(m.tenant)
	for _, r := range s.waiting {
		r.Reply(m.tenant)
	}
	s.waiting = nil
}

// gone forgets a tenant whose actor has ended, and opens it again for those who
// asked meanwhile.
func (k *keeper[P]) gone(c *kernel.Context, owner kernel.Ref) {
	id, ok := k.ids[owner]
	if !ok {
		return
	}
	s := k.slots[id]
	delete(k.ids, owner)
	delete(k.slots, id)
	k.directory.remove(id)
	for _, r := range s.waiting {
		k.enter(c, id, r)
	}
}

// sweep stops the tenants that nobody has used for a while.
func (k *keeper[P]) sweep(c *kernel.Context) {
	since := time.Now().Add(-k.directory.o.IdleAfter)
	for id, s := range k.slots {
		t := s.tenant
		if t == nil || t.Default || s.leaving || !t.idle(since) {
			continue
		}
		// Nobody finds it any more; whoever found it just now has left a mark.
		k.directory.remove(id)
		if !t.idle(since) {
			k.directory.put(t)
			continue
		}
		k.stop(c, id)
	}
}

func (k *keeper[P]) stop(c *kernel.Context, id string) {
	s := k.slots[id]
	s.leaving = true
	k.directory.remove(id)
	c.StopChild(s.owner)
}

// read reads the list: one read at a time, and one more when it was rung since.
func (k *keeper[P]) read(c *kernel.Context) {
	if k.reading {
		k.again = true
		return
	}
	k.reading, k.again = true, false
	c.Go(listTimeout, func(ctx context.Context) (any, error) {
		return k.directory.o.List.All(ctx)
	}, func(c *kernel.Context, res any, err error) {
		k.reading = false
		if err != nil {
			c.Logger().Warn("the list of tenants could not be read", "error", err)
		} else {
			k.apply(c, res.([]tenancy.Entry))
		}
		if k.again {
			k.read(c)
		}
	})
}

// apply takes a new list over. Tenants that were deleted are stopped.
func (k *keeper[P]) apply(c *kernel.Context, all []tenancy.Entry) {
	list := newSnapshot(all)
	k.directory.list.Store(list)
	for id := range k.slots {
		if t := list.byID[id]; t == nil || t.Status == tenancy.Deleting {
			k.stop(c, id)
		}
	}
}
