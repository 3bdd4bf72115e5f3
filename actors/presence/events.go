package presence

import (
	"slices"

	"fluxbase/actors/delivery"
)

// difference is the net effect of steps as watchers are told it: neither who came
// and went between two rounds of events is mentioned, nor a state that has only
// another owner now.
func difference(steps []Change) (joins, leaves []delivery.Meta) {
	type span struct{ first, last *Meta }
	spans := make(map[identity]*span, len(steps))
	var order []*span
	for _, s := range steps {
		var known *span
		if s.Old != nil {
			known = spans[s.Old.identity()]
		}
		if known == nil && s.New != nil {
			known = spans[s.New.identity()]
		}
		if known == nil {
			known = &span{first: s.Old}
			order = append(order, known)
		}
		known.last = s.New
		if s.New != nil {
			if s.Old != nil {
				delete(spans, s.Old.identity())
			}
			spans[s.New.identity()] = known
		} else {
			spans[s.Old.identity()] = known
		}
	}
	came := make(map[string]bool, len(order))
	for _, s := range order {
		if s.last != nil {
			came[s.last.Ref] = true
		}
	}
	stayed := make(map[string]bool)
	for _, s := range order {
		switch {
		case s.first == nil:
		case came[s.first.Ref]:
			stayed[s.first.Ref] = true
		default:
			leaves = append(leaves, s.first.shown())
		}
	}
	for _, s := range order {
		if s.last == nil || stayed[s.last.Ref] {
			continue
		}
		join := s.last.shown()
		if s.first != nil && !stayed[s.first.Ref] {
			join.PrevRef = s.first.Ref
		}
		joins = append(joins, join)
	}
	return slices.Clip(joins), slices.Clip(leaves)
}
