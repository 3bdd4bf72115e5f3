package monitoring

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How a probe of the database is made. Its result is kept a moment, so that
// health checks, which anybody may call, cannot be used to load the database.
const (
	probeTimeout = 5 * time.Second
	probeFresh   = time.Second
)

// result is what a probe found.
type result struct {
	err  error
	took time.Duration
}

// probe asks at most once per second, and once for all who wait.
type probe struct {
	ask func(context.Context) error

	mu      sync.Mutex
	last    result
	at      time.Time
	pending chan struct{}
}

// look gives a result that is at most probeFresh old. The error is ctx's when
// it ends while waiting.
func (p *probe) look(ctx context.Context) result {
	for {
		p.mu.Lock()
		if !p.at.IsZero() && time.Since(p.at) < probeFresh {
			r := p.last
			p.mu.Unlock()
			return r
		}
		if p.pending == nil {
			break
		}
		pending := p.pending
		p.mu.Unlock()
		select {
		case <-pending:
		case <-ctx.Done():
			return result{err: ctx.Err()}
		}
	}
	done := make(chan struct{})
	p.pending = done
	p.mu.Unlock()

	// Others wait for this result: the client that happened to come first must
	// not spoil it by hanging up.
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), probeTimeout)
	defer cancel()
	r := result{err: errPanicked}
	defer func() {
		p.mu.Lock()
		p.last, p.at, p.pending = r, time.Now(), nil
		p.mu.Unlock()
		close(done)
	}()
	start := time.Now()
	r.err = p.ask(bounded)
	r.took = time.Since(start)
	return r
}

// errPanicked is found by those who wait for a probe that panics.
var errPanicked = errors.New("the probe panicked")
