package kernel

import (
	"sync/atomic"
	"time"
)

// Timer is a message that an actor sends to itself later.
type Timer struct {
	cell  *cell
	msg   any
	clock *time.Timer
	over  atomic.Bool
}

// After sends msg to this actor in d, unless the Timer is cancelled or the
// incarnation ends before.
func (c *Context) After(d time.Duration, msg any) *Timer {
	t := &Timer{cell: c.cell, msg: msg}
	c.cell.mu.Lock()
	defer c.cell.mu.Unlock()
	if c.cell.isEnded || c.cell.leaving {
		t.over.Store(true)
		return t
	}
	if c.cell.timers == nil {
		c.cell.timers = map[*Timer]struct{}{}
	}
	c.cell.timers[t] = struct{}{}
	t.clock = time.AfterFunc(d, func() { c.cell.postOwn(t) })
	return t
}

// Cancel makes sure that the message is not handled any more. It may be called
// on a nil Timer, and from any goroutine.
func (t *Timer) Cancel() {
	if t == nil || !t.end() {
		return
	}
	t.clock.Stop()
}

// due tells, when the message is about to be handled, whether it still should be.
func (t *Timer) due() bool { return t.end() }

func (t *Timer) end() bool {
	if t.over.Swap(true) {
		return false
	}
	t.cell.mu.Lock()
	defer t.cell.mu.Unlock()
	delete(t.cell.timers, t)
	return true
}
