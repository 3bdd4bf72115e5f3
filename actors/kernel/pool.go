package kernel

import (
	"context"
	"fmt"
	"runtime/debug"
	"sync"

	"fluxbase/persistence/fault"
)

// Worker does the work of a Pool, one message at a time. It may block. ctx ends
// when the asker's does and when the pool stops.
type Worker interface {
	Handle(ctx context.Context, msg any) (any, error)
}

// WorkerFunc makes a Worker of a function.
type WorkerFunc func(ctx context.Context, msg any) (any, error)

// Handle calls f.
func (f WorkerFunc) Handle(ctx context.Context, msg any) (any, error) { return f(ctx, msg) }

// PoolProps describe a pool to be.
type PoolProps struct {
	// Name as in Props.
	Name string
	// Workers is how many messages are worked on at once; at least 1.
	Workers int
	// Queue is how many more may wait.
	Queue int
	// New makes a worker: for each at the start, and for one that panicked.
	New func() Worker
}

// PoolStats describe a pool at a moment.
type PoolStats struct {
	Workers, Busy, Waiting int
	// Done and Refused count since the start.
	Done, Refused int64
}

// Pool is a number of workers behind a bounded queue. An Ask finds an idle worker,
// or waits in the queue, or is refused at once with ErrOverloaded: one tenant's
// flood fills its own pool and nobody else's.
type Pool struct {
	props  PoolProps
	sys    *System
	leader *cell // parent of the workers

	mu            sync.Mutex
	idle          []*poolWorker
	busy          map[*poolWorker]struct{}
	waiting       queue
	closed        bool
	done, refused int64
}

// SpawnPool makes a top-level pool.
func (s *System) SpawnPool(p PoolProps) (*Pool, error) {
	return newPool(s, p, s.spawn)
}

// SpawnPool makes a pool that stops with this actor.
func (c *Context) SpawnPool(p PoolProps) (*Pool, error) {
	return newPool(c.cell.sys, p, c.cell.spawn)
}

func newPool(s *System, props PoolProps, spawn func(p Props, onClose, onEnd func()) (*cell, error)) (*Pool, error) {
	props.Workers = max(1, props.Workers)
	p := &Pool{props: props, sys: s, busy: map[*poolWorker]struct{}{}}
	leader, err := spawn(Props{Name: props.Name, New: func() Actor { return Func(p.lead) }}, p.close, nil)
	if err != nil {
		return nil, err
	}
	p.leader = leader
	return p, nil
}

// lead makes the workers. Work that comes before they have started waits for them.
func (p *Pool) lead(c *Context, msg any) {
	if _, ok := msg.(Started); !ok {
		return
	}
	for i := range p.props.Workers {
		_, err := c.Spawn(Props{Name: fmt.Sprintf("worker%d", i+1), New: func() Actor { return &poolWorker{pool: p} }})
		if err != nil {
			// Only when it is told to stop already.
			return
		}
	}
}

// Stop refuses what waits with ErrStopped, ends the contexts of what is being
// worked on, and stops the workers.
func (p *Pool) Stop() { p.leader.stop() }

// Done is closed when no worker is left.
func (p *Pool) Done() <-chan struct{} { return p.leader.whenDone() }

// Stats are for monitoring.
func (p *Pool) Stats() PoolStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PoolStats{
		Workers: p.props.Workers, Busy: len(p.busy), Waiting: p.waiting.size, Done: p.done, Refused: p.refused,
	}
}

func (p *Pool) ask(ctx context.Context, msg any) (any, error) {
	req := newRequest(ctx)
	if err := p.admit(entry{msg, req}); err != nil {
		req.drop()
		return nil, err
	}
	return req.wait()
}

func (p *Pool) admit(e entry) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrStopped
	}
	if n := len(p.idle); n > 0 {
		w := p.idle[n-1]
		if err := w.self.Tell(e); err != nil {
			return err
		}
		p.idle = p.idle[:n-1]
		p.busy[w] = struct{}{}
		return nil
	}
	// Before the workers have begun, as many more may wait as there will be.
	limit := p.props.Queue + p.props.Workers - len(p.busy)
	if p.waiting.size >= limit {
		// Those who gave up need no place.
		p.waiting.prune(func(e entry) bool { return e.req.isAbandoned() })
	}
	if p.waiting.size >= limit {
		p.refused++
		p.sys.overflows.Add(1)
		return ErrOverloaded
	}
	p.waiting.push(e)
	return nil
}

// next gives w its next work, or makes it idle.
func (p *Pool) next(w *poolWorker, worked bool) (entry, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w.cancel = nil
	if worked {
		p.done++
	}
	for p.waiting.size > 0 {
		if e := p.waiting.pop(); !e.req.isAbandoned() {
			p.busy[w] = struct{}{}
			return e, true
		}
	}
	delete(p.busy, w)
	if !p.closed {
		p.idle = append(p.idle, w)
	}
	return entry{}, false
}

// working notes how to end what w does.
func (p *Pool) working(w *poolWorker, cancel context.CancelFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		cancel()
		return
	}
	w.cancel = cancel
}

func (p *Pool) close() {
	p.mu.Lock()
	p.closed = true
	waiting := p.waiting.take()
	p.idle = nil
	for w := range p.busy {
		if w.cancel != nil {
			w.cancel()
		}
	}
	p.mu.Unlock()
	for _, e := range waiting {
		e.req.answer(nil, ErrStopped)
	}
}

// poolWorker is the actor around a Worker. Unlike all others it may block.
type poolWorker struct {
	pool   *Pool
	self   Ref
	worker Worker
	cancel context.CancelFunc // guarded by pool.mu
}

func (w *poolWorker) Receive(c *Context, msg any) {
	var e entry
	more := true
	switch m := msg.(type) {
	case Started:
		w.self, w.worker = c.Self(), w.pool.props.New()
		e, more = w.pool.next(w, false)
	case entry:
		e = m
	default:
		return
	}
	for ; more; e, more = w.pool.next(w, true) {
		w.work(e)
	}
}

func (w *poolWorker) work(e entry) {
	if !e.req.isOpen() {
		return
	}
	ctx, cancel := context.WithCancel(e.req.ctx)
	defer cancel()
	w.pool.working(w, cancel)
	defer func() {
		// Workers have no state that a back-off could protect, and a request that
		// makes them panic must not be able to put all of them out of work: the
		// worker is replaced at once.
		if r := recover(); r != nil {
			w.pool.sys.crashes.Add(1)
			w.pool.sys.logger.Error("worker panicked", "pool", w.pool.props.Name, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			e.req.answer(nil, fault.New(fault.InternalError, "Internal server error").
				WithCause(fmt.Errorf("panic in pool %s: %v", w.pool.props.Name, r)))
			w.worker = w.pool.props.New()
		}
	}()
	res, err := w.worker.Handle(ctx, e.msg)
	e.req.answer(res, err)
}
