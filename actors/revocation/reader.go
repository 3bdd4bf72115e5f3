package revocation

import (
	"context"
	"time"

	"fluxbase/actors/kernel"
	store "fluxbase/persistence/revocation"
)

// catchUp asks for a read that begins after the message was sent; the answer is
// the newest number known then.
type catchUp struct{}

type (
	pollDue  struct{}
	pruneDue struct{}
)

// reader owns the reading of the list: one read at a time, and at most one more
// waiting for all who asked meanwhile.
type reader struct {
	registry *Registry
	// asking wait for the read in flight, next for the one after it.
	asking, next []*kernel.Request
	reading      bool
	again        bool
}

// Receive implements kernel.Actor.
func (a *reader) Receive(c *kernel.Context, msg any) {
	switch msg.(type) {
	case kernel.Started:
		a.read(c)
		c.After(pollEvery, pollDue{})
		c.After(pruneEvery, pruneDue{})
	case catchUp:
		if req := c.Request(); req != nil {
			a.next = append(a.next, req)
		}
		a.read(c)
	case pollDue:
		a.read(c)
		c.After(pollEvery, pollDue{})
	case pruneDue:
		a.prune(c)
		c.After(pruneEvery, pruneDue{})
	}
}

type batch struct {
	began   time.Duration
	entries []store.Entry
}

func (a *reader) read(c *kernel.Context) {
	if a.reading {
		a.again = true
		return
	}
	a.reading, a.again = true, false
	a.asking, a.next = a.next, nil
	r := a.registry
	began, after := r.now(), r.seen.Load()
	c.Go(readTimeout, func(ctx context.Context) (any, error) {
		entries, err := r.o.Log.Since(ctx, after)
		return batch{began, entries}, err
	}, a.haveRead)
}

func (a *reader) haveRead(c *kernel.Context, res any, err error) {
	a.reading = false
	if err != nil {
		c.Logger().Warn("revocations could not be read", "err", err)
	} else {
		b := res.(batch)
		a.registry.apply(b.began, b.entries)
	}
	for _, req := range a.asking {
		if err != nil {
			req.Fail(err)
		} else {
			req.Reply(a.registry.Seen())
		}
	}
	a.asking = nil
	if a.again {
		a.read(c)
	}
}

func (a *reader) prune(c *kernel.Context) {
	r := a.registry
	r.set.prune(time.Now())
	c.Go(readTimeout, func(ctx context.Context) (any, error) { return nil, r.o.Log.Prune(ctx) },
		func(c *kernel.Context, _ any, err error) {
			if err != nil {
				c.Logger().Warn("ended revocations could not be deleted", "err", err)
			}
		})
}
