package execution

import (
	"context"
	"errors"
	"time"

	"fluxbase/actors/kernel"
)

// WakerOptions are what a Waker needs.
type WakerOptions struct {
	// Every is the time between two looks.
	Every time.Duration
	// Due gives the ids of tenants that have executions to run, now or before the look
	// after the next.
	Due func(context.Context) ([]string, error)
	// Open makes sure that a tenant's actors run, and counts as its use.
	Open func(ctx context.Context, id string) error
}

// WakerProps describe the actor that opens tenants which nobody uses and whose
// procedures are to run: they wait in the queue, or a tick of a schedule comes.
func WakerProps(name string, o WakerOptions) kernel.Props {
	return kernel.Props{Name: name, New: func() kernel.Actor { return waker{o} }}
}

type waker struct{ o WakerOptions }

type wakeNow struct{}

// Receive implements kernel.Actor.
func (w waker) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started, wakeNow:
		c.Go(w.o.Every+storeTimeout, w.wake, func(c *kernel.Context, _ any, err error) {
			if err != nil {
				c.Logger().Warn("tenants whose procedures are due cannot be opened, trying again", "error", err)
			}
			c.After(w.o.Every, wakeNow{})
		})
	}
}

func (w waker) wake(ctx context.Context) (any, error) {
	ids, err := w.o.Due(ctx)
	for _, id := range ids {
		err = errors.Join(err, w.o.Open(ctx, id))
	}
	return nil, err
}
