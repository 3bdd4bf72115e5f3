// Package revocation is a node's knowledge of what has been revoked.
//
// Revocation is a deny-list: a credential that is not on it is good for as long
// as it says. The list lives in the control database, numbered without gaps in
// visibility; one actor per node reads what is new when the database rings and a
// few times a second in any case, and keeps it in memory, where a check costs no
// query.
//
// Knowledge is fresh while the last read began less than Horizon ago. When it is
// not, because the listener died or the database does not answer, a check asks
// the database itself: all waiting checks share one read that begins after they
// came. Whether a check passes when even that fails is FailOpen's choice.
package revocation

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/revocation"
)

const (
	// Horizon is how old a node's knowledge may be.
	Horizon = time.Second
	// pollEvery leaves room for a slow read within Horizon.
	pollEvery   = 300 * time.Millisecond
	readTimeout = 5 * time.Second
	pruneEvery  = 10 * time.Minute
)

// Log is the deny-list in the control database.
type Log interface {
	Record(ctx context.Context, entries ...store.Entry) error
	Since(ctx context.Context, number int64) ([]store.Entry, error)
	Prune(ctx context.Context) error
}

// Options are the settings of a Registry.
type Options struct {
	Log Log
	// FailOpen lets credentials pass while the deny-list cannot be read. By
	// default they are refused with SERVICE_UNAVAILABLE.
	FailOpen bool
	Logger   *slog.Logger
}

// Registry answers whether a credential has been revoked, and revokes.
type Registry struct {
	o      Options
	set    *set
	reader kernel.Ref
	start  time.Time
	// readAt is when the last good read began and deafAt when the listener was last
	// lost, both as time since start; 0 is never.
	readAt atomic.Int64
	deafAt atomic.Int64
	seen   atomic.Int64

	mu       sync.Mutex
	watchers map[int]func(Revoked)
	nextID   int
}

// Start reads the list and keeps it up to date until sys stops. It fails when the
// list cannot be read: a node that does not know what is revoked serves nobody.
func Start(ctx context.Context, sys *kernel.System, o Options) (*Registry, error) {
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	r := &Registry{o: o, set: newSet(), start: time.Now().Add(-time.Second), watchers: map[int]func(Revoked){}}
	reader, err := sys.Spawn(kernel.Props{Name: "revocations", Limit: 64 << 10, New: func() kernel.Actor { return &reader{registry: r} }})
	if err != nil {
		return nil, err
	}
	r.reader = reader
	if _, err := kernel.Ask[int64](ctx, reader, catchUp{}); err != nil {
		reader.Stop()
		return nil, err
	}
	return r, nil
}

// Check gives nil, REVOKED_TOKEN, or SERVICE_UNAVAILABLE when nobody can say. It
// asks the database only when what the node knows is older than Horizon.
func (r *Registry) Check(ctx context.Context, c caller.Caller) error {
	if c.Source == caller.SourceNone {
		return nil
	}
	if !r.fresh() {
		if _, err := kernel.Ask[int64](ctx, r.reader, catchUp{}); err != nil {
			if ctx.Err() != nil {
				return err
			}
			if !r.o.FailOpen {
				return fault.New(fault.ServiceUnavailable, "service_unavailable").WithRetryAfter(time.Second).WithCause(err)
			}
			r.o.Logger.Warn("credential accepted without a revocation check", "err", err)
		}
	}
	if r.Revoked(c) {
		return fault.New(fault.RevokedToken, "token_revoked")
	}
	return nil
}

// Revoked tells what the node knows now, without asking anybody.
func (r *Registry) Revoked(c caller.Caller) bool { return r.set.covers(c) }

// Revoke puts entries on the list. When it returns nil they are committed and
// this node refuses what they name; the others follow within Horizon.
func (r *Registry) Revoke(ctx context.Context, entries ...store.Entry) error {
	if len(entries) == 0 {
		return nil
	}
	if err := r.o.Log.Record(ctx, entries...); err != nil {
		return err
	}
	if _, err := kernel.Ask[int64](ctx, r.reader, catchUp{}); err != nil {
		// It is committed; this node learns of it like every other.
		r.o.Logger.Warn("revocation recorded but not read back yet", "err", err)
	}
	return nil
}

// Heard says that the database rang with number n.
func (r *Registry) Heard(n int64) {
	if n > r.seen.Load() {
		r.tell(catchUp{})
	}
}

// ListenerDown says that bells may be missed from now on. Until a read that
// begins after it has ended, every check asks the database.
func (r *Registry) ListenerDown() {
	r.deafAt.Store(int64(r.now()))
	r.tell(catchUp{})
}

// ListenerUp says that bells are heard again; what rang meanwhile is read.
func (r *Registry) ListenerUp() { r.tell(catchUp{}) }

// Seen is the number of the newest revocation that this node has read.
func (r *Registry) Seen() int64 { return r.seen.Load() }

// Watch calls f for every revocation that the node learns of from now on, in
// order. f runs on the reader and must not block.
func (r *Registry) Watch(f func(Revoked)) (cancel func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	id := r.nextID
	r.nextID++
	r.watchers[id] = f
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.watchers, id)
	}
}

// tell wakes the reader. A refused message does no harm: the mailbox is full of
// the same request, and the poll asks again in any case.
func (r *Registry) tell(msg any) {
	if err := r.reader.Tell(msg); err != nil {
		r.o.Logger.Debug("revocation reader not woken", "err", err)
	}
}

func (r *Registry) now() time.Duration { return time.Since(r.start) }

func (r *Registry) fresh() bool {
	at := r.readAt.Load()
	return at > r.deafAt.Load() && r.now()-time.Duration(at) < Horizon
}

// apply takes over the result of a read that began at began.
func (r *Registry) apply(began time.Duration, entries []store.Entry) {
	if len(entries) > 0 {
		r.set.add(entries)
		r.seen.Store(entries[len(entries)-1].Number)
	}
	r.readAt.Store(int64(began))
	if len(entries) == 0 {
		return
	}
	r.mu.Lock()
	watchers := make([]func(Revoked), 0, len(r.watchers))
	for _, f := range r.watchers {
		watchers = append(watchers, f)
	}
	r.mu.Unlock()
	for _, e := range entries {
		for _, f := range watchers {
			f(Revoked{e})
		}
	}
}
