package kernel

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// cell is an actor's seat: it outlives incarnations, and is mailbox, library
// actor and reference target in one.
type cell struct {
	sys   *System
	props Props
	pid   *actor.PID
	proto actor.Context
	loop  func() // process, bound once
	// onClose and onEnd are set before the cell is spawned: called once when it
	// begins to stop (by whoever stops it), and when it has ended.
	onClose, onEnd func()

	// closed is set once, under mu, when the actor is told to stop.
	closed atomic.Bool

	mu         sync.Mutex
	invoker    actor.MessageInvoker
	dispatcher actor.Dispatcher
	system     []any
	queue      queue
	running    bool
	suspended  bool
	isEnded    bool
	done       chan struct{} // made when somebody asks for it
	detached   requestList
	timers     map[*Timer]struct{}
	life       context.Context // of tasks; made by the first
	endLife    context.CancelFunc
	backoff    *time.Timer

	// The rest belongs to the goroutine that runs the actor.
	impl       Actor
	ctx        Context
	generation uint64
	leaving    bool             // no children any more
	watching   map[string]*cell // by the library's id
	crashes    int
	lastCrash  time.Time
	logger     *slog.Logger
}

// Receive implements the library's Actor: it gets the lifecycle only.
func (c *cell) Receive(ctx actor.Context) {
	switch m := ctx.Message().(type) {
	case *actor.Started:
		c.start()
	case *actor.Stopped:
		c.finish()
	case *actor.Terminated:
		c.childEnded(m.Who)
	}
}

// handle brings an entry to the actor.
func (c *cell) handle(e entry) {
	switch m := e.msg.(type) {
	case *continuation:
		if m.generation == c.generation {
			c.resume(m)
		}
	case *Timer:
		if m.due() {
			c.invoke(m.msg, nil)
		}
	default:
		if e.req != nil && e.req.isAbandoned() {
			return
		}
		c.invoke(e.msg, e.req)
	}
}

// invoke calls the actor. Its panic becomes the fault of the request and then
// a crash.
func (c *cell) invoke(msg any, req *Request) {
	c.ctx.req = req
	defer c.settle()
	c.impl.Receive(&c.ctx, msg)
}

// start makes an incarnation.
func (c *cell) start() {
	if c.impl != nil {
		c.farewell()
		// What it began in its last message ends with it, too.
		c.reset(ErrStopped)
	}
	c.impl = nil
	defer c.settle()
	c.impl = c.props.New()
	c.impl.Receive(&c.ctx, Started{})
}

// farewell sends Stopping to an incarnation. Its panic must not get out: the
// library would revive a stopping actor and not tell the watchers of a stopped one.
func (c *cell) farewell() {
	c.leaving = true
	defer func() {
		c.leaving = false
		c.ctx.req = nil
		if r := recover(); r != nil {
			c.logCrash("actor panicked while stopping", r)
		}
	}()
	c.impl.Receive(&c.ctx, Stopping{})
}

// finish ends the cell: children are gone, nobody can send any more.
func (c *cell) finish() {
	if c.impl != nil {
		c.farewell()
		c.impl = nil
	}
	c.leaving = true
	c.reset(ErrStopped)
	if c.onEnd != nil {
		c.onEnd()
	}
	c.mu.Lock()
	c.isEnded = true
	if c.done != nil {
		close(c.done)
	}
	c.mu.Unlock()
	if c != c.sys.root {
		c.sys.actors.Add(-1)
	}
}

// reset ends what belongs to one incarnation. Requests that it kept are answered
// with err.
func (c *cell) reset(err error) {
	c.generation++
	c.watching = nil
	c.mu.Lock()
	kept := c.detached.take()
	timers := c.timers
	c.timers = nil
	endLife := c.endLife
	c.life, c.endLife = nil, nil
	c.mu.Unlock()
	for t := range timers {
		t.Cancel()
	}
	if endLife != nil {
		endLife()
	}
	for _, r := range kept {
		r.answer(nil, err)
	}
}

// close refuses further messages and answers the requests that wait. Nothing of
// an actor that stops runs into its timeout.
func (c *cell) close() (first bool) {
	c.mu.Lock()
	first = !c.closed.Swap(true)
	waiting := c.queue.take()
	backoff := c.backoff
	c.mu.Unlock()
	if backoff != nil {
		backoff.Stop()
	}
	for _, e := range waiting {
		if e.req != nil {
			e.req.answer(nil, ErrStopped)
		}
	}
	if first && c.onClose != nil {
		c.onClose()
	}
	return first
}

func (c *cell) stop() {
	if c.close() {
		c.sys.proto.Root.Stop(c.pid)
	}
}

func (c *cell) whenDone() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.done == nil {
		c.done = make(chan struct{})
		if c.isEnded {
			close(c.done)
		}
	}
	return c.done
}

// childEnded tells the actor of an end that it watches. The library reports each
// child's end to its parent, watched or not, and a watched child's twice.
func (c *cell) childEnded(who *actor.PID) {
	if c.impl == nil || c.closed.Load() {
		return
	}
	if w, ok := c.watching[who.Id]; ok {
		delete(c.watching, who.Id)
		c.invoke(Terminated{Ref{w}}, nil)
	}
}

// spawn makes a child. Only the actor's own goroutine may call it.
func (c *cell) spawn(p Props, onClose, onEnd func()) (*cell, error) {
	if c.leaving || c.closed.Load() {
		return nil, ErrStopped
	}
	if p.Limit <= 0 {
		p.Limit = DefaultLimit
	}
	name := p.Name
	if name == "" {
		name = c.sys.proto.ProcessRegistry.NextID()
	}
	child := &cell{sys: c.sys, props: p, onClose: onClose, onEnd: onEnd}
	child.prepare()
	if _, err := c.proto.SpawnNamed(child.libraryProps(), name); err != nil {
		return nil, ErrNameTaken
	}
	c.sys.actors.Add(1)
	return child, nil
}

func (c *cell) prepare() {
	c.loop = c.process
	c.ctx.cell = c
}

func (c *cell) libraryProps() *actor.Props {
	return actor.PropsFromProducer(
		func() actor.Actor { return c },
		actor.WithMailbox(func() actor.Mailbox { return c }),
		actor.WithSupervisor(supervision{}),
		actor.WithDispatcher(&c.sys.runners),
		// Before the first message can be processed.
		actor.WithOnInit(func(ctx actor.Context) { c.proto, c.pid = ctx, ctx.Self() }),
	)
}

// log is the actor's logger.
func (c *cell) log() *slog.Logger {
	if c.logger == nil {
		c.logger = c.sys.logger.With("actor", Ref{c}.Name())
	}
	return c.logger
}
