package presence

import "fluxbase/actors/delivery"

// difference is the net effect of steps as watchers are told it: who came and went
// between two rounds of events is not mentioned.
func difference(steps []Change) (joins, leaves []delivery.Meta) {
	type span struct{ first, last *Meta }
	spans := make(map[identity]*span, len(steps))
	var order []*span
	for _, s := range steps {
		id := s.identity()
		known := spans[id]
		if known == nil {
			known = &span{first: s.Old}
			spans[id] = known
			order = append(order, known)
		}
		known.last = s.New
	}
	for _, s := range order {
		if s.first != nil && s.last != nil && s.first.Ref == s.last.Ref {
			continue
		}
		if s.first != nil {
			leaves = append(leaves, s.first.shown())
		}
		if s.last != nil {
			join := s.last.shown()
			if s.first != nil {
				join.PrevRef = s.first.Ref
			}
			joins = append(joins, join)
		}
	}
	return joins, leaves
}

// shown is what watchers see of a meta.
func (m *Meta) shown() delivery.Meta {
	return delivery.Meta{Key: m.Key, Ref: m.Ref, State: m.State}
}
