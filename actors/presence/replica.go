package presence

// replica is a node's copy of a room.
type replica struct {
	roster     *roster
	known      bool
	epoch, seq uint64
	// merging: the home is new and has not heard of every node yet, so absence
	// proves nothing. unheard is what is kept although the home does not have it.
	merging bool
	unheard map[identity]bool
}

// take applies numbered steps. behind is true when one is missing, or when they
// come from a home that this copy does not know: announce, then.
func (r *replica) take(c *changed) (steps []Change, behind bool) {
	switch {
	case !r.known || c.Epoch > r.epoch:
		return nil, true
	case c.Epoch < r.epoch || c.Seq <= r.seq:
		return nil, false
	case c.Seq > r.seq+1:
		return nil, true
	}
	r.seq = c.Seq
	for _, s := range c.Steps {
		steps = r.roster.apply(s, steps)
		if s.New != nil {
			delete(r.unheard, s.New.identity())
		}
	}
	return steps, false
}

// lingering lists what has no connection any more and is known to the home.
func (r *replica) lingering() []*Meta {
	return r.roster.metas(func(m *Meta) bool { return m.lingers() && !r.unheard[m.identity()] })
}

// stale tells that a state is older than the copy: steps that came after it, or a
// later home, overtook it.
func (r *replica) stale(s *state) bool {
	return r.known && (s.Epoch < r.epoch || s.Epoch == r.epoch && s.Seq < r.seq)
}

// reset makes the copy equal to the home's state. When the home is another one
// than before, what it does not have yet is kept for now, and merging is set: unset
// it after the grace, and reset again.
func (r *replica) reset(s *state) []Change {
	if r.stale(s) {
		return nil
	}
	r.merging = r.merging || r.known && s.Epoch > r.epoch
	r.known, r.epoch, r.seq = true, s.Epoch, s.Seq
	if !r.merging {
		r.unheard = nil
		return r.roster.replace(s.Metas, func(*Meta) bool { return true })
	}
	here := make(map[string]bool, len(s.Metas))
	for _, m := range s.Metas {
		here[m.Ref] = true
	}
	// A state that has another owner now is not kept beside it.
	steps := r.roster.replace(s.Metas, func(m *Meta) bool { return here[m.Ref] })
	r.unheard = map[identity]bool{}
	for id, m := range r.roster.all {
		if !here[m.Ref] {
			r.unheard[id] = true
		}
	}
	return steps
}
