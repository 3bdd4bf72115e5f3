package presence

import (
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Times of the agreement between nodes and homes.
const (
	renewEvery = 5 * time.Second
	nodeLease  = 20 * time.Second
	homeTick   = 5 * time.Second
	askTimeout = 8 * time.Second
	grace      = 2 * time.Second
)

// room is a home's state without its actor.
type room struct {
	epoch, seq uint64
	roster     *roster
	limits     Limits
	nodes      map[string]time.Time // lease per node that watches or tracks
}

func newRoom(epoch uint64, limits Limits) *room {
	return &room{epoch: epoch, roster: newRoster(), limits: limits.orDefault(), nodes: map[string]time.Time{}}
}

// apply takes a node's steps: codes answers each, steps are those that changed
// the room. A node can touch only what is its own.
func (r *room) apply(node string, steps []Change) (codes []string, taken []Change) {
	codes = make([]string, len(steps))
	for i, s := range steps {
		switch {
		case s.New != nil:
			s.New = owned(s.New, node)
			known := r.roster.all[s.New.identity()]
			if known == nil && r.roster.len() >= r.limits.PerRoom {
				codes[i] = string(fault.PresenceLimitReached)
				continue
			}
		case s.Old == nil || r.owner(s.Old) != node:
			continue
		}
		if step, ok := r.roster.apply(s); ok {
			taken = append(taken, step)
		}
	}
	return codes, taken
}

// owned is m as a meta of node. A message may be shared with its sender, so it is
// not changed in place.
func owned(m *Meta, node string) *Meta {
	if m.Node == node {
		return m
	}
	other := *m
	other.Node = node
	return &other
}

func (r *room) owner(m *Meta) string {
	if known := r.roster.all[m.identity()]; known != nil {
		return known.Node
	}
	return ""
}

// announce makes the node's part of the room equal to list.
func (r *room) announce(node string, list []*Meta) []Change {
	for i, m := range list {
		list[i] = owned(m, node)
	}
	return r.roster.replace(list, func(m *Meta) bool { return m.Node == node })
}

// drop forgets nodes that are not alive.
func (r *room) drop(alive func(node string) bool) []Change {
	for node := range r.nodes {
		if !alive(node) {
			delete(r.nodes, node)
		}
	}
	return r.roster.replace(nil, func(m *Meta) bool { return !alive(m.Node) })
}

// count is the number of metas of a node.
func (r *room) count(node string) (n int) {
	for _, m := range r.roster.all {
		if m.Node == node {
			n++
		}
	}
	return n
}

// home is the actor around a room.
type home struct {
	key       string
	placement kernel.Placement
	members   kernel.Members
	room      *room
	unwatch   func()
	quiet     time.Time
}

type homeTicked struct{}

// RegisterHome lets this node be the home of rooms. Call it once, before the
// node takes part in the cluster.
func RegisterHome(p kernel.Placement, m kernel.Members, limits Limits) {
	p.RegisterKind(Kind, func(key string, epoch uint64) kernel.Props {
		return kernel.Props{
			New: func() kernel.Actor {
				return &home{key: key, placement: p, members: m, room: newRoom(epoch, limits)}
			},
			Limit:   16384,
			OnCrash: kernel.Stop,
		}
	})
}

// Receive handles questions from nodes and the cluster's changes.
func (h *home) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		self := c.Self()
		h.quiet = time.Now()
		h.unwatch = h.members.Watch(func([]kernel.NodeID) {
			// When the mailbox is full, the tick finds the change.
			_ = self.Tell(membersChanged{})
		})
		c.After(homeTick, homeTicked{})
	case kernel.Stopping:
		if h.unwatch != nil {
			h.unwatch()
		}
	case kernel.FromNode:
		h.answer(c, string(m.From), m.Msg)
	case membersChanged:
		h.sweep(c)
	case homeTicked:
		h.sweep(c)
		if len(h.room.nodes) > 0 || h.room.roster.len() > 0 {
			h.quiet = time.Now()
		} else if time.Since(h.quiet) > time.Minute {
			c.Stop()
			return
		}
		c.After(homeTick, homeTicked{})
	}
}

// sweep forgets nodes that left the cluster or did not renew their lease.
func (h *home) sweep(c *kernel.Context) {
	now := time.Now()
	member := map[string]bool{}
	for _, node := range h.members.Nodes() {
		member[string(node)] = true
	}
	h.send(c, h.room.drop(func(node string) bool {
		until, known := h.room.nodes[node]
		return member[node] && known && now.Before(until)
	}))
}

func (h *home) answer(c *kernel.Context, node string, question kernel.Wire) {
	until := time.Now().Add(nodeLease)
	switch q := question.(type) {
	case *apply:
		h.room.nodes[node] = until
		codes, steps := h.room.apply(node, q.Steps)
		h.send(c, steps)
		c.Reply(&applied{Codes: codes})
	case *announce:
		h.room.nodes[node] = until
		h.send(c, h.room.announce(node, q.Metas))
		c.Reply(&state{Epoch: h.room.epoch, Seq: h.room.seq, Metas: h.room.roster.sorted()})
	case *keep:
		_, known := h.room.nodes[node]
		same := known && q.Epoch == h.room.epoch && q.Seq == h.room.seq && q.Metas == h.room.count(node)
		if known {
			h.room.nodes[node] = until
		}
		c.Reply(&kept{Same: same})
	case *withdraw:
		delete(h.room.nodes, node)
		h.send(c, h.room.announce(node, nil))
		c.Reply(&kept{Same: true})
	default:
		c.Fail(fault.New(fault.InternalError, "a room's home does not know this message"))
	}
}

// send tells every node the steps. A node that misses them sees a gap in the
// numbers, or a difference when it renews its lease, and announces again.
func (h *home) send(c *kernel.Context, steps []Change) {
	if len(steps) == 0 {
		return
	}
	h.room.seq++
	msg := &changed{Room: h.key, Epoch: h.room.epoch, Seq: h.room.seq, Steps: steps}
	for node := range h.room.nodes {
		if err := h.placement.Tell(kernel.NodeID(node), Service, msg); err != nil {
			c.Logger().Warn("presence change not sent to node", "room", h.key, "node", node, "error", err)
		}
	}
}
