// Package retention is the actor that throws away what is kept for a while only:
// it runs a task again and again, one run at a time. Tasks are safe to run on
// several nodes at once; the database decides who does the work.
package retention

import (
	"context"
	"math/rand/v2"
	"time"

	"fluxbase/actors/kernel"
)

// Options say what is done and when.
type Options struct {
	// Every is the time between the end of a run and the start of the next; the
	// first run is up to Every after the start, so that nodes which start together
	// do not work together.
	Every time.Duration
	// Timeout bounds a run; zero means a minute.
	Timeout time.Duration
	// Task is run. Its error is logged, and the next run comes in its time.
	Task func(ctx context.Context) error
}

// Props describe the actor.
func Props(name string, o Options) kernel.Props {
	if o.Timeout == 0 {
		o.Timeout = time.Minute
	}
	return kernel.Props{Name: name, New: func() kernel.Actor { return &actor{o} }}
}

type due struct{}

type actor struct{ o Options }

// Receive implements kernel.Actor.
func (a *actor) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started:
		c.After(rand.N(a.o.Every)+1, due{})
	case due:
		c.Go(a.o.Timeout, func(ctx context.Context) (any, error) { return nil, a.o.Task(ctx) },
			func(c *kernel.Context, _ any, err error) {
				if err != nil {
					c.Logger().Warn("retention failed, trying again later", "task", c.Self().Name(), "error", err)
				}
				c.After(a.o.Every, due{})
			})
	}
}
