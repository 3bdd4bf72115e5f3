package lifetime

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// How the watch looks at requests. Deadlines are as exact as a tick; most
// requests end before patience and are never looked at.
const (
	tick     = 25 * time.Millisecond
	patience = 50 * time.Millisecond
	maxPause = 500 * time.Millisecond
	shards   = 16
)

// Watch keeps the lifetimes of a server's requests. Make one with NewWatch.
type Watch struct {
	shards [shards]shard
	turn   atomic.Uint32
	asleep atomic.Bool
	wake   chan struct{}
	stop   chan struct{}
	ended  chan struct{}
	once   sync.Once
}

// shard is a list of lifetimes, the oldest first.
type shard struct {
	mu          sync.Mutex
	first, last *Lifetime
}

// NewWatch starts the watch. Close stops it.
func NewWatch() *Watch {
	w := &Watch{wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{})}
	go w.run()
	return w
}

// Close stops looking. Lifetimes that still run are ended.
func (w *Watch) Close() {
	w.once.Do(func() { close(w.stop) })
	<-w.ended
	for i := range w.shards {
		for l := w.shards[i].takeFirst(); l != nil; l = w.shards[i].takeFirst() {
			l.finish(context.Canceled)
		}
	}
}

// Begin starts a lifetime for a request on conn. A timeout of 0 or less means
// that it has no deadline; a nil conn is never looked at.
func (w *Watch) Begin(conn net.Conn, timeout time.Duration) *Lifetime {
	now := time.Now()
	l := &Lifetime{conn: conn, look: now.Add(patience), pause: patience}
	if timeout > 0 {
		l.deadline = now.Add(timeout)
	}
	l.shard = &w.shards[w.turn.Add(1)%shards]
	l.shard.add(l)
	if w.asleep.Load() && w.asleep.CompareAndSwap(true, false) {
		select {
		case w.wake <- struct{}{}:
		default:
		}
	}
	return l
}

func (w *Watch) run() {
	defer close(w.ended)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	var due []*Lifetime
	for {
		select {
		case <-w.stop:
			return
		case now := <-ticker.C:
			due = due[:0]
			busy := false
			for i := range w.shards {
				due = w.shards[i].due(now, due)
				busy = busy || !w.shards[i].empty()
			}
			for i, l := range due {
				w.judge(l, now)
				due[i] = nil
			}
			if busy {
				continue
			}
			// Begin adds before it reads asleep, and here asleep is set before the
			// lists are read again: one of the two sees the other.
			w.asleep.Store(true)
			if w.busy() {
				w.asleep.Store(false)
				continue
			}
			ticker.Stop()
			select {
			case <-w.stop:
				return
			case <-w.wake:
			}
			ticker.Reset(tick)
		}
	}
}

func (w *Watch) busy() bool {
	for i := range w.shards {
		if !w.shards[i].empty() {
			return true
		}
	}
	return false
}

func (w *Watch) judge(l *Lifetime, now time.Time) {
	switch {
	case !l.deadline.IsZero() && !now.Before(l.deadline):
		l.finish(context.DeadlineExceeded)
	case l.gone():
		l.finish(context.Canceled)
	}
}

func (s *shard) add(l *Lifetime) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l.prev = s.last
	if s.last == nil {
		s.first = l
	} else {
		s.last.next = l
	}
	s.last = l
}

// remove takes l out of the list; a lifetime that is not in it stays out.
func (s *shard) remove(l *Lifetime) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.unlink(l)
}

func (s *shard) unlink(l *Lifetime) {
	if l.prev == nil && s.first != l {
		return
	}
	if l.prev == nil {
		s.first = l.next
	} else {
		l.prev.next = l.next
	}
	if l.next == nil {
		s.last = l.prev
	} else {
		l.next.prev = l.prev
	}
	l.prev, l.next = nil, nil
}

func (s *shard) takeFirst() *Lifetime {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.first
	if l != nil {
		s.unlink(l)
	}
	return l
}

func (s *shard) empty() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.first == nil
}

// due appends the lifetimes that want a look now: their deadline has come, or
// their pause is over. Pauses grow, so that many slow requests stay cheap.
func (s *shard) due(now time.Time, to []*Lifetime) []*Lifetime {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := s.first; l != nil; l = l.next {
		late := !l.deadline.IsZero() && !now.Before(l.deadline)
		if !late && now.Before(l.look) {
			continue
		}
		l.pause = min(2*l.pause, maxPause)
		l.look = now.Add(l.pause)
		to = append(to, l)
	}
	return to
}
