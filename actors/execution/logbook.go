package execution

import (
	"context"
	"errors"
	"sync"

	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
)

// Logbook is the logs of a tenant's executions for those who follow them live. It is
// safe for concurrent use.
type Logbook struct {
	store *store.Store
	logs  *store.Logs

	mu       sync.Mutex
	next     int
	watchers map[string]map[int]func()
}

// NewLogbook gives the logbook of a tenant.
func NewLogbook(s *store.Store, l *store.Logs) *Logbook {
	return &Logbook{store: s, logs: l, watchers: map[string]map[int]func(){}}
}

// Readable is nil when the caller may read the log of an execution; another's and one
// that does not exist are NOT_FOUND alike. kind is the execution's type or empty.
func (l *Logbook) Readable(ctx context.Context, c caller.Caller, id, kind string) error {
	missing := fault.New(fault.NotFound, "execution not found")
	if kind != "" && kind != "rpc" {
		return missing
	}
	r, err := l.store.Get(ctx, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && !mayRead(c, r) {
		return missing
	}
	return err
}

// Lines gives the first lines behind a number.
func (l *Logbook) Lines(ctx context.Context, id string, after, limit int) ([]store.Line, error) {
	return l.logs.Read(ctx, id, after, limit)
}

// Watch calls f, which must not block, whenever the execution's log may have grown.
func (l *Logbook) Watch(id string, f func()) (cancel func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next++
	n := l.next
	if l.watchers[id] == nil {
		l.watchers[id] = map[int]func(){}
	}
	l.watchers[id][n] = f
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if delete(l.watchers[id], n); len(l.watchers[id]) == 0 {
			delete(l.watchers, id)
		}
	}
}

// Rung says that lines were added to an execution's log; "" says that nobody knows to
// which.
func (l *Logbook) Rung(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id != "" {
		for _, f := range l.watchers[id] {
			f()
		}
		return
	}
	for _, watchers := range l.watchers {
		for _, f := range watchers {
			f()
		}
	}
}
