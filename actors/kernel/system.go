package kernel

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
)

// rootName is the id of the actor that all top-level actors are children of.
const rootName = "kernel"

// SystemOptions configure a System; the zero value is good.
type SystemOptions struct {
	// Name is put on log lines when there are several systems in a process.
	Name string
	// Logger is slog.Default() when nil.
	Logger *slog.Logger
	// Backoff of restarts; the zero value means 50 ms doubled up to 10 s, reset
	// after a minute.
	Backoff Backoff
}

// System is a node's actors.
type System struct {
	proto   *actor.ActorSystem
	logger  *slog.Logger
	backoff Backoff
	root    *cell
	runners runners
	tasks   sync.WaitGroup
	down    sync.Once

	actors, crashes, restarts, overflows atomic.Int64
}

// NewSystem makes an empty system. End it with Shutdown.
func NewSystem(o SystemOptions) *System {
	logger := o.Logger
	if logger == nil {
		logger = slog.Default()
	}
	if o.Name != "" {
		logger = logger.With("system", o.Name)
	}
	if o.Backoff == (Backoff{}) {
		o.Backoff = Backoff{First: 50 * time.Millisecond, Most: 10 * time.Second, Reset: time.Minute}
	}
	s := &System{logger: logger, backoff: o.Backoff}
	quiet := slog.New(warnings{logger.Handler()})
	s.proto = actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
		// A dead letter (watching what has ended is one) starts a goroutine that
		// sleeps that long.
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)
	s.root = &cell{sys: s, props: Props{New: func() Actor { return Func(s.receiveRoot) }, Limit: 1 << 20}}
	s.root.prepare()
	// The name is free: the system is empty.
	_, err := s.proto.Root.SpawnNamed(s.root.libraryProps(), rootName)
	if err != nil {
		panic(err)
	}
	return s
}

// Logger is the system's logger.
func (s *System) Logger() *slog.Logger { return s.logger }

// spawnTop asks the root to make a child. Children are spawned by their parent's
// goroutine only.
type spawnTop struct {
	props          Props
	onClose, onEnd func()
}

// receiveRoot never panics: the library would restart the root, and with it
// stop every actor.
func (s *System) receiveRoot(c *Context, msg any) {
	if m, ok := msg.(spawnTop); ok {
		child, err := c.cell.spawn(m.props, m.onClose, m.onEnd)
		if err != nil {
			c.Fail(err)
			return
		}
		c.Reply(child)
	}
}

// Spawn makes a top-level actor. The errors are ErrNameTaken and ErrStopped.
func (s *System) Spawn(p Props) (Ref, error) {
	child, err := s.spawn(p, nil, nil)
	return Ref{child}, err
}

func (s *System) spawn(p Props, onClose, onEnd func()) (*cell, error) {
	return Ask[*cell](context.Background(), Ref{s.root}, spawnTop{p, onClose, onEnd})
}

// Shutdown stops every actor, children before their parents, and waits until all
// of them and their tasks have ended, or for ctx. Further calls wait, too.
func (s *System) Shutdown(ctx context.Context) error {
	s.root.stop()
	over := make(chan struct{})
	go func() {
		<-s.root.whenDone()
		s.tasks.Wait()
		close(over)
	}()
	select {
	case <-over:
	case <-ctx.Done():
		return ended(ctx)
	}
	s.down.Do(func() {
		s.runners.close()
		s.proto.Shutdown()
	})
	return nil
}

// Stats are counters since the start, and the number of actors now.
type Stats struct {
	Actors int64
	// Crashes are panics in actors, workers and tasks.
	Crashes  int64
	Restarts int64
	// Overflows are messages that found a full mailbox or pool.
	Overflows int64
}

// Stats are for monitoring.
func (s *System) Stats() Stats {
	return Stats{
		Actors: s.actors.Load(), Crashes: s.crashes.Load(), Restarts: s.restarts.Load(),
		Overflows: s.overflows.Load(),
	}
}

// warnings lets the library's warnings and errors through: the rest repeats what
// the kernel logs, without its context.
type warnings struct{ slog.Handler }

func (h warnings) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, l)
}

func (h warnings) WithAttrs(a []slog.Attr) slog.Handler { return warnings{h.Handler.WithAttrs(a)} }
func (h warnings) WithGroup(n string) slog.Handler      { return warnings{h.Handler.WithGroup(n)} }
