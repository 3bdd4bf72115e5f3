package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/replay"
	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/query"
)

// Log is the change log as the feed needs it; *changelog.Log does.
type Log interface {
	replay.Log
	Open(ctx context.Context) (epoch string, err error)
	Read(ctx context.Context, from changelog.Position, plan *changelog.Plan, limit changelog.Limit) (*changelog.Batch, error)
	CheckValues(ctx context.Context, t *changelog.Table, c caller.Caller, filter query.Condition) error
}

// Options say what a feed reads. Zero fields take the defaults.
type Options struct {
	Log Log
	// RingBytes bounds the bytes of changes that are on their way to connections:
	// 64 MB.
	RingBytes int64
	// Batch bounds one read; see changelog.Limit.
	Batch changelog.Limit
	// Snapshot bounds the rows that a subscription begins with: 10,000 and 8 MB.
	Snapshot changelog.RowLimit
	// Cursors seals the positions that clients resume from. Nil: there are none.
	Cursors *changelog.Cursors
	// PositionEvery is after how long a subscription that got nothing is told how far
	// the log was read: 1 min.
	PositionEvery time.Duration
	// ViewEvery is the least time between two notices that a table's view changed: 1 s.
	ViewEvery time.Duration
	// Poll is the time between reads without a bell: 1 s.
	Poll time.Duration
	// Logger hears what cannot be answered. Nil means the actor's own.
	Logger *slog.Logger
}

// Times of the feed.
const (
	readTimeout = 30 * time.Second
	// firstLook and lastLook bound the time after which it reads again while
	// transactions are running.
	firstLook = 5 * time.Millisecond
	lastLook  = 100 * time.Millisecond
	// pace is the least time between the beginnings of two reads, unless the first
	// left something to read at once: rows that are written one by one cost a read
	// per pace, and not each its own. The first row after a pause waits for nothing.
	pace = 10 * time.Millisecond
	// retryDelay is between attempts when the database is not there.
	retryDelay = 250 * time.Millisecond
	// planAge is after how long the plan is read again although nothing said so:
	// membership in roles changes without a word.
	planAge = 30 * time.Second
	// maxOutstanding is how many deliveries may be under way in all tables.
	maxOutstanding = 8
)

// Props describe a tenant's feed. What it knows of its subscribers survives a
// crash; they are told that changes may be missing.
func Props(name string, o Options) kernel.Props {
	if o.RingBytes == 0 {
		o.RingBytes = 64 << 20
	}
	if o.Poll == 0 {
		o.Poll = time.Second
	}
	if o.Snapshot.Rows == 0 {
		o.Snapshot.Rows = 10_000
	}
	if o.Snapshot.Bytes == 0 {
		o.Snapshot.Bytes = 8 << 20
	}
	if o.ViewEvery == 0 {
		o.ViewEvery = time.Second
	}
	if o.PositionEvery == 0 {
		o.PositionEvery = time.Minute
	}
	known := &registry{subscribers: map[kernel.Ref]map[string]*subscription{}, wildcards: wildcards{}}
	return kernel.Props{
		Name:  name,
		New:   func() kernel.Actor { return &feed{options: o, registry: known} },
		Limit: 1 << 16,
	}
}

type (
	// wake ends a pause; number tells which.
	wake struct{ number int }
	// tryOpen ends the pause after opening failed.
	tryOpen struct{}
	// tellPositions is the time for TellPosition.
	tellPositions struct{}
	// tryReopen ends the pause after the epoch could not be read.
	tryReopen struct{}
	// room says that the window has room again.
	room struct{}
	// press looks again at who keeps the others waiting.
	press struct{}
)

// feed owns the position in the log and who is subscribed.
type feed struct {
	options  Options
	registry *registry
	window   *delivery.Window

	state      state
	generation int                                  // counts the positions that were begun with
	pending    []func(c *kernel.Context, err error) // wait for state open
	anew       bool                                 // the subscribers have to be taken in again

	at       changelog.Position
	plan     *changelog.Plan
	planRead time.Time
	// signatures are the columns that each table has at the position.
	signatures map[int32]string
	tables     map[int32]*child

	reading     bool
	begun       time.Time // the last read
	unfinished  bool      // it left something to read at once
	again       bool      // something happened while reading
	look        time.Duration
	pauses      int
	pause       *kernel.Timer
	outstanding int
	// replays bring subscriptions to the present; attaching are those that wait for
	// the feed to have read far enough.
	replays   map[kernel.Ref]*replaying
	attaching map[kernel.Ref]*replaying
	budget    *replay.Budget
	// readers read the log for replays, rowReaders rows.
	readers, rowReaders *kernel.Pool

	views    views
	pressing bool // press is on its way
	patience delivery.Patience

	listening      bool
	reads, entries uint64
	lag            time.Duration
	// entriesBefore are the entries at the last two times for telling positions.
	entriesBefore [2]uint64
}

type state uint8

const (
	closed state = iota
	opening
	open
)

// child is the actor of one table.
type child struct {
	ref         kernel.Ref
	outstanding int
	identities  int
}

// Receive implements kernel.Actor.
func (f *feed) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		f.start(c)
	case Subscribe:
		f.subscribe(c, m)
	case Unsubscribe:
		f.unsubscribe(c, m.Subscriber, m.SubscriptionID)
		c.Reply(struct{}{})
	case Begin:
		f.begin(m)
	case replay.Ready:
		f.ready(m)
	case replay.Attach:
		f.wantAttach(c, m)
	case replay.Live:
		f.live(c, m)
	case replay.Failed:
		f.failReplay(c, m.Replay, m.Err)
	case Reidentify:
		f.reidentify(c, m)
	case Gone:
		f.gone(c, m.Subscriber)
	case kernel.Terminated:
		f.terminated(c, m.Ref)
	case Rung:
		f.rung(c)
	case ListenerUp:
		f.listening = true
		f.reopen(c)
	case tryReopen:
		f.reopen(c)
	case ListenerDown:
		f.listening = false
	case wake:
		if m.number == f.pauses {
			f.read(c)
		}
	case tryOpen:
		if f.state == closed && !f.registry.empty() {
			f.open(c)
		}
	case room:
		f.read(c)
	case viewDue:
		f.viewChanged(c, m.table)
	case tellPositions:
		f.tellPositions(c)
	case press:
		f.pressing = false
		f.press(c)
	case table.Delivered:
		f.delivered(c, m)
	case ListFollowed:
		c.Reply(f.registry.followed(m))
	case GetStats:
		c.Reply(f.stats())
	}
}

func (f *feed) start(c *kernel.Context) {
	self := c.Self()
	f.window = delivery.NewWindow(f.options.RingBytes, func() {
		// A feed that has stopped needs no room.
		_ = self.Tell(room{})
	})
	f.signatures, f.tables = map[int32]string{}, map[int32]*child{}
	f.replays, f.attaching = map[kernel.Ref]*replaying{}, map[kernel.Ref]*replaying{}
	f.views = views{map[int32]time.Time{}, map[int32]bool{}}
	f.budget = replay.NewBudget(f.options.RingBytes)
	pool := func(name string) (*kernel.Pool, error) {
		return c.SpawnPool(kernel.PoolProps{
			Name: name, Workers: replayReaders, Queue: replayQueue,
			New: func() kernel.Worker { return replay.Reader{Log: f.options.Log, Limit: f.options.Snapshot} },
		})
	}
	var err, also error
	f.readers, err = pool("replay readers")
	f.rowReaders, also = pool("row readers")
	if err = errors.Join(err, also); err != nil {
		c.Logger().Error("nothing can be replayed", "error", err)
		c.Stop() // only an actor that is stopping may not spawn
		return
	}
	f.look = firstLook
	c.After(f.options.PositionEvery, tellPositions{})
	if f.registry.empty() {
		return
	}
	// A crash: everybody is told and subscribed again.
	c.Logger().Error("the feed begins anew", "subscribers", len(f.registry.subscribers))
	for ref := range f.registry.subscribers {
		c.Watch(ref)
	}
	for ref := range f.registry.wildcards {
		c.Watch(ref)
	}
	f.lost(delivery.Notice{Type: "resume_failed", Code: "internal", Message: "the feed of changes failed: changes may be missing"})
	f.anew = true
	f.open(c)
}

// whenOpen calls then when the position is known, or when it cannot be.
func (f *feed) whenOpen(c *kernel.Context, then func(c *kernel.Context, err error)) {
	if f.state == open {
		then(c, nil)
		return
	}
	f.pending = append(f.pending, then)
	if f.state == closed {
		f.open(c)
	}
}

// opened is what opening gives.
type opened struct {
	at   changelog.Position
	plan *changelog.Plan
}

// open takes the position of this moment.
func (f *feed) open(c *kernel.Context) {
	f.state = opening
	log := f.options.Log
	c.Go(readTimeout, func(ctx context.Context) (any, error) {
		if _, err := log.Open(ctx); err != nil {
			return nil, err
		}
		at, plan, err := log.Now(ctx)
		return opened{at, plan}, err
	}, func(c *kernel.Context, res any, err error) {
		pending := f.pending
		f.pending = nil
		if err != nil {
			c.Logger().Warn("the change log cannot be opened", "error", err)
			f.state = closed
			for _, then := range pending {
				then(c, err)
			}
			if !f.registry.empty() {
				c.After(retryDelay, tryOpen{})
			}
			return
		}
		o := res.(opened)
		f.state, f.at = open, o.at
		f.generation++
		clear(f.signatures)
		f.adopt(c, o.plan)
		if f.anew {
			f.anew = false
			f.resubscribe(c)
		}
		for _, then := range pending {
			f.whenOpen(c, then)
		}
		// Who has read is told of what follows: the bell rings for nobody else.
		f.rung(c)
		f.ifUnused()
	})
}

// reopen compares the epoch: the server that answers may be another one.
func (f *feed) reopen(c *kernel.Context) {
	if f.state != open {
		return
	}
	log, before := f.options.Log, f.at.Epoch
	c.Go(readTimeout, func(ctx context.Context) (any, error) { return log.Open(ctx) }, func(c *kernel.Context, res any, err error) {
		if err != nil {
			// Until this is answered nobody knows whose log is being read.
			c.Logger().Warn("the change log's epoch cannot be read", "error", err)
			c.After(retryDelay, tryReopen{})
			return
		}
		if res.(string) != before && f.state == open && f.at.Epoch == before {
			f.restart(c, changelog.ErrEpochChanged)
			return
		}
		f.rung(c)
	})
}

// restart goes on from this moment and tells everybody why.
func (f *feed) restart(c *kernel.Context, why error) {
	code := "too_old"
	if why == changelog.ErrEpochChanged {
		code = "epoch_changed"
	}
	f.failReplays(c, &delivery.ResumeError{Reason: code, Message: fmt.Sprintf("changes are missing: %v", why)})
	f.lost(delivery.Notice{Type: "resume_failed", Code: code, Message: fmt.Sprintf("changes are missing: %v", why)})
	f.close()
	f.anew = true
	f.open(c)
}

// close stops reading: nobody is subscribed.
func (f *feed) close() {
	f.state, f.again = closed, false
	f.generation++
	f.pauses++
	f.pause.Cancel()
}

func (f *feed) stats() Stats {
	identities := 0
	for _, t := range f.tables {
		identities += t.identities
	}
	return Stats{
		Tables: len(f.tables), Subscriptions: f.registry.count, Subscribers: len(f.registry.subscribers),
		Replaying: len(f.replays), WindowBytes: f.window.Used() + f.budget.Used(), Reads: f.reads, Entries: f.entries, Lag: f.lag,
		Listening: f.listening, Identities: identities,
	}
}
