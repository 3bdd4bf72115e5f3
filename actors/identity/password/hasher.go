package password

import (
	"context"
	"fmt"
	"runtime"

	"fluxbase/actors/kernel"
)

// Options are the settings of a Hasher. The zero value means DefaultCost, half
// of the cores, and a short queue.
type Options struct {
	Cost Cost
	// Workers is how many passwords are hashed at the same time.
	Workers int
	// Queue is how many requests wait; the next one is refused with OVERLOADED.
	Queue int
}

// Hasher hashes and compares passwords in a pool of its own, so that a flood of
// sign-ins takes no more than its share of the cores and is refused, not queued
// without end. One Hasher serves all tenants of a node.
type Hasher struct {
	pool *kernel.Pool
	cost Cost
	// decoy is what the password of an unknown user is compared with, so that
	// the answer takes as long as for a known one.
	decoy string
}

// NewHasher starts the pool under sys.
func NewHasher(sys *kernel.System, o Options) (*Hasher, error) {
	if o.Cost == (Cost{}) {
		o.Cost = DefaultCost
	}
	if o.Workers <= 0 {
		o.Workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	if o.Queue <= 0 {
		o.Queue = 32
	}
	pool, err := sys.SpawnPool(kernel.PoolProps{
		Name:    "passwords",
		Workers: o.Workers,
		Queue:   o.Queue,
		New:     func() kernel.Worker { return worker{cost: o.Cost} },
	})
	if err != nil {
		return nil, err
	}
	return &Hasher{pool: pool, cost: o.Cost, decoy: hash("", o.Cost)}, nil
}

// Hash makes the hash to store. It fails with OVERLOADED when the pool is full.
func (h *Hasher) Hash(ctx context.Context, password string) (string, error) {
	return kernel.Ask[string](ctx, h.pool, makeHash{password})
}

// Verify compares password with a stored hash; an empty hash (no such user, or
// one without a password) never matches and takes as long as any other. stale
// tells that a matching hash should be replaced by a new one.
func (h *Hasher) Verify(ctx context.Context, password, stored string) (ok, stale bool, err error) {
	decoy := stored == ""
	if decoy {
		stored = h.decoy
	}
	v, err := kernel.Ask[verdict](ctx, h.pool, compare{password, stored})
	if err != nil {
		return false, false, err
	}
	return v.ok && !decoy, v.stale, nil
}

type (
	makeHash struct{ password string }
	compare  struct{ password, stored string }
	verdict  struct{ ok, stale bool }
)

type worker struct{ cost Cost }

func (w worker) Handle(ctx context.Context, msg any) (any, error) {
	// Whoever gave up while waiting in the queue gets no core.
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	switch m := msg.(type) {
	case makeHash:
		return hash(m.password, w.cost), nil
	case compare:
		ok, stale, err := verify(m.password, m.stored, w.cost)
		return verdict{ok, stale}, err
	default:
		return nil, fmt.Errorf("password pool got an unknown message %T", msg)
	}
}
