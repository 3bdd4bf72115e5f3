package cluster

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/lease"
)

const (
	retryRenewal  = 250 * time.Millisecond
	watchdogEvery = 100 * time.Millisecond
	soonAfter     = 10 * time.Millisecond
	// Nodes that departed longer ago are forgotten.
	departedFor = time.Hour
)

// membership holds this node's lease and knows who else has one.
type membership struct {
	c       *Cluster
	session *lease.Session
	self    lease.Node

	current atomic.Pointer[view]
	// renewed is when the last successful renewal was sent, by the monotonic clock.
	// The database counts the lease from a later moment.
	renewed atomic.Int64
	joined  atomic.Bool
	over    atomic.Bool // fenced, or has left
	// doubtful: the machine may have slept, so the lease counts for nothing until
	// it was renewed.
	doubtful atomic.Bool
	ring     chan struct{} // read the list
	hurry    chan struct{} // renew the lease
	news     chan struct{} // the list has changed
	quit     chan struct{}
	running  sync.WaitGroup
	fencing  sync.Once

	mu       sync.Mutex
	watchers map[int]func([]kernel.NodeID)
	next     int
	// departed are the nodes that were members and are not any more, and since when.
	departed map[kernel.NodeID]time.Time
}

func newMembership(c *Cluster, self lease.Node) *membership {
	m := &membership{
		c: c, session: c.o.Store.Session(), self: self,
		ring: make(chan struct{}, 1), hurry: make(chan struct{}, 1), news: make(chan struct{}, 1), quit: make(chan struct{}),
		watchers: map[int]func([]kernel.NodeID){}, departed: map[kernel.NodeID]time.Time{},
	}
	m.current.Store(newView([]lease.Node{self}))
	return m
}

// clock is the monotonic time since some moment before the process's first lease.
var clockBase = time.Now()

func clock() int64 { return int64(time.Since(clockBase)) }

func (m *membership) join(ctx context.Context) error {
	sent := clock()
	var err error
	if m.self, err = m.session.Join(ctx, m.self, m.c.o.Lease); err != nil {
		return errors.Join(err, m.session.Close(ctx))
	}
	m.renewed.Store(sent)
	alive, err := m.session.Alive(ctx)
	if err != nil {
		return errors.Join(err, m.session.Close(ctx))
	}
	m.current.Store(newView(alive))
	m.joined.Store(true)
	return nil
}

func (m *membership) start() {
	m.running.Go(m.run)
	m.running.Go(m.watchdog)
	m.running.Go(m.announce)
}

// valid tells whether the node may act now. It is asked before each message that
// is handled or sent for others, so that a process that slept finds out first.
func (m *membership) valid() bool {
	return m.joined.Load() && !m.over.Load() && !m.doubtful.Load() && m.age() < m.c.o.Fence
}

// fenced tells whether the node must not act any more.
func (m *membership) fenced() bool {
	return m.joined.Load() && (m.over.Load() || m.age() >= m.c.o.Fence)
}

// patience bounds one question to the database, so that a connection that hangs
// leaves time for another.
func (m *membership) patience() time.Duration { return m.c.o.Fence * 3 / 8 }

// age is how long ago the lease was renewed.
func (m *membership) age() time.Duration { return time.Duration(clock() - m.renewed.Load()) }

func (m *membership) view() *view { return m.current.Load() }

// run renews the lease and reads the list of members.
func (m *membership) run() {
	renewal, poll := time.NewTimer(m.c.o.Renew), time.NewTimer(m.c.o.Poll)
	defer renewal.Stop()
	defer poll.Stop()
	for {
		select {
		case <-m.quit:
			return
		case <-renewal.C:
			m.renewAgain(renewal)
		case <-m.hurry:
			m.renewAgain(renewal)
		case <-poll.C:
			m.read()
		case <-m.ring:
			m.read()
		}
		poll.Reset(m.nextRead())
	}
}

func (m *membership) renewAgain(next *time.Timer) {
	if m.renew() {
		next.Reset(m.c.o.Renew)
	} else {
		next.Reset(retryRenewal)
	}
}

// nextRead is when the list is to be read again: no later than the next lease runs
// out, for it rings nothing.
func (m *membership) nextRead() time.Duration {
	next := m.c.o.Poll
	for _, n := range m.view().nodes {
		if n.ID != m.self.ID {
			next = min(next, n.Remaining+soonAfter)
		}
	}
	return max(next, soonAfter)
}

func (m *membership) renew() bool {
	ctx, cancel := context.WithTimeout(context.Background(), m.patience())
	defer cancel()
	sent := clock()
	alive, err := m.session.Renew(ctx, m.self, m.c.o.Lease)
	switch {
	case errors.Is(err, lease.ErrLost):
		m.fence("its lease ran out")
		return true
	case err != nil:
		m.c.counters.failedRenewals.Add(1)
		m.c.logger.Warn("the lease could not be renewed", "error", err, "age", m.age().String())
		return false
	}
	m.renewed.Store(sent)
	m.doubtful.Store(false)
	m.see(alive)
	return true
}

func (m *membership) read() {
	ctx, cancel := context.WithTimeout(context.Background(), m.patience())
	defer cancel()
	alive, err := m.session.Alive(ctx)
	if err != nil {
		m.c.logger.Warn("the list of members could not be read", "error", err)
		return
	}
	m.see(alive)
}

// refresh has the list read soon.
func (m *membership) refresh() { signal(m.ring) }

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// see takes a list over.
func (m *membership) see(alive []lease.Node) {
	before, now := m.current.Load(), newView(alive)
	if _, ok := now.node(m.c.id); !ok {
		// The next renewal says so for certain.
		return
	}
	if before.equal(now) {
		// The same members; what remains of their leases is new.
		m.current.Store(now)
		return
	}
	m.mu.Lock()
	for id, since := range m.departed {
		if time.Since(since) > departedFor {
			delete(m.departed, id)
		}
	}
	for _, id := range before.ids {
		if _, ok := now.node(id); !ok {
			m.departed[id] = time.Now()
		}
	}
	m.mu.Unlock()
	m.current.Store(now)
	m.c.logger.Info("members changed", "members", now.ids)
	signal(m.news)
}

// announce tells everybody of changes: on a goroutine of its own, so that nobody
// can keep a renewal waiting.
func (m *membership) announce() {
	before := m.view()
	for {
		select {
		case <-m.quit:
			return
		case <-m.news:
		}
		now := m.view()
		for _, n := range before.nodes {
			if _, ok := now.node(kernel.NodeID(n.ID)); !ok {
				m.c.forget(n)
			}
		}
		before = now
		m.c.homes.Keep(func(kind, key string) bool { return m.view().home(kind, key) == m.c.id })
		m.mu.Lock()
		watchers := slices.Collect(maps.Values(m.watchers))
		m.mu.Unlock()
		for _, f := range watchers {
			f(now.ids)
		}
	}
}

// hasDeparted tells whether the node was a member once and is not any more.
func (m *membership) hasDeparted(id kernel.NodeID) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	_, ok := m.departed[id]
	return ok
}

func (m *membership) watch(f func([]kernel.NodeID)) (cancel func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	id := m.next
	m.next++
	m.watchers[id] = f
	return func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.watchers, id)
	}
}

// watchdog fences the node when its lease was not renewed in time. It does
// nothing else, so that nothing can keep it.
//
// The monotonic clock stands still while a virtual machine is suspended, the wall
// clock does not: when it ran ahead, the lease is renewed before anything is done
// on the strength of it.
func (m *membership) watchdog() {
	tick := time.NewTicker(watchdogEvery)
	defer tick.Stop()
	wall, monotonic := time.Now().Round(0), clock()
	for {
		select {
		case <-m.quit:
			return
		case <-tick.C:
			if age := m.age(); age >= m.c.o.Fence {
				m.fence("its lease was not renewed for " + age.Round(time.Millisecond).String())
			}
			wallNow, monotonicNow := time.Now().Round(0), clock()
			if ahead := wallNow.Sub(wall) - time.Duration(monotonicNow-monotonic); ahead >= m.c.o.Fence/2 {
				m.c.logger.Warn("the clock jumped: the lease is renewed first", "ahead", ahead.String())
				m.doubtful.Store(true)
				signal(m.hurry)
			}
			wall, monotonic = wallNow, monotonicNow
		}
	}
}

// fence ends the node's part in the cluster for good.
func (m *membership) fence(reason string) {
	m.fencing.Do(func() {
		if m.over.Swap(true) {
			return
		}
		m.c.logger.Error("fenced: this node must end", "reason", reason)
		if m.c.o.Fenced != nil {
			go m.c.o.Fenced(&FencedError{reason})
		}
	})
}

// leave gives the lease back; a fenced node has none.
func (m *membership) leave(ctx context.Context) error {
	close(m.quit)
	m.running.Wait()
	fenced := m.over.Swap(true)
	var err error
	if !fenced {
		err = m.session.Leave(ctx, m.self)
	}
	return errors.Join(err, m.session.Close(ctx))
}

// forget ends what was going on with a node that is no member any more.
func (c *Cluster) forget(n lease.Node) {
	id := kernel.NodeID(n.ID)
	c.links.close(id)
	c.inbound.forget(id)
	c.pending.fail(id, errUnreachable)
}
