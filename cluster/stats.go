package cluster

import (
	"sync"
	"sync/atomic"
	"time"
)

// counters count since the start.
type counters struct {
	sent, sentBytes, received, receivedBytes                atomic.Int64
	lost, refused, undelivered, unknown, undecodable, stale atomic.Int64
	brokenLinks, failedRenewals                             atomic.Int64
	asked, served, retried, activations, yields             atomic.Int64
}

// Stats are a node's figures for monitoring. All but Members, Homes, Waiting,
// LeaseAge and Fenced count since the start.
type Stats struct {
	Members int
	// Homes live on this node.
	Homes int
	// Sent and Received are messages between nodes and their bytes.
	Sent, SentBytes, Received, ReceivedBytes int64
	// Waiting are bytes that peers have not acknowledged.
	Waiting int64
	// Lost messages of peers never arrived here; Refused ones found too many
	// waiting; Undelivered ones found a service that did not take them.
	Lost, Refused, Undelivered int64
	// Unknown messages were of a kind that this version does not know, Undecodable
	// ones no messages at all, Stale ones of a node that is no member any more.
	Unknown, Undecodable, Stale int64
	BrokenLinks                 int64
	// Asked are questions to homes from here, Retried their further tries, Served
	// the questions of peers.
	Asked, Retried, Served int64
	// Activations are homes made here, Yields those given up to another node.
	Activations, Yields int64
	FailedRenewals      int64
	LeaseAge            time.Duration
	Fenced              bool
}

// Stats gives the figures now.
func (c *Cluster) Stats() Stats {
	n := &c.counters
	return Stats{
		Members: len(c.Nodes()), Homes: c.homes.Len(),
		Sent: n.sent.Load(), SentBytes: n.sentBytes.Load(), Received: n.received.Load(), ReceivedBytes: n.receivedBytes.Load(),
		Waiting: c.links.waiting(), Lost: n.lost.Load(), Refused: n.refused.Load(), Undelivered: n.undelivered.Load(),
		Unknown: n.unknown.Load(), Undecodable: n.undecodable.Load(), Stale: n.stale.Load(), BrokenLinks: n.brokenLinks.Load(),
		Asked: n.asked.Load(), Retried: n.retried.Load(), Served: n.served.Load(),
		Activations: n.activations.Load(), Yields: n.yields.Load(), FailedRenewals: n.failedRenewals.Load(),
		LeaseAge: c.members.age(), Fenced: c.members.fenced(),
	}
}

// noteEvery is how often the log repeats itself.
const noteEvery = time.Minute

// notes keeps the log from being flooded by what happens for every message.
type notes struct {
	mu   sync.Mutex
	last map[string]time.Time
}

func newNotes() *notes { return &notes{last: map[string]time.Time{}} }

// due tells whether what goes by this name should be logged now. Names come from
// peers: beyond a thousand of them, none is new.
func (n *notes) due(name string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	last, known := n.last[name]
	if !known && len(n.last) >= 1000 || time.Since(last) < noteEvery {
		return false
	}
	n.last[name] = time.Now()
	return true
}
