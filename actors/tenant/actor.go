package tenant

import (
	"context"
	"sync"
	"time"

	"fluxbase/actors/kernel"
)

// openTimeout bounds the opening of a tenant: its migrations may run in it.
const openTimeout = 2 * time.Minute

// opened tells the keeper how the opening of a tenant went.
type opened[P any] struct {
	owner  kernel.Ref
	tenant *Tenant[P]
	err    error
}

// The requests of an Opener that runs, to the actor that the children will be of.
type (
	spawnActor struct{ props kernel.Props }
	spawnPool  struct{ props kernel.PoolProps }
)

// ownerOf is a tenant's actor.
type ownerOf[P any] struct {
	info    Info
	opener  Opener[P]
	keeper  kernel.Ref
	closing farewell
}

// farewell is what is to be closed when the actor has ended, even if that is
// before the Opener gave it.
type farewell struct {
	mu   sync.Mutex
	over bool
	f    func()
}

func (w *farewell) set(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over && f != nil {
		f()
		return
	}
	w.f = f
}

func (w *farewell) say() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.over = true
	if w.f != nil {
		w.f()
		w.f = nil
	}
}

// Receive implements kernel.Actor.
func (o *ownerOf[P]) Receive(c *kernel.Context, msg any) {
	switch m := msg.(type) {
	case kernel.Started:
		o.start(c)
	case kernel.Stopping:
		// The children are gone, so nobody uses what is closed here.
		o.closing.say()
	case spawnActor:
		answer(c)(c.Spawn(m.props))
	case spawnPool:
		answer(c)(c.SpawnPool(m.props))
	}
}

// answer replies with a result or fails with its error.
func answer(c *kernel.Context) func(any, error) {
	return func(v any, err error) {
		if err != nil {
			c.Fail(err)
			return
		}
		c.Reply(v)
	}
}

func (o *ownerOf[P]) start(c *kernel.Context) {
	s := spawner{c.Self()}
	c.Go(openTimeout, func(ctx context.Context) (any, error) {
		parts, closing, err := o.opener(ctx, o.info, s)
		o.closing.set(closing)
		return parts, err
	}, o.haveOpened)
}

func (o *ownerOf[P]) haveOpened(c *kernel.Context, res any, err error) {
	done := opened[P]{owner: c.Self(), err: err}
	if err != nil {
		c.Logger().Error("tenant could not be opened", "tenant", o.info.Slug, "error", err)
		c.Stop()
	} else {
		done.tenant = &Tenant[P]{Info: o.info, Parts: res.(P), actor: c.Self()}
		done.tenant.touch()
	}
	if err := o.keeper.Tell(done); err != nil {
		// Nobody would ever find this tenant.
		c.Stop()
	}
}

// spawner makes children of a tenant's actor for its Opener.
type spawner struct{ owner kernel.Ref }

// Spawn implements kernel.Spawner.
func (s spawner) Spawn(p kernel.Props) (kernel.Ref, error) {
	return kernel.Ask[kernel.Ref](context.Background(), s.owner, spawnActor{p})
}

// SpawnPool implements kernel.Spawner.
func (s spawner) SpawnPool(p kernel.PoolProps) (*kernel.Pool, error) {
	return kernel.Ask[*kernel.Pool](context.Background(), s.owner, spawnPool{p})
}
