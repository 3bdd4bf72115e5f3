package cluster

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"fluxbase/actors/kernel"
	"fluxbase/cluster/frame"
	"fluxbase/persistence/fault"
)

const (
	// A receiver acknowledges after so many bytes, and otherwise this often.
	acknowledgeBytes = 256 << 10
	acknowledgeEvery = 50 * time.Millisecond
	// maxAsking bounds the questions of peers that are being answered.
	maxAsking = 8192
	// maxBudget bounds how long an answer may take.
	maxBudget = 30 * time.Second
)

// gateway is the process that peers send to. It runs on the goroutine that reads
// a link, and never blocks it, but for the moment in which peers know already of
// a node that is joining.
type gateway struct{ c *Cluster }

var _ actor.Process = (*gateway)(nil)

// SendUserMessage implements actor.Process.
func (g *gateway) SendUserMessage(_ *actor.PID, message any) {
	_, msg, _ := actor.UnwrapEnvelope(message)
	bytes, ok := msg.(*wrapperspb.BytesValue)
	if !ok {
		g.c.counters.undecodable.Add(1)
		return
	}
	// Decoders belong to other packages: their bugs must not end the link.
	defer func() {
		if r := recover(); r != nil {
			g.c.counters.undecodable.Add(1)
			g.c.logger.Error("a message of another node made its reader panic", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
		}
	}()
	select {
	case <-g.c.ready:
		g.c.receive(bytes.Value)
	case <-g.c.life.Done():
	}
}

// SendSystemMessage implements actor.Process: peers may neither stop nor watch it.
func (g *gateway) SendSystemMessage(*actor.PID, any) { g.c.counters.undecodable.Add(1) }

// Stop implements actor.Process.
func (g *gateway) Stop(*actor.PID) {}

// inbound is what has arrived from each peer.
type inbound struct {
	c    *Cluster
	mu   sync.Mutex
	from map[kernel.NodeID]*arrivals
}

type arrivals struct{ sequence, offset, acknowledged uint64 }

func newInbound(c *Cluster) *inbound { return &inbound{c: c, from: map[kernel.NodeID]*arrivals{}} }

// note counts a frame in: it sees what is missing, and acknowledges.
func (in *inbound) note(id kernel.NodeID, f *frame.Frame) {
	if f.Sequence == 0 {
		return
	}
	in.mu.Lock()
	a := in.from[id]
	if a == nil {
		a = &arrivals{}
		in.from[id] = a
	}
	if lost := int64(f.Sequence) - int64(a.sequence) - 1; lost > 0 {
		in.c.counters.lost.Add(lost)
		in.c.logger.Warn("messages of another node were lost with their link", "from", id, "lost", lost)
	}
	a.sequence, a.offset = max(a.sequence, f.Sequence), max(a.offset, f.Offset)
	var due uint64
	if a.offset-a.acknowledged >= acknowledgeBytes {
		a.acknowledged, due = a.offset, a.offset
	}
	in.mu.Unlock()
	if due > 0 {
		in.c.links.acknowledge(id, due)
	}
}

// acknowledgeAll acknowledges what came since the last time.
func (in *inbound) acknowledgeAll() {
	type due struct {
		id     kernel.NodeID
		offset uint64
	}
	var all []due
	in.mu.Lock()
	for id, a := range in.from {
		if a.offset > a.acknowledged {
			a.acknowledged = a.offset
			all = append(all, due{id, a.offset})
		}
	}
	in.mu.Unlock()
	for _, d := range all {
		in.c.links.acknowledge(d.id, d.offset)
	}
}

func (in *inbound) forget(id kernel.NodeID) {
	in.mu.Lock()
	defer in.mu.Unlock()
	delete(in.from, id)
}

// receive handles what a peer sent.
func (c *Cluster) receive(b []byte) {
	f, err := frame.Decode(b)
	if err != nil {
		c.counters.undecodable.Add(1)
		if c.notes.due("frame") {
			c.logger.Error("a message of another node cannot be read", "error", err, "bytes", len(b))
		}
		return
	}
	from := kernel.NodeID(f.From)
	if !c.members.valid() || c.members.hasDeparted(from) {
		c.counters.stale.Add(1)
		return
	}
	c.counters.received.Add(1)
	c.counters.receivedBytes.Add(int64(len(b)))
	if _, known := c.members.view().node(from); !known {
		c.members.refresh()
	}
	c.inbound.note(from, &f)
	switch f.Type {
	case frame.Tell:
		c.deliver(from, &f)
	case frame.Ask:
		c.answerLater(from, &f, c.serve)
	case frame.Yield:
		c.answerLater(from, &f, c.yield)
	case frame.Answer:
		c.pending.answer(&f)
	case frame.Received:
		c.links.acknowledged(from, f.Offset)
	default:
		c.unknown("frame type", fmt.Sprint(f.Type), from)
	}
}

// deliver brings a Tell to its service.
func (c *Cluster) deliver(from kernel.NodeID, f *frame.Frame) {
	r, ok := c.services.Load(f.Name)
	if !ok {
		c.unknown("service", f.Name, from)
		return
	}
	msg, err := kernel.DecodeWire(f.Kind, f.Data)
	if err != nil {
		c.unreadable(f, from, err)
		return
	}
	if err := r.(kernel.Ref).Tell(kernel.FromNode{From: from, Msg: msg}); err != nil {
		c.counters.undelivered.Add(1)
		if c.notes.due("service " + f.Name) {
			c.logger.Warn("a service does not take messages of other nodes", "service", f.Name, "error", err)
		}
	}
}

func (c *Cluster) unknown(what, name string, from kernel.NodeID) {
	c.counters.unknown.Add(1)
	if c.notes.due(what + name) {
		c.logger.Warn("another node says what this one does not understand", "what", what, "name", name, "from", from)
	}
}

func (c *Cluster) unreadable(f *frame.Frame, from kernel.NodeID, err error) {
	c.counters.unknown.Add(1)
	if c.notes.due("kind " + f.Kind) {
		c.logger.Warn("a message of another node cannot be read", "kind", f.Kind, "from", from, "error", err)
	}
}

// answerLater answers a question on a goroutine of its own.
func (c *Cluster) answerLater(from kernel.NodeID, f *frame.Frame, answer func(ctx context.Context, from kernel.NodeID, f *frame.Frame) frame.Frame) {
	select {
	case c.asking <- struct{}{}:
	default:
		c.counters.refused.Add(1)
		c.reply(from, f.ID, refusal(kernel.ErrOverloaded))
		return
	}
	question := *f
	started := c.task(func() {
		defer func() { <-c.asking }()
		budget := maxBudget
		if question.Budget > 0 {
			budget = min(budget, time.Duration(question.Budget)*time.Millisecond)
		}
		ctx, cancel := context.WithTimeout(c.life, budget)
		defer cancel()
		defer func() {
			if r := recover(); r != nil {
				c.logger.Error("answering another node panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
				c.reply(from, question.ID, refusal(fault.New(fault.InternalError, "Internal server error")))
			}
		}()
		c.reply(from, question.ID, answer(ctx, from, &question))
	})
	if !started {
		<-c.asking
	}
}

func (c *Cluster) reply(to kernel.NodeID, id uint64, answer frame.Frame) {
	answer.Type, answer.ID = frame.Answer, id
	if err := c.links.send(to, &answer); err != nil && c.notes.due("reply") {
		c.logger.Warn("an answer to another node could not be sent", "to", to, "error", err)
	}
}
