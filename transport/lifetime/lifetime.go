// Package lifetime ends the contexts of requests: when they are answered, when
// their time is up, and when their client has hung up.
//
// The HTTP server gives no sign of a client that leaves while its request is
// being worked on, so one goroutine looks at the sockets of the requests that
// take long. A request that is answered at once costs it nothing.
package lifetime

import (
	"context"
	"net"
	"sync"
	"time"
)

// Lifetime is the context of one request. It is never reused: whoever keeps it
// after End sees a cancelled context and nothing else.
type Lifetime struct {
	deadline time.Time
	shard    *shard

	// Guarded by the shard's lock.
	prev, next *Lifetime
	look       time.Time
	pause      time.Duration

	mu    sync.Mutex
	conn  net.Conn
	done  chan struct{}
	err   error
	after map[*func()]struct{}
}

var _ context.Context = (*Lifetime)(nil)

// Deadline is when the request's time is up; ok is false when it has no bound.
func (l *Lifetime) Deadline() (time.Time, bool) { return l.deadline, !l.deadline.IsZero() }

// Done is closed when the request is answered, too late, or nobody's any more.
func (l *Lifetime) Done() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done == nil {
		l.done = make(chan struct{})
		if l.err != nil {
			close(l.done)
		}
	}
	return l.done
}

// Err is context.DeadlineExceeded when time was up, and context.Canceled when
// the client hung up or the request was answered.
func (l *Lifetime) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Value finds nothing: a request's facts travel in messages, not in contexts.
func (l *Lifetime) Value(any) any { return nil }

// AfterFunc runs f in a goroutine of its own once the lifetime is over. Package
// context asks for this method, and needs no goroutine per derived context then.
func (l *Lifetime) AfterFunc(f func()) (stop func() bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err != nil {
		go f()
		return func() bool { return false }
	}
	if l.after == nil {
		l.after = make(map[*func()]struct{}, 1)
	}
	key := &f
	l.after[key] = struct{}{}
	return func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		_, waiting := l.after[key]
		delete(l.after, key)
		return waiting
	}
}

// End tells that the request is answered. It may be called more than once.
func (l *Lifetime) End() {
	l.shard.remove(l)
	l.finish(context.Canceled)
}

// finish ends the lifetime with a reason; the first reason stays.
func (l *Lifetime) finish(reason error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conn = nil
	if l.err != nil {
		return
	}
	l.err = reason
	if l.done != nil {
		close(l.done)
	}
	for f := range l.after {
		go (*f)()
	}
	l.after = nil
}

// gone tells whether the client has closed its side of the connection.
func (l *Lifetime) gone() bool {
	l.mu.Lock()
	conn := l.conn
	l.mu.Unlock()
	return conn != nil && hungUp(conn)
}
