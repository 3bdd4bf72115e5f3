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
	// heirloomTime is how long a new home takes over what lingered at the one
	// before: every node has announced itself by then.
	heirloomTime = 2 * renewEvery
)

// home is the actor around a room.
type home struct {
	key       string
	placement kernel.Placement
	members   kernel.Members
	room      *room
	unwatch   func()
	quiet     time.Time
	waking    bool // for what lingers
}

type homeTicked struct{}

// graceEnded says that something has lingered for the grace.
type graceEnded struct{}

// RegisterHome lets this node be the home of rooms. Call it once, before the
// node takes part in the cluster.
func RegisterHome(p kernel.Placement, m kernel.Members, limits Limits) {
	p.RegisterKind(Kind, func(key string, epoch uint64) kernel.Props {
		return kernel.Props{
			New: func() kernel.Actor {
				return &home{key: key, placement: p, members: m, room: newRoom(epoch, time.Now(), limits)}
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
	case graceEnded:
		h.waking = false
		h.send(c, h.room.expire(time.Now()))
		h.wake(c)
	}
}

// wake arms the end of what lingers.
func (h *home) wake(c *kernel.Context) {
	if at, ok := h.room.due(); ok && !h.waking {
		h.waking = true
		c.After(max(time.Until(at), 0), graceEnded{})
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
	now := time.Now()
	until := now.Add(nodeLease)
	switch q := question.(type) {
	case *apply:
		h.room.nodes[node] = until
		answer, steps := h.room.apply(now, node, q.Steps)
		h.send(c, steps)
		c.Reply(answer)
	case *announce:
		h.room.nodes[node] = until
		h.send(c, h.room.announce(now, node, q))
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
		h.send(c, h.room.announce(now, node, &announce{}))
		c.Reply(&kept{Same: true})
	default:
		c.Fail(fault.New(fault.InternalError, "a room's home does not know this message"))
	}
	h.wake(c)
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
