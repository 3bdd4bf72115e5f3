package kernel

import (
	"context"
	"fmt"
	"sync"
	"time"

	"fluxbase/persistence/fault"
)

// activationTimeout bounds the making of a home.
const activationTimeout = 10 * time.Second

// Homes are the homes of one node: it makes them on their first message and
// forgets them when they stop. Whether a home belongs here is not its business.
type Homes struct {
	sys   *System
	epoch func(ctx context.Context, kind, key string) (uint64, error)
	ended func(kind, key string, epoch uint64)

	mu     sync.RWMutex
	kinds  map[string]func(key string, epoch uint64) Props
	active map[homeKey]*home
}

type homeKey struct{ kind, key string }

type home struct {
	ready chan struct{} // closed when ref or err is set
	ref   Ref
	err   error
}

// NewHomes makes the homes of s. epoch gives each its epoch, higher than all that
// it gave for the same home before; an error of it is the asker's. ended, which
// may be nil, is called once for each epoch given, when its home has ended or
// could not be made; it must not block.
func NewHomes(s *System, epoch func(ctx context.Context, kind, key string) (uint64, error), ended func(kind, key string, epoch uint64)) *Homes {
	if ended == nil {
		ended = func(string, string, uint64) {}
	}
	return &Homes{sys: s, epoch: epoch, ended: ended, kinds: map[string]func(string, uint64) Props{}, active: map[homeKey]*home{}}
}

// Register is Placement.RegisterKind.
func (h *Homes) Register(kind string, spawn func(key string, epoch uint64) Props) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.kinds[kind] = spawn
}

// Ask asks the home of (kind, key), which is made if need be; one that stopped
// meanwhile is made again.
func (h *Homes) Ask(ctx context.Context, kind, key string, msg FromNode) (Wire, error) {
	k := homeKey{kind, key}
	for {
		at, err := h.at(k)
		if err != nil {
			return nil, err
		}
		select {
		case <-at.ready:
		case <-ctx.Done():
			return nil, ended(ctx)
		}
		if at.err != nil {
			return nil, at.err
		}
		answer, err := Ask[Wire](ctx, at.ref, msg)
		if err != ErrStopped || !at.ref.cell.closed.Load() {
			return answer, err
		}
		// It stopped before it took the message. Its name is free when it ended.
		select {
		case <-at.ref.Done():
		case <-ctx.Done():
			return nil, ended(ctx)
		}
		h.forget(k, at)
	}
}

func (h *Homes) at(k homeKey) (*home, error) {
	h.mu.RLock()
	at := h.active[k]
	h.mu.RUnlock()
	if at != nil {
		return at, nil
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if at = h.active[k]; at != nil {
		return at, nil
	}
	spawn := h.kinds[k.kind]
	if spawn == nil {
		return nil, fault.New(fault.ServiceUnavailable, "The service is not available").
			WithCause(fmt.Errorf("no homes of kind %q here", k.kind))
	}
	at = &home{ready: make(chan struct{})}
	h.active[k] = at
	go h.activate(k, at, spawn)
	return at, nil
}

func (h *Homes) activate(k homeKey, at *home, spawn func(string, uint64) Props) {
	defer close(at.ready)
	ctx, cancel := context.WithTimeout(context.Background(), activationTimeout)
	defer cancel()
	epoch, err := h.epoch(ctx, k.kind, k.key)
	if err == nil {
		p := spawn(k.key, epoch)
		p.Name = fmt.Sprintf("home:%s:%s#%d", k.kind, k.key, epoch)
		over := func() {
			h.forget(k, at)
			h.ended(k.kind, k.key, epoch)
		}
		var c *cell
		if c, err = h.sys.spawn(p, nil, over); err != nil {
			over()
		}
		at.ref = Ref{c}
	}
	if err != nil {
		at.err = err
		h.forget(k, at)
	}
}

func (h *Homes) forget(k homeKey, at *home) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.active[k] == at {
		delete(h.active, k)
	}
}

// Keep stops the homes for which keep says no, and returns how many those were.
// Their waiting requests are answered with ErrStopped.
func (h *Homes) Keep(keep func(kind, key string) bool) int {
	h.mu.RLock()
	var moved []*home
	for k, at := range h.active {
		if !keep(k.kind, k.key) {
			moved = append(moved, at)
		}
	}
	h.mu.RUnlock()
	for _, at := range moved {
		go func() {
			<-at.ready
			at.ref.Stop()
		}()
	}
	return len(moved)
}

// Stop stops the home of (kind, key) and waits until it has ended, or for ctx.
// It does nothing when there is none.
func (h *Homes) Stop(ctx context.Context, kind, key string) error {
	h.mu.RLock()
	at := h.active[homeKey{kind, key}]
	h.mu.RUnlock()
	if at == nil {
		return nil
	}
	select {
	case <-at.ready:
	case <-ctx.Done():
		return ended(ctx)
	}
	at.ref.Stop()
	select {
	case <-at.ref.Done():
		return nil
	case <-ctx.Done():
		return ended(ctx)
	}
}

// Len is the number of homes here.
func (h *Homes) Len() int {
	h.mu.RLock()
	defer h.mu.RUnlock()
	return len(h.active)
}
