package kernel

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"fluxbase/persistence/fault"
)

// continuation brings the result of a task back to its actor.
type continuation struct {
	generation uint64
	req        *Request
	then       func(c *Context, res any, err error)
	res        any
	err        error
}

// Go runs work on a goroutine of its own and then, as a message of this actor,
// calls then (which may be nil) with what it gave. work must not touch the actor
// or its Context. Its context ends after timeout (0: never) and when the actor
// stops or crashes; after a restart then is not called. A panic in work is an
// INTERNAL_ERROR.
//
// then may Reply to the Ask that was being handled when Go was called. Go sets no
// limit on the number of tasks: the caller, or the mailbox it reads from, does.
func (c *Context) Go(timeout time.Duration, work func(context.Context) (any, error), then func(c *Context, res any, err error)) {
	cell := c.cell
	done := &continuation{generation: cell.generation, then: then}
	if c.req != nil && c.req.isOpen() && then != nil {
		done.req = c.req
		c.req.holds++
		c.req.keep(cell)
	}
	life := cell.taskLife()
	cell.sys.tasks.Add(1)
	go func() {
		defer cell.sys.tasks.Done()
		ctx, cancel := life, context.CancelFunc(func() {})
		if timeout > 0 {
			ctx, cancel = context.WithTimeout(life, timeout)
		}
		defer cancel()
		done.res, done.err = protect(ctx, cell.sys, work)
		if then != nil {
			cell.postOwn(done)
		}
	}()
}

// protect turns a panic of work into an error.
func protect(ctx context.Context, s *System, work func(context.Context) (any, error)) (res any, err error) {
	defer func() {
		if r := recover(); r != nil {
			s.crashes.Add(1)
			s.logger.Error("task panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			res, err = nil, fault.New(fault.InternalError, "Internal server error").WithCause(fmt.Errorf("panic in task: %v", r))
		}
	}()
	return work(ctx)
}

// taskLife is the context of the incarnation's tasks.
func (c *cell) taskLife() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.life == nil {
		c.life, c.endLife = context.WithCancel(context.Background())
		if c.isEnded {
			c.endLife()
		}
	}
	return c.life
}

// resume calls the continuation of a task.
func (c *cell) resume(m *continuation) {
	if m.req != nil {
		m.req.holds--
	}
	c.ctx.req = m.req
	defer c.settle()
	m.then(&c.ctx, m.res, m.err)
}
