package tenant

import (
	"context"
	"fmt"
	"maps"
	"sync/atomic"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/tenancy"
)

// Options are what a Directory is made from.
type Options[P any] struct {
	// List reads the list of tenants; *tenancy.List does.
	List interface {
		All(ctx context.Context) ([]tenancy.Entry, error)
	}
	// Open brings a tenant up.
	Open Opener[P]
	// IdleAfter is how long an unused tenant stays open; default 30 minutes.
	IdleAfter time.Duration
	// PollEvery is how often the list is read when nobody calls Refresh; default
	// 30 seconds.
	PollEvery time.Duration
}

// listTimeout bounds a read of the list.
const listTimeout = 10 * time.Second

// Directory knows all tenants and owns the actors of the open ones. Its methods
// are safe for concurrent use; an actor must not call Open or Resolve, which may
// wait for a tenant to open.
type Directory[P any] struct {
	o     Options[P]
	list  atomic.Pointer[snapshot]
	open  atomic.Pointer[map[string]*Tenant[P]] // by id; replaced by the keeper
	actor kernel.Ref
}

// Start reads the list and starts a directory. It stops with the system.
func Start[P any](ctx context.Context, s *kernel.System, o Options[P]) (*Directory[P], error) {
	if o.IdleAfter == 0 {
		o.IdleAfter = 30 * time.Minute
	}
	if o.PollEvery == 0 {
		o.PollEvery = 30 * time.Second
	}
	d := &Directory[P]{o: o}
	d.open.Store(&map[string]*Tenant[P]{})
	all, err := o.List.All(ctx)
	if err != nil {
		return nil, fmt.Errorf("read the list of tenants: %w", err)
	}
	d.list.Store(newSnapshot(all))
	d.actor, err = s.Spawn(kernel.Props{
		Name: "tenants", Limit: 1 << 16,
		New: func() kernel.Actor { return &keeper[P]{directory: d} },
	})
	return d, err
}

// Find tells where a caller's request goes, and gives the caller back with the
// tenant set. header is the value of X-FB-Tenant: an id, a slug, or empty. It
// reads memory only. The faults are TENANT_NOT_FOUND, ACCESS_DENIED, and
// SERVICE_UNAVAILABLE for a tenant that is being made.
func (d *Directory[P]) Find(c caller.Caller, header string) (*Info, caller.Caller, error) {
	t, err := d.list.Load().find(c, header)
	if err != nil {
		return nil, c, err
	}
	c.Tenant, c.DefaultTenant = t.ID, t.Default
	return t, c, nil
}

// Resolve is Find and Open in one.
func (d *Directory[P]) Resolve(ctx context.Context, c caller.Caller, header string) (*Tenant[P], caller.Caller, error) {
	info, c, err := d.Find(c, header)
	if err != nil {
		return nil, c, err
	}
	t, err := d.Open(ctx, info.ID)
	return t, c, err
}

// Open gives an open tenant, which is brought up if need be.
func (d *Directory[P]) Open(ctx context.Context, id string) (*Tenant[P], error) {
	if t, ok := (*d.open.Load())[id]; ok {
		t.touch()
		return t, nil
	}
	t, err := kernel.Ask[*Tenant[P]](ctx, d.actor, enter{id})
	if err == nil {
		t.touch()
	}
	return t, err
}

// Default is the default tenant's entry in the list.
func (d *Directory[P]) Default() *Info { return d.list.Load().standard }

// Opened calls f with each open tenant until f says false.
func (d *Directory[P]) Opened(f func(*Tenant[P]) bool) {
	for _, t := range *d.open.Load() {
		if !f(t) {
			return
		}
	}
}

// change replaces the map of open tenants. Only the keeper calls it.
func (d *Directory[P]) change(f func(map[string]*Tenant[P])) {
	open := maps.Clone(*d.open.Load())
	f(open)
	d.open.Store(&open)
}

func (d *Directory[P]) put(t *Tenant[P]) {
	d.change(func(open map[string]*Tenant[P]) { open[t.ID] = t })
}

func (d *Directory[P]) remove(id string) {
	d.change(func(open map[string]*Tenant[P]) { delete(open, id) })
}

// Refresh reads the list again soon: the listener calls it when it was rung.
func (d *Directory[P]) Refresh() {
	// A full mailbox has other reasons to be read, and the list is polled, too.
	_ = d.actor.Tell(refresh{})
}
