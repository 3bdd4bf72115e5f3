package channel

import (
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Router owns the channels in use on one node and brings messages to them.
type Router struct {
	placement kernel.Placement
	nodes     kernel.Members
	shared    *routerShared
	channels  map[Key]*entry
	byRef     map[kernel.Ref]Key
	unwatch   func()
}

// routerShared is what local actors know of their router.
type routerShared struct {
	placement kernel.Placement
	self      kernel.Ref
}

type entry struct {
	ref       kernel.Ref
	forwarded uint64
}

// RouterProps describes the node's Router. RegisterHome must have been called
// with the same placement.
func RouterProps(p kernel.Placement, m kernel.Members) kernel.Props {
	return kernel.Props{
		Name:  Service,
		New:   func() kernel.Actor { return &Router{placement: p, nodes: m} },
		Limit: 65536,
	}
}

// Receive handles Join, Leave, Publish, GetStats and messages of homes.
func (r *Router) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		r.start(c)
	case kernel.Stopping:
		if r.unwatch != nil {
			r.unwatch()
		}
	case Join:
		if err := r.forward(c, m.Key, m); err != nil {
			// A connection that cannot take this is closing.
			_ = m.Member.Ref.Tell(Joined{Key: m.Key, Err: fault.From(err)})
		}
	case Publish:
		r.publish(c, m)
	case Leave:
		if e := r.channels[m.Key]; e != nil {
			r.offer(e, m)
		}
	case kernel.FromNode:
		switch d := m.Msg.(type) {
		case *deliver:
			r.fromHome(d.Key, d)
		case *closed:
			r.fromHome(d.Key, d)
		}
	case membersChanged:
		for _, e := range r.channels {
			r.offer(e, m)
		}
	case idle:
		if e := r.channels[m.key]; e != nil && e.forwarded == m.handled {
			r.forget(e.ref)
			c.StopChild(e.ref)
		}
	case kernel.Terminated:
		r.forget(m.Ref)
	case GetStats:
		c.Reply(Stats{Channels: r.count(m.Tenant)})
	}
}

func (r *Router) start(c *kernel.Context) {
	r.channels, r.byRef = map[Key]*entry{}, map[kernel.Ref]Key{}
	r.shared = &routerShared{placement: r.placement, self: c.Self()}
	r.placement.RegisterService(Service, c.Self())
	self := c.Self()
	r.unwatch = r.nodes.Watch(func([]kernel.NodeID) {
		// When the mailbox is full, the next renewal of interest does the same.
		_ = self.Tell(membersChanged{})
	})
}

func (r *Router) publish(c *kernel.Context, p Publish) {
	err := r.forward(c, p.Key, p)
	switch {
	case err == nil:
	case !p.ReplyTo.IsZero():
		_ = p.ReplyTo.Tell(Published{Key: p.Key, MessageID: p.MessageID, Err: fault.From(err)})
	default:
		c.Fail(err)
	}
}

// forward brings a message to its channel's actor, which is started if need be.
func (r *Router) forward(c *kernel.Context, key Key, msg any) error {
	e := r.channels[key]
	if e == nil {
		shared := r.shared
		ref, err := c.Spawn(kernel.Props{
			New:   func() kernel.Actor { return &local{key: key, router: shared, members: newMembers()} },
			Limit: 16384,
			// A fresh state would not know the members: they are told, and join
			// another actor.
			OnCrash: kernel.Stop,
		})
		if err != nil {
			return err
		}
		c.Watch(ref)
		e = &entry{ref: ref}
		r.channels[key], r.byRef[ref] = e, key
	}
	return r.pass(e, msg, c.Request())
}

func (r *Router) pass(e *entry, msg any, request *kernel.Request) error {
	if err := e.ref.Tell(forwarded{msg: msg, request: request}); err != nil {
		if request != nil {
			request.Fail(err)
			return nil
		}
		return err
	}
	e.forwarded++
	return nil
}

// offer brings a message that the channel gets over without: a member that left
// is found by the next message to it, a hole by the next number.
func (r *Router) offer(e *entry, msg any) {
	_ = r.pass(e, msg, nil)
}

// fromHome brings a channel what its home says.
func (r *Router) fromHome(key string, msg any) {
	if e := r.channels[parseKey(key)]; e != nil {
		r.offer(e, msg)
	}
}

func (r *Router) forget(ref kernel.Ref) {
	if key, ok := r.byRef[ref]; ok {
		delete(r.byRef, ref)
		delete(r.channels, key)
	}
}

func (r *Router) count(tenant string) int {
	if tenant == "" {
		return len(r.channels)
	}
	n := 0
	for key := range r.channels {
		if key.Tenant == tenant {
			n++
		}
	}
	return n
}
