package channel

import (
	"cmp"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

// Times of the agreement between nodes and homes.
const (
	renewEvery    = 5 * time.Second
	interestLease = 20 * time.Second
	homeTick      = 10 * time.Second
	askTimeout    = 8 * time.Second
)

// home is the actor that makes a channel's order.
type home struct {
	key       string
	placement kernel.Placement
	order     *order
}

type homeTicked struct{}

// RegisterHome lets this node be the home of channels. Call it once, before the
// node takes part in the cluster.
func RegisterHome(p kernel.Placement, limits HistoryLimits) {
	p.RegisterKind(Kind, func(key string, epoch uint64) kernel.Props {
		return kernel.Props{
			New:   func() kernel.Actor { return &home{key: key, placement: p, order: newOrder(epoch, limits)} },
			Limit: 16384,
			// A fresh state under the old epoch would hand out numbers twice: the
			// next question starts another home with another epoch instead.
			OnCrash: kernel.Stop,
		}
	})
}

// Receive handles questions from nodes.
func (h *home) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		c.After(homeTick, homeTicked{})
	case kernel.FromNode:
		h.answer(c, m)
	case homeTicked:
		if h.order.expire(time.Now()) {
			c.Stop()
			return
		}
		c.After(homeTick, homeTicked{})
	}
}

func (h *home) answer(c *kernel.Context, m kernel.FromNode) {
	now := time.Now()
	switch q := m.Msg.(type) {
	case *publishBatch:
		offsets, fresh, first := h.order.publish(now, q.Messages)
		if len(fresh) > 0 {
			h.send(c, &deliver{Key: h.key, Epoch: h.order.epoch, Offset: first, Messages: fresh})
		}
		c.Reply(&numbered{Epoch: h.order.epoch, Offsets: offsets, Elsewhere: h.order.elsewhere(string(m.From))})
	case *interest:
		h.order.watch(string(m.From), q.Members, now.Add(interestLease))
		c.Reply(&interested{Epoch: h.order.epoch, Offset: h.order.offset})
	case *fetch:
		answer := &fetched{Epoch: h.order.epoch, Offset: q.From, Newest: h.order.offset}
		if q.Epoch == h.order.epoch {
			answer.Messages = h.order.fetch(q.From, cmp.Or(q.To, h.order.offset))
		}
		c.Reply(answer)
	default:
		c.Fail(fault.New(fault.InternalError, "a channel's home does not know this message"))
	}
}

// send brings messages to every node that has members. A node that cannot be
// reached finds the hole by the next number or when it renews its interest.
func (h *home) send(c *kernel.Context, d *deliver) {
	for node := range h.order.nodes {
		if err := h.placement.Tell(kernel.NodeID(node), Service, d); err != nil {
			c.Logger().Warn("channel message not sent to node", "channel", h.key, "node", node, "error", err)
			if fault.CodeOf(err) == fault.ServiceUnavailable {
				// It is no member any more, or not yet: then it will say so again.
				delete(h.order.nodes, node)
			}
		}
	}
}
