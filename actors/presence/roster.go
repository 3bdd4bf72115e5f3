package presence

import (
	"encoding/json"
	"slices"

	"fluxbase/actors/delivery"
)

// Meta is one state in a room.
type Meta struct {
	// Ref is unique to this state: it changes when the state does.
	Ref string `json:"r"`
	// Node and Conn own the meta; with Key they identify it.
	Node  string          `json:"n"`
	Conn  string          `json:"c"`
	Key   string          `json:"k"`
	State json.RawMessage `json:"s"`
}

type identity struct{ conn, key string }

func (m *Meta) identity() identity { return identity{m.Conn, m.Key} }

// Change is a step from one roster to the next: Old is nil for a join, New for
// a leave; both for a state that was replaced.
type Change struct {
	Old *Meta `json:"o,omitempty"`
	New *Meta `json:"n,omitempty"`
}

func (c *Change) identity() identity {
	if c.New != nil {
		return c.New.identity()
	}
	return c.Old.identity()
}

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

// track adds or replaces; nothing changes when the same ref is there already.
func (r *roster) track(m *Meta) (Change, bool) {
	old := r.all[m.identity()]
	if old != nil && old.Ref == m.Ref {
		return Change{}, false
	}
	r.all[m.identity()] = m
	if old == nil {
		r.keys[m.Key] = append(r.keys[m.Key], m)
		return Change{New: m}, true
	}
	list := slices.Clone(r.keys[m.Key])
	list[slices.Index(list, old)] = m
	r.keys[m.Key] = list
	return Change{Old: old, New: m}, true
}

func (r *roster) untrack(conn, key string) (Change, bool) {
	old := r.all[identity{conn, key}]
	if old == nil {
		return Change{}, false
	}
	delete(r.all, old.identity())
	list := slices.Clone(r.keys[key])
	list = slices.Delete(list, slices.Index(list, old), slices.Index(list, old)+1)
	if len(list) == 0 {
		delete(r.keys, key)
	} else {
		r.keys[key] = list
	}
	return Change{Old: old}, true
}

// apply takes a step that another roster made.
func (r *roster) apply(c Change) (Change, bool) {
	if c.New != nil {
		return r.track(c.New)
	}
	if c.Old != nil {
		return r.untrack(c.Old.Conn, c.Old.Key)
	}
	return Change{}, false
}

// replace makes the metas that mine selects equal to list, and gives the steps.
func (r *roster) replace(list []*Meta, mine func(*Meta) bool) []Change {
	var steps []Change
	wanted := make(map[identity]bool, len(list))
	for _, m := range list {
		wanted[m.identity()] = true
	}
	for _, m := range r.sorted() {
		if mine(m) && !wanted[m.identity()] {
			if step, ok := r.untrack(m.Conn, m.Key); ok {
				steps = append(steps, step)
			}
		}
	}
	for _, m := range list {
		if step, ok := r.track(m); ok {
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
