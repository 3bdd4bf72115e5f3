package kernel

import (
	"context"
	"sync"
	"time"

	"fluxbase/persistence/fault"
)

// Alone is Placement and Members of a node that has no others.
type Alone struct {
	self     NodeID
	homes    *Homes
	services sync.Map // name → Ref
}

var (
	_ Placement = (*Alone)(nil)
	_ Members   = (*Alone)(nil)
)

// Standalone makes the placement of a single node. Epochs come from the clock.
func Standalone(s *System) *Alone {
	clock := &epochClock{}
	return &Alone{self: "standalone", homes: NewHomes(s, clock.next, nil)}
}

// epochClock gives milliseconds since 1970, or one more than it gave last: the
// number also rises over restarts.
type epochClock struct {
	mu   sync.Mutex
	last uint64
}

func (e *epochClock) next(context.Context, string, string) (uint64, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.last = max(e.last+1, uint64(time.Now().UnixMilli()))
	return e.last, nil
}

// Self implements Members.
func (a *Alone) Self() NodeID { return a.self }

// Nodes implements Members.
func (a *Alone) Nodes() []NodeID { return []NodeID{a.self} }

// Watch implements Members; there is never a change.
func (a *Alone) Watch(func([]NodeID)) (cancel func()) { return func() {} }

// RegisterService implements Placement.
func (a *Alone) RegisterService(name string, r Ref) { a.services.Store(name, r) }

// Tell implements Placement.
func (a *Alone) Tell(node NodeID, service string, msg Wire) error {
	r, ok := a.services.Load(service)
	if node != a.self || !ok {
		return fault.Newf(fault.ServiceUnavailable, "no service %s at node %s", service, node)
	}
	return r.(Ref).Tell(FromNode{From: a.self, Msg: msg})
}

// Home implements Placement.
func (a *Alone) Home(string, string) NodeID { return a.self }

// RegisterKind implements Placement.
func (a *Alone) RegisterKind(kind string, spawn func(key string, epoch uint64) Props) {
	a.homes.Register(kind, spawn)
}

// AskHome implements Placement.
func (a *Alone) AskHome(ctx context.Context, kind, key string, msg Wire) (Wire, error) {
	return a.homes.Ask(ctx, kind, key, FromNode{From: a.self, Msg: msg})
}
