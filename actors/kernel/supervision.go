package kernel

import (
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"fluxbase/persistence/fault"
)

// Backoff is how long a crashed actor waits for its restart: First, doubled with
// each crash up to Most, a fifth more or less. An actor that ran for Reset is
// trusted again.
type Backoff struct {
	First, Most, Reset time.Duration
}

// delay is the wait after the nth crash in a row.
func (b Backoff) delay(n int) time.Duration {
	d := b.First
	for i := 1; i < n && d < b.Most; i++ {
		d *= 2
	}
	d = min(d, b.Most)
	if d <= 0 {
		return 0
	}
	return d*4/5 + rand.N(d*2/5+1)
}

// crash is what a cell panics with after it dealt with the panic of its actor.
type crash struct {
	cell  *cell
	value any
}

func (c *crash) String() string { return fmt.Sprint(c.value) }

// settle ends a call of the actor. It must be deferred directly.
func (c *cell) settle() {
	r := recover()
	req := c.ctx.req
	c.ctx.req = nil
	if r == nil {
		if req != nil && !req.isKept() {
			req.unanswered(c)
		}
		return
	}
	c.logCrash("actor panicked", r)
	c.sys.crashes.Add(1)
	failed := fault.New(fault.InternalError, "Internal server error").WithCause(fmt.Errorf("panic in actor %s: %v", Ref{c}.Name(), r))
	if req != nil {
		req.answer(nil, failed)
	}
	c.reset(failed)
	now := time.Now()
	if now.Sub(c.lastCrash) > c.sys.backoff.Reset {
		c.crashes = 0
	}
	c.crashes++
	c.lastCrash = now
	if c.closed.Load() {
		// It is going anyway. A failure now would have it restarted instead.
		return
	}
	panic(&crash{cell: c, value: r})
}

func (c *cell) logCrash(what string, value any) {
	c.log().Error(what, "panic", fmt.Sprint(value), "stack", string(debug.Stack()))
}

// restartLater sends the restart when the back-off is over.
func (c *cell) restartLater() {
	delay := c.sys.backoff.delay(c.crashes)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed.Load() {
		return
	}
	c.backoff = time.AfterFunc(delay, func() {
		c.sys.restarts.Add(1)
		c.PostSystemMessage(&actor.Restart{})
	})
}

// supervision is the strategy of every parent: the child's own Props decide.
type supervision struct{}

// HandleFailure implements actor.SupervisorStrategy. It runs on the parent's
// goroutine while the child's mailbox is suspended.
func (supervision) HandleFailure(_ *actor.ActorSystem, parent actor.Supervisor, child *actor.PID, _ *actor.RestartStatistics, reason, _ any) {
	failed, ok := reason.(*crash)
	if !ok || failed.cell.props.OnCrash == Stop {
		parent.StopChildren(child)
		return
	}
	failed.cell.restartLater()
}
