package presence

import (
	"bytes"
	"slices"
	"time"

	"fluxbase/persistence/fault"
)

// room is what a home knows, without its actor.
type room struct {
	epoch, seq uint64
	since      time.Time // when this home began
	roster     *roster
	limits     Limits
	nodes      map[string]time.Time // lease per node that watches or tracks
	lingering  []lingering          // ordered by time
}

// lingering is a state whose connection was cut. It is over when another meta is
// in its place in the roster.
type lingering struct {
	meta  *Meta
	until time.Time
}

func newRoom(epoch uint64, since time.Time, limits Limits) *room {
	return &room{epoch: epoch, since: since, roster: newRoster(), limits: limits.orDefault(), nodes: map[string]time.Time{}}
}

// apply takes a node's steps and answers each; steps are those that changed the
// room. A node can touch only what is its own. Steps that are applied again change
// nothing.
func (r *room) apply(now time.Time, node string, asked []Change) (answer *applied, steps []Change) {
	answer = &applied{Codes: make([]string, len(asked)), Refs: make([]string, len(asked))}
	for i, s := range asked {
		switch {
		case s.New != nil:
			ref, code, made := r.track(owned(s.New, node))
			answer.Refs[i], answer.Codes[i] = ref, string(code)
			steps = append(steps, made...)
		default:
			if m := r.roster.all[s.Old.identity()]; m != nil && m.Node == node {
				steps = append(steps, r.end(now, m, s.Cut))
			}
		}
	}
	return answer, steps
}

// track shows m, which may be changed. ref is the one that it has now: a state
// that was here already keeps its ref.
func (r *room) track(m *Meta) (ref string, code fault.Code, steps []Change) {
	old := r.roster.all[m.identity()]
	if old == nil {
		old = r.left(m)
	}
	if old == nil {
		if r.roster.len() >= r.limits.PerRoom {
			if steps = r.evict(); steps == nil {
				return "", fault.PresenceLimitReached, nil
			}
		}
		return m.Ref, "", r.roster.apply(Change{New: m}, steps)
	}
	if bytes.Equal(old.State, m.State) {
		m.Ref = old.Ref
		if old.Node == m.Node {
			return m.Ref, "", nil
		}
	}
	return m.Ref, "", append(steps, r.roster.succeed(old, m))
}

// left finds what m's user left behind under the key: the same state, or else the
// oldest.
func (r *room) left(m *Meta) (found *Meta) {
	for _, other := range r.roster.keys[m.Key] {
		if !other.lingers() || other.User != m.User {
			continue
		}
		if bytes.Equal(other.State, m.State) {
			return other
		}
		if found == nil {
			found = other
		}
	}
	return found
}

// end takes a meta away, or lets it linger. It does not linger when its user came
// back before the end was noticed.
func (r *room) end(now time.Time, m *Meta, cut bool) Change {
	if !cut || r.limits.Grace <= 0 || r.returned(m) {
		step, _ := r.roster.remove(m.identity())
		return step
	}
	held := *m
	held.Node = ""
	r.linger(now, &held)
	return r.roster.succeed(m, &held)
}

// returned tells whether something of m's user came under the key after m.
func (r *room) returned(m *Meta) bool {
	list := r.roster.keys[m.Key]
	for _, other := range list[slices.Index(list, m)+1:] {
		if other.User == m.User && !other.lingers() {
			return true
		}
	}
	return false
}

func (r *room) linger(now time.Time, m *Meta) {
	r.lingering = append(r.lingering, lingering{meta: m, until: now.Add(r.limits.Grace)})
}

// expire takes away what has lingered for the grace.
func (r *room) expire(now time.Time) (steps []Change) {
	for len(r.lingering) > 0 && !r.lingering[0].until.After(now) {
		steps = r.let(steps)
	}
	return steps
}

// evict takes away what lingers for the longest time; nil when nothing does.
func (r *room) evict() (steps []Change) {
	for len(steps) == 0 && len(r.lingering) > 0 {
		steps = r.let(steps)
	}
	return steps
}

// let ends the first entry of lingering, and appends to steps what that changed.
func (r *room) let(steps []Change) []Change {
	m := r.lingering[0].meta
	r.lingering = r.lingering[1:]
	if r.roster.all[m.identity()] != m {
		return steps
	}
	return r.roster.apply(Change{Old: m}, steps)
}

// due is when expire has something to do; false for never.
func (r *room) due() (time.Time, bool) {
	if len(r.lingering) == 0 {
		return time.Time{}, false
	}
	return r.lingering[0].until, true
}

// owned is a copy of m as a meta of node: a message may be shared with its sender.
func owned(m *Meta, node string) *Meta {
	other := *m
	other.Node = node
	return &other
}

// announce makes the node's part of the room equal to what it says. A home that
// began a moment ago takes what lingered at the one before, too: its grace begins
// again.
func (r *room) announce(now time.Time, node string, a *announce) []Change {
	list := make([]*Meta, len(a.Metas))
	for i, m := range a.Metas {
		list[i] = owned(m, node)
	}
	steps := r.roster.replace(list, func(m *Meta) bool { return m.Node == node })
	if a.Epoch == 0 || a.Epoch >= r.epoch || now.Sub(r.since) > heirloomTime || r.limits.Grace <= 0 {
		return steps
	}
	known := make(map[string]bool, r.roster.len())
	for _, m := range r.roster.all {
		known[m.Ref] = true
	}
	for _, m := range a.Lingering {
		if r.roster.all[m.identity()] == nil && !known[m.Ref] {
			held := owned(m, "")
			r.linger(now, held)
			steps = r.roster.apply(Change{New: held}, steps)
		}
	}
	return steps
}

// drop forgets nodes that are not alive, and what was theirs.
func (r *room) drop(alive func(node string) bool) []Change {
	for node := range r.nodes {
		if !alive(node) {
			delete(r.nodes, node)
		}
	}
	return r.roster.replace(nil, func(m *Meta) bool { return !m.lingers() && !alive(m.Node) })
}

// count is the number of metas of a node.
func (r *room) count(node string) (n int) {
	for _, m := range r.roster.all {
		if m.Node == node {
			n++
		}
	}
	return n
}
