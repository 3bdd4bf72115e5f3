package presence

import (
	"encoding/json"
	"slices"

	"fluxbase/actors/delivery"
)

// Meta is one state in a room.
type Meta struct {
	// Ref is unique to this state: it changes when the state does, and only then.
	Ref string `json:"r"`
	// Node is where the owner's connection is; empty for a state that lingers: its
	// connection was cut, and the room's home holds it until the grace is over.
	Node string `json:"n"`
	// Conn and Key identify the meta.
	Conn string `json:"c"`
	Key  string `json:"k"`
	// User is whose connection it is, empty for nobody in particular. Only the same
	// user takes over, under the same key, what lingers.
	User  string          `json:"u,omitempty"`
	State json.RawMessage `json:"s"`
}

type identity struct{ conn, key string }

func (m *Meta) identity() identity { return identity{m.Conn, m.Key} }

func (m *Meta) lingers() bool { return m.Node == "" }

// shown is what watchers see of a meta.
func (m *Meta) shown() delivery.Meta {
	return delivery.Meta{Key: m.Key, Ref: m.Ref, State: m.State}
}

// Change is a step from one roster to the next: Old is nil for a join, New for
// a leave; both for a meta in whose place another one is. Their refs are equal
// when only the owner is another one.
type Change struct {
	Old *Meta `json:"o,omitempty"`
	New *Meta `json:"n,omitempty"`
	// Cut, in what a node asks of a home, says of a leave that the connection was
	// cut: the state lingers.
	Cut bool `json:"cut,omitempty"`
}

// empty tells that a step says nothing, which only a message of another node may.
func (c Change) empty() bool { return c.Old == nil && c.New == nil }

// roster is the content of a room. Metas of one key are kept in the order in
// which they came.
type roster struct {
	keys map[string][]*Meta
	all  map[identity]*Meta
}

func newRoster() *roster {
	return &roster{keys: map[string][]*Meta{}, all: map[identity]*Meta{}}
}

func (r *roster) len() int { return len(r.all) }

// put adds m, or puts it in the place of the meta of the same identity; nothing
// changes when that one is the same.
func (r *roster) put(m *Meta) (Change, bool) {
	old := r.all[m.identity()]
	if old == nil {
		r.all[m.identity()] = m
		r.keys[m.Key] = append(r.keys[m.Key], m)
		return Change{New: m}, true
	}
	if old.Ref == m.Ref && old.Node == m.Node {
		return Change{}, false
	}
	return r.succeed(old, m), true
}

// succeed puts m, which is not here yet or has the identity of old, in the place
// of old, which is under the same key.
func (r *roster) succeed(old, m *Meta) Change {
	delete(r.all, old.identity())
	r.all[m.identity()] = m
	list := slices.Clone(r.keys[m.Key])
	list[slices.Index(list, old)] = m
	r.keys[m.Key] = list
	return Change{Old: old, New: m}
}

func (r *roster) remove(id identity) (Change, bool) {
	old := r.all[id]
	if old == nil {
		return Change{}, false
	}
	delete(r.all, id)
	list := slices.Clone(r.keys[id.key])
	at := slices.Index(list, old)
	if list = slices.Delete(list, at, at+1); len(list) == 0 {
		delete(r.keys, id.key)
	} else {
		r.keys[id.key] = list
	}
	return Change{Old: old}, true
}

// apply takes a step that another roster made, and appends to steps what it
// changed here.
func (r *roster) apply(c Change, steps []Change) []Change {
	step, changed := Change{}, false
	switch {
	case c.New == nil:
		step, changed = r.remove(c.Old.identity())
	case c.Old == nil || r.all[c.Old.identity()] == nil || r.all[c.New.identity()] != nil:
		if c.Old != nil && c.Old.identity() != c.New.identity() {
			if step, changed = r.remove(c.Old.identity()); changed {
				steps = append(steps, step)
			}
		}
		step, changed = r.put(c.New)
	default:
		step, changed = r.succeed(r.all[c.Old.identity()], c.New), true
	}
	if changed {
		steps = append(steps, step)
	}
	return steps
}

// replace makes the metas that mine selects equal to list, and gives the steps.
func (r *roster) replace(list []*Meta, mine func(*Meta) bool) []Change {
	var steps []Change
	wanted := make(map[identity]bool, len(list))
	for _, m := range list {
		wanted[m.identity()] = true
	}
	for _, m := range r.metas(mine) {
		if !wanted[m.identity()] {
			if step, ok := r.remove(m.identity()); ok {
				steps = append(steps, step)
			}
		}
	}
	for _, m := range list {
		if step, ok := r.put(m); ok {
			steps = append(steps, step)
		}
	}
	return steps
}

// metas lists the metas that mine selects, ordered by key and arrival.
func (r *roster) metas(mine func(*Meta) bool) []*Meta {
	var list []*Meta
	for _, m := range r.sorted() {
		if mine(m) {
			list = append(list, m)
		}
	}
	return list
}

func (r *roster) sorted() []*Meta {
	list := make([]*Meta, 0, len(r.all))
	for _, key := range r.sortedKeys() {
		list = append(list, r.keys[key]...)
	}
	return list
}

func (r *roster) sortedKeys() []string {
	keys := make([]string, 0, len(r.keys))
	for key := range r.keys {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}

// state is the whole roster as watchers see it.
func (r *roster) state() []delivery.KeyMetas {
	keys := r.sortedKeys()
	list := make([]delivery.KeyMetas, len(keys))
	for i, key := range keys {
		list[i] = delivery.KeyMetas{Key: key, Metas: make([]delivery.Meta, len(r.keys[key]))}
		for j, m := range r.keys[key] {
			list[i].Metas[j] = m.shown()
		}
	}
	return list
}
