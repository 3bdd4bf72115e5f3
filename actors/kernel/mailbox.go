package kernel

import (
	"runtime"

	"github.com/asynkron/protoactor-go/actor"
)

// A cell is its own mailbox: the library's bounded one makes a sender spin until
// there is room, its unbounded one has no bound. Messages of actors go from here
// to the actor without passing through the library, which gives a meaning of its
// own to some types (batches are unpacked, poison pills stop, auto-responders
// answer) and whose deep frames cost each woken actor a growing stack.
var _ actor.Mailbox = (*cell)(nil)

// RegisterHandlers implements actor.Mailbox.
func (c *cell) RegisterHandlers(invoker actor.MessageInvoker, dispatcher actor.Dispatcher) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.invoker, c.dispatcher = invoker, dispatcher
}

// Start implements actor.Mailbox. Processing begins with the first message.
func (c *cell) Start() {}

// UserMessageCount implements actor.Mailbox.
func (c *cell) UserMessageCount() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.queue.size
}

// PostUserMessage implements actor.Mailbox. The library itself sends no user
// messages, and nobody else reaches the mailbox but through a Ref.
func (c *cell) PostUserMessage(message any) {
	_, msg, _ := actor.UnwrapEnvelope(message)
	if err := c.tell(msg); err != nil {
		c.sys.logger.Warn("a message of the library was refused", "actor", Ref{c}.Name(), "error", err)
	}
}

// PostSystemMessage implements actor.Mailbox. System messages have no limit:
// losing one would break supervision.
func (c *cell) PostSystemMessage(message any) {
	_, stop := message.(*actor.Stop)
	if stop {
		c.close()
	}
	c.mu.Lock()
	c.system = append(c.system, message)
	c.wakeAndUnlock()
}

// tell queues a message for which nobody waits.
func (c *cell) tell(msg any) error {
	if c.closed.Load() {
		return ErrStopped
	}
	if c.props.Intercept != nil && c.props.Intercept(msg) {
		return nil
	}
	return c.post(entry{msg: msg})
}

// post queues an entry of a sender, by the overflow policy.
func (c *cell) post(e entry) error {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		return ErrStopped
	}
	var oldest entry
	if c.queue.size >= c.props.Limit {
		c.sys.overflows.Add(1)
		if c.props.Overflow != DropOldest {
			c.mu.Unlock()
			if c.props.Overflow == StopActor {
				c.stop()
			}
			return ErrOverloaded
		}
		oldest = c.queue.pop()
	}
	c.queue.push(e)
	c.wakeAndUnlock()
	if oldest.req != nil {
		oldest.req.answer(nil, ErrOverloaded)
	}
	return nil
}

// postOwn queues what the actor ordered itself: continuations and timers. They
// are bounded by their number, and refusing one would leave the actor waiting
// for ever, so the limit does not hold for them.
func (c *cell) postOwn(msg any) {
	c.mu.Lock()
	if c.closed.Load() {
		c.mu.Unlock()
		return
	}
	c.queue.push(entry{msg: msg})
	c.wakeAndUnlock()
}

// wakeAndUnlock starts processing when there is something to do and nobody does.
func (c *cell) wakeAndUnlock() {
	wake := !c.running && c.invoker != nil && (len(c.system) > 0 || !c.suspended)
	if wake {
		c.running = true
	}
	c.mu.Unlock()
	if wake {
		c.dispatcher.Schedule(c.loop)
	}
}

func (c *cell) process() {
	for c.run() {
	}
}

// run handles messages until none is left, or until the actor panicked: then the
// failure has been handed to the parent and again is true.
func (c *cell) run() (again bool) {
	var msg any
	defer func() {
		if r := recover(); r != nil {
			again = true
			c.invoker.EscalateFailure(r, msg)
		}
	}()
	for handled := 0; ; handled++ {
		if handled > c.dispatcher.Throughput() {
			handled = 0
			runtime.Gosched()
		}
		c.mu.Lock()
		if len(c.system) > 0 {
			msg = c.system[0]
			c.system[0] = nil
			c.system = c.system[1:]
			if len(c.system) == 0 {
				c.system = nil
			}
			c.mu.Unlock()
			c.handleSystem(msg)
			continue
		}
		if c.suspended || c.queue.size == 0 {
			c.running = false
			c.mu.Unlock()
			return false
		}
		e := c.queue.pop()
		c.mu.Unlock()
		msg = e.msg
		c.handle(e)
	}
}

func (c *cell) handleSystem(msg any) {
	switch msg.(type) {
	case *actor.SuspendMailbox:
		c.suspend(true)
	case *actor.ResumeMailbox:
		c.suspend(false)
	case *actor.Restart:
		// A restart that was due when the actor was told to stop would revive it.
		if !c.closed.Load() {
			c.invoker.InvokeSystemMessage(msg)
		}
	default:
		c.invoker.InvokeSystemMessage(msg)
	}
}

func (c *cell) suspend(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.suspended = on
}
