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

// HomeOptions say what homes remember.
type HomeOptions struct {
	// Limits are those of channels that no rule matches. The first rule that does
	// counts.
	Limits HistoryLimits
	Rules  []HistoryRule
	// History keeps what outlives a home; nil keeps nothing. Where it is, a message
	// is acknowledged when it is there, and refused when it cannot be put there.
	History kernel.History
}

// home is the actor that makes a channel's order.
type home struct {
	key       string
	placement kernel.Placement
	limits    HistoryLimits
	order     *order
	// told is the offset up to which messages were sent; those beyond are on their
	// way into the history.
	told  uint64
	store *store // nil when the history lives in this actor only
}

type homeTicked struct{}

// RegisterHome lets this node be the home of channels. Call it once, before the
// node takes part in the cluster.
func RegisterHome(p kernel.Placement, o HomeOptions) {
	p.RegisterKind(Kind, func(key string, epoch uint64) kernel.Props {
		limits := o.limitsOf(parseKey(key).Name)
		return kernel.Props{
			New: func() kernel.Actor {
				h := &home{key: key, placement: p, limits: limits, order: newOrder(epoch, limits)}
				if o.History != nil && !limits.None {
					h.store = &store{history: o.History, key: key}
				}
				return h
			},
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
		if h.store != nil {
			h.claim(c)
		}
	case kernel.FromNode:
		if h.store == nil {
			h.answer(c.Request(), m)
		} else {
			h.ask(c, question{c.Request(), m})
		}
	case homeTicked:
		h.tick(c)
	case kernel.Stopping:
		h.leave()
	}
}

func (h *home) tick(c *kernel.Context) {
	unused := h.order.expire(time.Now())
	switch {
	case h.store != nil && h.store.busy():
	case unused:
		c.Stop()
		return
	case h.store != nil && h.store.claimed():
		h.renew(c)
	}
	c.After(homeTick, homeTicked{})
}

// answer answers a question at once, as far as it does not have to wait for the
// history.
func (h *home) answer(r *kernel.Request, m kernel.FromNode) {
	now := time.Now()
	switch q := m.Msg.(type) {
	case *publishBatch:
		offsets, fresh, first := h.order.publish(now, q.Messages)
		h.told = h.order.offset
		h.send(&deliver{Key: h.key, Epoch: h.order.epoch, Offset: first, Messages: fresh})
		r.Reply(h.numbered(m.From, offsets))
	case *interest:
		h.order.watch(string(m.From), q.Members, now.Add(interestLease))
		r.Reply(&interested{Epoch: h.order.epoch, Offset: h.told})
	case *fetch:
		r.Reply(h.remembered(q))
	default:
		r.Fail(fault.New(fault.InternalError, "a channel's home does not know this message"))
	}
}

func (h *home) numbered(from kernel.NodeID, offsets []uint64) *numbered {
	return &numbered{Epoch: h.order.epoch, Offsets: offsets, Elsewhere: h.order.elsewhere(string(from))}
}

// remembered is what the history has for a node or for a member that comes back.
func (h *home) remembered(q *fetch) *fetched {
	answer := &fetched{Epoch: h.order.epoch, Offset: q.From, Newest: h.told}
	if q.Epoch == h.order.epoch && !(q.To == 0 && h.limits.None) {
		answer.Messages = h.order.fetch(q.From, min(cmp.Or(q.To, h.told), h.told))
	}
	return answer
}

// send brings messages to every node that has members. A node that cannot be
// reached finds the hole by the next number or when it renews its interest.
func (h *home) send(d *deliver) {
	if len(d.Messages) == 0 {
		return
	}
	for node := range h.order.nodes {
		if err := h.placement.Tell(kernel.NodeID(node), Service, d); fault.CodeOf(err) == fault.ServiceUnavailable {
			// It is no member any more, or not yet: then it will say so again.
			delete(h.order.nodes, node)
		}
	}
}

// leave tells the nodes that there will be nothing more from this home, and what its
// last message was: whoever has that has missed nothing.
func (h *home) leave() {
	for node := range h.order.nodes {
		// A node that does not hear it takes the next home's epoch for a loss.
		_ = h.placement.Tell(kernel.NodeID(node), Service, &closed{Key: h.key, Epoch: h.order.epoch, Offset: h.told})
	}
}
