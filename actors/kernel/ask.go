package kernel

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"

	"fluxbase/persistence/fault"
)

// Target is what can be asked: a Ref or a *Pool.
type Target interface {
	ask(ctx context.Context, msg any) (any, error)
}

// Ask sends msg and waits for the reply, which must be an R; a nil reply is the
// zero R. It belongs to the edges (HTTP handlers, tasks): an actor that calls it
// in Receive blocks itself.
//
// When ctx ends first, the error is TIMEOUT or CANCELED; a receiver that has not
// taken the message yet will not.
func Ask[R any](ctx context.Context, to Target, msg any) (R, error) {
	var zero R
	if ctx.Err() != nil {
		return zero, ended(ctx)
	}
	res, err := to.ask(ctx, msg)
	if err != nil || res == nil {
		return zero, err
	}
	reply, ok := res.(R)
	if !ok {
		return zero, fault.New(fault.InternalError, "Internal server error").
			WithCause(fmt.Errorf("asked with %T for %T, got %T", msg, zero, res))
	}
	return reply, nil
}

// The states of a request.
const (
	stateOpen int32 = iota
	stateAnswered
	stateAbandoned
)

// Request is an Ask that is being answered later. Its methods are safe for
// concurrent use. It is answered exactly once: later answers are ignored, and
// when its actor stops or crashes first, the kernel answers it.
type Request struct {
	ctx   context.Context
	ready chan struct{}
	value any
	err   error
	state atomic.Int32

	// explicit: the actor took it and will answer by itself. holds: tasks whose
	// continuation may still answer. Both belong to the actor's goroutine.
	explicit bool
	holds    int

	// The list of the actor that keeps it, guarded by the actor's lock.
	owner      atomic.Pointer[cell]
	next, prev *Request
}

// signals are reused: each carries one signal at a time, and one whose signal was
// not received is not put back.
var signals = sync.Pool{New: func() any { return make(chan struct{}, 1) }}

func newRequest(ctx context.Context) *Request {
	return &Request{ctx: ctx, ready: signals.Get().(chan struct{})}
}

// Context is the asker's: it ends when nobody waits for the answer any more.
func (r *Request) Context() context.Context { return r.ctx }

// Reply answers with v. A v that is an error is the asker's error.
func (r *Request) Reply(v any) {
	if err, ok := v.(error); ok {
		r.answer(nil, err)
		return
	}
	r.answer(v, nil)
}

// Fail answers with err.
func (r *Request) Fail(err error) { r.answer(nil, err) }

// answer tells whether this was the answer.
func (r *Request) answer(v any, err error) bool {
	if !r.state.CompareAndSwap(stateOpen, stateAnswered) {
		return false
	}
	r.forget()
	r.value, r.err = v, err
	r.ready <- struct{}{}
	return true
}

func (r *Request) wait() (any, error) {
	select {
	case <-r.ready:
	case <-r.ctx.Done():
		if r.state.CompareAndSwap(stateOpen, stateAbandoned) {
			r.forget()
			return nil, ended(r.ctx)
		}
		// The answer is on its way.
		<-r.ready
	}
	signals.Put(r.ready)
	return r.value, r.err
}

// drop gives a request up that never reached an actor.
func (r *Request) drop() { signals.Put(r.ready) }

func (r *Request) isAbandoned() bool { return r.state.Load() == stateAbandoned }
func (r *Request) isOpen() bool      { return r.state.Load() == stateOpen }
func (r *Request) isKept() bool      { return r.explicit || r.holds > 0 }

// unanswered answers for an actor that let go of a request without answering:
// the asker would wait for its whole timeout.
func (r *Request) unanswered(c *cell) {
	if !r.isOpen() {
		return
	}
	silent := fmt.Errorf("actor %s did not answer", Ref{c}.Name())
	if r.answer(nil, fault.New(fault.InternalError, "Internal server error").WithCause(silent)) {
		c.log().Error("a request was not answered")
	}
}

// keep puts the request on the list of those that c answers later.
func (r *Request) keep(c *cell) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.owner.Load() == c {
		return
	}
	r.owner.Store(c)
	if r.isOpen() {
		c.detached.add(r)
	}
}

// forget takes the request off its owner's list.
func (r *Request) forget() {
	c := r.owner.Load()
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.detached.remove(r)
}

// requestList is a doubly linked list through the requests themselves.
type requestList struct{ first *Request }

func (l *requestList) add(r *Request) {
	r.next, r.prev = l.first, nil
	if l.first != nil {
		l.first.prev = r
	}
	l.first = r
}

func (l *requestList) remove(r *Request) {
	switch {
	case r.prev != nil:
		r.prev.next = r.next
	case l.first == r:
		l.first = r.next
	default:
		return
	}
	if r.next != nil {
		r.next.prev = r.prev
	}
	r.next, r.prev = nil, nil
}

func (l *requestList) take() []*Request {
	var all []*Request
	for l.first != nil {
		r := l.first
		l.remove(r)
		all = append(all, r)
	}
	return all
}
