package tenant

import (
	"context"
	"sync/atomic"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/tenancy"
)

// Info is what the list says of a tenant.
type Info = tenancy.Entry

// Opener brings up what a tenant owns. It may block until ctx ends. What it
// spawns with s belongs to the tenant's actor and stops with it; closing, which
// may be nil, is called after that, and also when the Opener fails itself after
// it gave one. P is whatever the composition wants to find again in a Tenant.
type Opener[P any] func(ctx context.Context, info Info, s kernel.Spawner) (parts P, closing func(), err error)

// Tenant is an open tenant.
type Tenant[P any] struct {
	Info
	// Parts are what the Opener gave.
	Parts P

	holders  atomic.Int64
	lastUsed atomic.Int64 // unix nanoseconds
	actor    kernel.Ref
}

// Hold keeps the tenant open for as long as a socket or a task needs it. release
// may be called more than once.
func (t *Tenant[P]) Hold() (release func()) {
	t.holders.Add(1)
	var released atomic.Bool
	return func() {
		if !released.Swap(true) {
			t.touch()
			t.holders.Add(-1)
		}
	}
}

// Done is closed when the tenant's actors have ended: its Parts are of no use
// any more, and the directory opens it anew for the next caller.
func (t *Tenant[P]) Done() <-chan struct{} { return t.actor.Done() }

// touch notes the use, to the second: all requests of a tenant would write to the
// same cache line otherwise.
func (t *Tenant[P]) touch() {
	if now := time.Now().UnixNano(); now-t.lastUsed.Load() > int64(time.Second) {
		t.lastUsed.Store(now)
	}
}

// idle tells whether nobody has used the tenant since.
func (t *Tenant[P]) idle(since time.Time) bool {
	return t.holders.Load() == 0 && t.lastUsed.Load() < since.UnixNano()
}
