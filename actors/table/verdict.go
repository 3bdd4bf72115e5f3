package table

import (
	"fluxbase/persistence/changelog"
)

// kind is what a change is to one subscription.
type kind uint8

const (
	nothing kind = iota
	inserted
	updated
	// updatedKey is an update whose old image was not judged: only its key is
	// told.
	updatedKey
	// entered: the row was not there for the receiver before.
	entered
	// left: it is not there any more, though it still exists.
	left
	deleted
	truncated
)

// sight is what one subscription sees of the images of an entry.
type sight struct {
	old, new bool
	// live: the old image was judged by the row as it is now.
	live bool
}

// outcome decides what an entry is to a subscription to event.
func outcome(t changelog.Type, event string, s sight) kind {
	wants := func(events ...string) bool {
		for _, e := range events {
			if event == e {
				return true
			}
		}
		return event == Any
	}
	switch {
	case t == changelog.Insert && s.new && wants("INSERT"):
		return inserted
	case t == changelog.Delete && s.old && wants("DELETE"):
		return deleted
	case t == changelog.Truncate && wants("DELETE"):
		return truncated
	case t == changelog.Update && s.new && s.old && wants("UPDATE"):
		if s.live {
			return updatedKey
		}
		return updated
	case t == changelog.Update && s.new && !s.old && wants("UPDATE"):
		return entered
	case t == changelog.Update && s.old && !s.new && wants("UPDATE", "DELETE"):
		return left
	}
	return nothing
}
