package kernel

// Actor is what the author of an actor writes. Receive is called for one message
// at a time, never concurrently, and must not block.
//
// Started{} is the first message of each incarnation and Stopping{} its last,
// sent when its children are gone; both come also around a restart.
type Actor interface {
	Receive(c *Context, msg any)
}

// Func makes an Actor of a function.
type Func func(c *Context, msg any)

// Receive calls f.
func (f Func) Receive(c *Context, msg any) { f(c, msg) }

// The lifecycle messages that the kernel sends.
type (
	// Started is the first message of an incarnation.
	Started struct{}
	// Stopping is the last message of an incarnation. Its children have stopped.
	// A panic in it is logged and changes nothing.
	Stopping struct{}
	// Terminated says that an actor given to Context.Watch has stopped. It comes
	// once per Watch, at once if the actor had stopped before.
	Terminated struct{ Ref Ref }
)

// Overflow says what happens to a message for a full mailbox.
type Overflow uint8

const (
	// Refuse gives the sender ErrOverloaded.
	Refuse Overflow = iota
	// DropOldest makes room: the oldest message goes, an asker of it gets
	// ErrOverloaded.
	DropOldest
	// StopActor stops the receiver, and gives the sender ErrOverloaded.
	StopActor
)

// Crash says what happens to an actor that panicked.
type Crash uint8

const (
	// Restart makes a new incarnation after a back-off that doubles while the
	// actor keeps crashing. The mailbox is kept; the failing message, the
	// children, timers and tasks are not.
	Restart Crash = iota
	// Stop ends the actor; whoever watches it is told.
	Stop
)

// DefaultLimit bounds the mailbox of an actor whose Props say nothing.
const DefaultLimit = 1024

// Props describe an actor to be.
type Props struct {
	// Name must be unique among siblings; empty makes one up. A name is free
	// again when its actor has ended, not when it was told to.
	Name string
	// New makes an incarnation. It has no side effects: those belong to Started.
	New func() Actor
	// Limit bounds the messages that wait; 0 is DefaultLimit.
	Limit int
	// Overflow is what happens when Limit is reached.
	Overflow Overflow
	// Intercept, when set, sees each told message on the sender's goroutine before it
	// is queued, and consumes it by returning true. It must not block, and must
	// expect calls from many goroutines at once, also while the actor is stopping.
	Intercept func(msg any) bool
	// OnCrash is what a panic means.
	OnCrash Crash
}
