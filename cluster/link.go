package cluster

import (
	"sync"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"fluxbase/actors/kernel"
	"fluxbase/cluster/frame"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/lease"
)

const (
	// maxWaiting bounds the bytes that a peer has not acknowledged. The library's
	// own queue would grow for ever while a peer is frozen.
	maxWaiting = 16 << 20
	// maxMessage bounds one message.
	maxMessage = 16 << 20
	// stuckAfter is when a peer that acknowledges nothing is tried from a fresh
	// link: what was sent over the old one may be lost.
	stuckAfter = 5 * time.Second
	checkEvery = time.Second
)

// links are the ways to the peers.
type links struct {
	c       *Cluster
	mu      sync.RWMutex
	byID    map[kernel.NodeID]*link
	quit    chan struct{}
	running sync.WaitGroup
}

// link is the way to one peer.
type link struct {
	node lease.Node
	to   *actor.PID

	mu             sync.Mutex
	sequence, sent uint64 // messages and bytes, since the first
	received       uint64 // bytes acknowledged
	progress       time.Time
}

func newLinks(c *Cluster) *links {
	return &links{c: c, byID: map[kernel.NodeID]*link{}, quit: make(chan struct{})}
}

// to gives the link to a member.
func (s *links) to(id kernel.NodeID) (*link, error) {
	s.mu.RLock()
	l := s.byID[id]
	s.mu.RUnlock()
	if l != nil {
		return l, nil
	}
	// Nothing is ever sent to an address that is no member's: the library would
	// try for long, and what waits would be lost.
	n, ok := s.c.members.view().node(id)
	if !ok {
		return nil, fault.New(fault.ServiceUnavailable, "The service is not available").WithCause(errUnreachable)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if l = s.byID[id]; l == nil {
		l = &link{node: n, to: s.c.remote.peer(n.Address), progress: time.Now()}
		s.byID[id] = l
	}
	return l, nil
}

// send sends a frame that counts against the bound.
func (s *links) send(id kernel.NodeID, f *frame.Frame) error {
	if !s.c.members.valid() {
		return kernel.ErrStopped
	}
	if len(f.Data) > maxMessage {
		return fault.Newf(fault.PayloadTooLarge, "a message between nodes is limited to %d bytes", maxMessage)
	}
	l, err := s.to(id)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.sent == l.received {
		l.progress = time.Now()
	} else if l.sent-l.received >= maxWaiting {
		s.c.counters.refused.Add(1)
		return kernel.ErrOverloaded
	}
	f.From = string(s.c.id)
	l.sequence++
	l.sent += uint64(f.Size())
	f.Sequence, f.Offset = l.sequence, l.sent
	bytes := f.Append(make([]byte, 0, f.Size()))
	// Under the lock, so that numbers are sent in order.
	s.c.remote.send(l.to, bytes)
	s.c.counters.sent.Add(1)
	s.c.counters.sentBytes.Add(int64(len(bytes)))
	return nil
}

// acknowledge tells a peer how far its bytes arrived. It is not bounded: it makes
// room.
func (s *links) acknowledge(id kernel.NodeID, offset uint64) {
	l, err := s.to(id)
	if err != nil {
		// A node that joined just now; it is acknowledged when it is known.
		return
	}
	f := frame.Frame{Type: frame.Received, From: string(s.c.id), Offset: offset}
	s.c.remote.send(l.to, f.Append(make([]byte, 0, f.Size())))
}

// acknowledged makes room for more.
func (s *links) acknowledged(id kernel.NodeID, offset uint64) {
	s.mu.RLock()
	l := s.byID[id]
	s.mu.RUnlock()
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if offset > l.received && offset <= l.sent {
		l.received = offset
		l.progress = time.Now()
	}
}

// broken is called when the link to an address ended: what was on its way is lost,
// and will not be acknowledged.
func (s *links) broken(address string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for id, l := range s.byID {
		if l.node.Address != address {
			continue
		}
		s.c.counters.brokenLinks.Add(1)
		l.mu.Lock()
		l.received = l.sent
		l.mu.Unlock()
		// Answers to what was asked over it may be lost, too.
		s.c.pending.fail(id, errUnreachable)
	}
}

// close ends the link to a node that is no member any more.
func (s *links) close(id kernel.NodeID) {
	s.mu.Lock()
	l := s.byID[id]
	delete(s.byID, id)
	s.mu.Unlock()
	if l != nil {
		s.c.remote.cut(l.node.Address)
	}
}

func (s *links) start() {
	s.running.Go(func() {
		tick := time.NewTicker(checkEvery)
		defer tick.Stop()
		acks := time.NewTicker(acknowledgeEvery)
		defer acks.Stop()
		for {
			select {
			case <-s.quit:
				return
			case <-acks.C:
				s.c.inbound.acknowledgeAll()
			case <-tick.C:
				s.check()
			}
		}
	})
}

// check cuts links over which nothing arrives any more.
func (s *links) check() {
	s.mu.RLock()
	var stuck []string
	for _, l := range s.byID {
		l.mu.Lock()
		if l.sent != l.received && time.Since(l.progress) > stuckAfter {
			stuck = append(stuck, l.node.Address)
			l.progress = time.Now()
		}
		l.mu.Unlock()
	}
	s.mu.RUnlock()
	for _, address := range stuck {
		s.c.logger.Warn("a peer acknowledges nothing: its link is made anew", "address", address)
		s.c.remote.cut(address)
	}
}

// waiting is the number of bytes that peers have not acknowledged.
func (s *links) waiting() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var n int64
	for _, l := range s.byID {
		l.mu.Lock()
		n += int64(l.sent - l.received)
		l.mu.Unlock()
	}
	return n
}

func (s *links) stop() {
	close(s.quit)
	s.running.Wait()
	s.mu.RLock()
	ids := make([]kernel.NodeID, 0, len(s.byID))
	for id := range s.byID {
		ids = append(ids, id)
	}
	s.mu.RUnlock()
	for _, id := range ids {
		s.close(id)
	}
}
