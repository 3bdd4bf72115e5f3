package presence

import (
	"encoding/json"

	"fluxbase/actors/kernel"
)

// holdings are what the connections of a node show in a room: what they asked for,
// and what the home took of it.
type holdings struct {
	owners map[kernel.Ref]map[string]string // owner → keys → connection id
	taken  *roster
}

func newHoldings() *holdings {
	return &holdings{owners: map[kernel.Ref]map[string]string{}, taken: newRoster()}
}

// track makes the step to ask of the home; ref is for the state if it is a new one.
func (h *holdings) track(t Track, node, ref string) Change {
	keys := h.owners[t.Owner]
	if keys == nil {
		keys = map[string]string{}
		h.owners[t.Owner] = keys
	}
	keys[t.Key] = t.Conn
	state := t.State
	if state == nil {
		state = json.RawMessage("null")
	}
	return Change{New: &Meta{Ref: ref, Node: node, Conn: t.Conn, Key: t.Key, User: t.User, State: state}}
}

// untrack makes the step to ask of the home; false when the key is none of the
// owner's.
func (h *holdings) untrack(owner kernel.Ref, key string) (Change, bool) {
	conn, ok := h.owners[owner][key]
	if !ok {
		return Change{}, false
	}
	if delete(h.owners[owner], key); len(h.owners[owner]) == 0 {
		delete(h.owners, owner)
	}
	return Change{Old: &Meta{Conn: conn, Key: key}}, true
}

// leave makes the steps for an owner that is gone.
func (h *holdings) leave(owner kernel.Ref, cut bool) (steps []Change) {
	for key := range h.owners[owner] {
		step, _ := h.untrack(owner, key)
		step.Cut = cut
		steps = append(steps, step)
	}
	return steps
}

// settle notes how a step ended: ref is what the home answered for a state that it
// took, empty when it did not, or could not be asked.
func (h *holdings) settle(step Change, ref string) {
	switch {
	case step.New == nil:
		h.taken.remove(step.Old.identity())
	case ref != "":
		m := *step.New
		m.Ref = ref
		h.taken.put(&m)
	}
}
