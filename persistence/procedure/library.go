package procedure

import (
	"context"
	"sync"
	"sync/atomic"
)

// Bell is what a node hears of NotifyChannel, for the libraries of all tenants that
// live in one database. The zero value is deaf.
type Bell struct {
	// state is another number after everything that was heard, and odd while the
	// channel can be heard.
	state atomic.Uint64
}

// Heard says that the channel rang, or can be heard again from now on.
func (b *Bell) Heard() { b.next(1) }

// Deaf says that the channel cannot be heard from now on.
func (b *Bell) Deaf() { b.next(0) }

func (b *Bell) next(hearing uint64) {
	for {
		old := b.state.Load()
		if b.state.CompareAndSwap(old, (old+2)&^1|hearing) {
			return
		}
	}
}

// maxShelved bounds the procedures that a Library keeps.
const maxShelved = 1024

// Library finds procedures without asking the database each time: it believes what
// it keeps until the Bell rings. While that is deaf it asks. It is safe for
// concurrent use.
type Library struct {
	store *Store
	bell  *Bell

	mu    sync.Mutex
	heard uint64 // the bell's state when the shelf was begun
	shelf map[[2]string]*Procedure
}

// NewLibrary gives a library over a store.
func NewLibrary(s *Store, b *Bell) *Library { return &Library{store: s, bell: b} }

// Find gives a procedure, enabled or not, or ErrNotFound. What another node has
// changed is seen as soon as its ring is heard.
func (l *Library) Find(ctx context.Context, namespace, name string) (*Procedure, error) {
	key := [2]string{namespace, name}
	// What is read below may be older than a ring that comes meanwhile.
	heard := l.bell.state.Load()
	if p := l.look(key, heard); p != nil {
		return p, nil
	}
	p, err := l.store.Find(ctx, namespace, name)
	if err == nil && heard&1 == 1 {
		l.keep(key, p, heard)
	}
	return p, err
}

func (l *Library) look(key [2]string, heard uint64) *Procedure {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard != heard {
		return nil
	}
	return l.shelf[key]
}

func (l *Library) keep(key [2]string, p *Procedure, heard uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard > heard {
		return
	}
	if l.heard < heard || l.shelf == nil || len(l.shelf) >= maxShelved {
		l.heard, l.shelf = heard, make(map[[2]string]*Procedure)
	}
	l.shelf[key] = p
}
