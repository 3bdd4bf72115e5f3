package catalog

import (
	"context"
	"sync"
)

// shared is work whose result several callers may share: one run at a time, and
// every caller gets one that began after the call.
type shared struct {
	work func() error

	mu      sync.Mutex
	running *run // the one under way
	waiting *run // the one that follows it, when somebody asked meanwhile
}

type run struct {
	done chan struct{}
	err  error
}

// run waits for a result. ctx bounds the waiting, not the work.
func (s *shared) run(ctx context.Context) error {
	s.mu.Lock()
	var r *run
	switch {
	case s.running == nil:
		r = &run{done: make(chan struct{})}
		s.running = r
		go s.all(r)
	case s.waiting == nil:
		r = &run{done: make(chan struct{})}
		s.waiting = r
	default:
		r = s.waiting
	}
	s.mu.Unlock()
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// all works until nobody waits any more.
func (s *shared) all(r *run) {
	for r != nil {
		r.err = s.work()
		close(r.done)
		s.mu.Lock()
		r, s.waiting = s.waiting, nil
		s.running = r
		s.mu.Unlock()
	}
}
