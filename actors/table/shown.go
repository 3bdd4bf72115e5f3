package table

import (
	"encoding/json"
	"hash/maphash"
	"slices"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/changelog"
)

// MaxShown is how many rows of one subscription are remembered.
const MaxShown = 5000

var shownSeed = maphash.MakeSeed()

// Shown is what a client holds of a subscription that began with rows: their keys,
// and what they looked like. It lets the difference be sent when the rows are sent
// again. One that has become too large knows nothing and stays so.
//
// It belongs to one goroutine at a time.
type Shown struct {
	rows map[string]uint64 // by the key
	over bool
	// Without rows it is only what changed: notes.
	notes []ShownNote
}

// ShownNote is a change to Shown.
type ShownNote struct {
	key    string
	digest uint64
	kind   shownKind
}

type shownKind uint8

const (
	shownPut shownKind = iota
	shownDrop
	shownClear
	shownLost // it cannot be known any more
)

// NewShown is a Shown of no rows, NewNotes one that only takes notes, for a Shown
// that is elsewhere.
func NewShown() *Shown { return &Shown{rows: map[string]uint64{}} }

// NewNotes makes a Shown that only takes notes; see Shown.Take.
func NewNotes() *Shown { return &Shown{} }

// Trackable tells whether it can be known what a client sees of the table.
func Trackable(t *changelog.Table, v *changelog.View) bool {
	return t.HasKey() && !slices.ContainsFunc(t.Key, func(column string) bool { return !v.Reads(column) })
}

// Notes are what was noted.
func (s *Shown) Notes() []ShownNote { return s.notes }

// Take applies notes.
func (s *Shown) Take(notes []ShownNote) {
	for _, n := range notes {
		s.note(n)
	}
}

// Known tells whether it still knows what is shown.
func (s *Shown) Known() bool { return s != nil && s.rows != nil && !s.over }

func (s *Shown) note(n ShownNote) {
	switch {
	case s.over:
		return
	case s.rows == nil && len(s.notes) < MaxShown:
		s.notes = append(s.notes, n)
		return
	case s.rows == nil:
		s.over, s.notes = true, []ShownNote{{kind: shownLost}}
		return
	}
	switch n.kind {
	case shownPut:
		s.rows[n.key] = n.digest
	case shownDrop:
		delete(s.rows, n.key)
	case shownClear:
		clear(s.rows)
	}
	if n.kind == shownLost || len(s.rows) > MaxShown {
		s.over, s.rows = true, nil
	}
}

// Add notes a row that was shown and gives its key, as JSON. known tells whether it
// was shown before, same whether it looked the same then.
func (s *Shown) Add(t *changelog.Table, record json.RawMessage, before *Shown) (key json.RawMessage, known, same bool, err error) {
	if key, err = t.KeyOf(record); err != nil {
		return nil, false, false, err
	}
	digest := maphash.Bytes(shownSeed, record)
	s.note(ShownNote{key: string(key), digest: digest})
	if before != nil {
		was, there := before.rows[string(key)]
		known, same = there, there && was == digest
	}
	return key, known, same, nil
}

// Missing are the keys in s that o does not have, in a stable order.
func (s *Shown) Missing(o *Shown) []json.RawMessage {
	var keys []string
	for key := range s.rows {
		if _, there := o.rows[key]; !there {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	missing := make([]json.RawMessage, len(keys))
	for i, key := range keys {
		missing[i] = json.RawMessage(key)
	}
	return missing
}

// shown is what is remembered of a subscription; nil if nothing is.
func (ms *membership) shown(ref kernel.Ref, id string) *Shown {
	if m := ms.members[ref]; m != nil {
		for _, s := range m.subscriptions {
			if s.ID == id {
				return s.Shown
			}
		}
	}
	return nil
}

// track notes what the messages of a batch change of what is shown. Call it before
// encode takes the messages.
func (ms *membership) track(j *judged) {
	for _, g := range j.heard {
		if !slices.ContainsFunc(g.subscriptions, func(s Subscription) bool { return s.Repairs }) {
			continue
		}
		var notes map[string][]ShownNote
		for ref := range g.members {
			for _, s := range ms.members[ref].subscriptions {
				if s.Shown == nil {
					continue
				}
				if notes == nil {
					notes = g.notes(j)
				}
				s.Shown.Take(notes[s.ID])
			}
		}
	}
}

// notes are what the group's messages change, by the ids of its subscriptions.
func (g *group) notes(j *judged) map[string][]ShownNote {
	notes := map[string][]ShownNote{}
	view := g.asker.view
	for _, m := range g.messages {
		made := notesOf(j.table, view, &j.entries[m.entry], m.kind)
		for _, id := range m.ids {
			notes[id] = append(notes[id], made...)
		}
	}
	return notes
}

func notesOf(t *changelog.Table, view *changelog.View, e *changelog.Entry, k kind) []ShownNote {
	lost := []ShownNote{{kind: shownLost}}
	if k == truncated {
		return []ShownNote{{kind: shownClear}}
	}
	var notes []ShownNote
	if e.Old != nil && k != entered {
		key, err := t.KeyOf(e.Old)
		if err != nil {
			return lost
		}
		notes = append(notes, ShownNote{key: string(key), kind: shownDrop})
	}
	if e.New == nil || k == left {
		return notes
	}
	record := e.New
	if !view.Whole {
		var err error
		if record, err = changelog.Project(e.New, view.Reads); err != nil {
			return lost
		}
	}
	key, err := t.KeyOf(e.New)
	if err != nil {
		return lost
	}
	return append(notes, ShownNote{key: string(key), digest: maphash.Bytes(shownSeed, record)})
}
