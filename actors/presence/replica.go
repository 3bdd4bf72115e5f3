package presence

// replica is a node's copy of a room.
type replica struct {
	roster     *roster
	known      bool
	epoch, seq uint64
	// merging: the home is new and has not heard of every node yet, so absence
	// proves nothing.
	merging bool
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
		if step, ok := r.roster.apply(s); ok {
			steps = append(steps, step)
		}
	}
	return steps, false
}

// reset makes the copy equal to the home's state. When the home is another one
// than before, what it does not have yet is kept for now, and merging is set:
// call finish after the grace.
func (r *replica) reset(s *state) []Change {
	if r.known && s.Epoch < r.epoch {
		return nil
	}
	moved := r.known && s.Epoch > r.epoch
	r.known, r.epoch, r.seq = true, s.Epoch, s.Seq
	if moved {
		r.merging = true
	}
	return r.roster.replace(s.Metas, func(*Meta) bool { return !r.merging })
}
