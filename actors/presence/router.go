package presence

import (
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Router owns the rooms in use on one node and brings messages to them.
type Router struct {
	placement kernel.Placement
	nodes     kernel.Members
	shared    *routerShared
	rooms     map[Key]*entry
	byRef     map[kernel.Ref]Key
	unwatch   func()
}

// routerShared is what rooms know of their router.
type routerShared struct {
	placement kernel.Placement
	self      kernel.Ref
	node      string
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

// Receive handles Watch, Track, Untrack, Leave and messages of homes.
func (r *Router) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		r.start(c)
	case kernel.Stopping:
		if r.unwatch != nil {
			r.unwatch()
		}
	case Watch:
		if r.forward(c, m.Room, m) != nil {
			// The watcher waits for a first sync that would never come.
			_ = m.Subscriber.Ref.Tell(Ended{Room: m.Room})
		}
	case Track:
		if err := r.forward(c, m.Room, m); err != nil {
			// An owner that cannot take this is closing.
			_ = m.Owner.Tell(Tracked{Room: m.Room, Key: m.Key, Err: fault.From(err)})
		}
	case Untrack:
		r.offer(m.Room, m)
	case Leave:
		r.offer(m.Room, m)
	case kernel.FromNode:
		if d, ok := m.Msg.(*changed); ok {
			r.offer(parseKey(d.Room), d)
		}
	case membersChanged:
		for key := range r.rooms {
			r.offer(key, m)
		}
	case idle:
		if e := r.rooms[m.room]; e != nil && e.forwarded == m.handled {
			r.forget(e.ref)
			c.StopChild(e.ref)
		}
	case kernel.Terminated:
		r.forget(m.Ref)
	}
}

func (r *Router) start(c *kernel.Context) {
	r.rooms, r.byRef = map[Key]*entry{}, map[kernel.Ref]Key{}
	r.shared = &routerShared{placement: r.placement, self: c.Self(), node: string(r.nodes.Self())}
	r.placement.RegisterService(Service, c.Self())
	self := c.Self()
	r.unwatch = r.nodes.Watch(func([]kernel.NodeID) {
		// When the mailbox is full, the next renewal of the leases does the same.
		_ = self.Tell(membersChanged{})
	})
}

// forward brings a message to its room's actor, which is started if need be.
func (r *Router) forward(c *kernel.Context, key Key, msg any) error {
	if r.rooms[key] == nil {
		shared := r.shared
		ref, err := c.Spawn(kernel.Props{
			New:   func() kernel.Actor { return newLocal(key, shared) },
			Limit: 16384,
			// A fresh state would not know who is here: they are told, and come
			// again.
			OnCrash: kernel.Stop,
		})
		if err != nil {
			return err
		}
		c.Watch(ref)
		r.rooms[key], r.byRef[ref] = &entry{ref: ref}, key
	}
	return r.pass(key, msg)
}

// pass brings a message to a room that is in use here; others need none.
func (r *Router) pass(key Key, msg any) error {
	e := r.rooms[key]
	if e == nil {
		return nil
	}
	if err := e.ref.Tell(forwarded{msg: msg}); err != nil {
		return err
	}
	e.forwarded++
	return nil
}

// offer brings a message that the room gets over without: a change that is missed
// shows as a gap or when the lease is renewed, an owner that left when its actor
// ends.
func (r *Router) offer(key Key, msg any) {
	_ = r.pass(key, msg)
}

func (r *Router) forget(ref kernel.Ref) {
	if key, ok := r.byRef[ref]; ok {
		delete(r.byRef, ref)
		delete(r.rooms, key)
	}
}
