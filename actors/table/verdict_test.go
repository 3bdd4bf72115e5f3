package table

import (
	"testing"

	"fluxbase/persistence/changelog"
)

func TestOutcome(t *testing.T) {
	const all, ins, upd, del = "*", "INSERT", "UPDATE", "DELETE"
	for _, c := range []struct {
		entry  changelog.Type
		sight  sight
		want   kind
		events []string // the other events get nothing
	}{
		{changelog.Insert, sight{new: true}, inserted, []string{all, ins}},
		{changelog.Insert, sight{}, nothing, nil},
		{changelog.Update, sight{old: true, new: true}, updated, []string{all, upd}},
		{changelog.Update, sight{old: true, new: true, live: true}, updatedKey, []string{all, upd}},
		{changelog.Update, sight{new: true}, entered, []string{all, upd}},
		{changelog.Update, sight{old: true}, left, []string{all, upd, del}},
		{changelog.Update, sight{}, nothing, nil},
		{changelog.Delete, sight{old: true}, deleted, []string{all, del}},
		{changelog.Delete, sight{}, nothing, nil},
		{changelog.Truncate, sight{}, truncated, []string{all, del}},
	} {
		for _, event := range []string{all, ins, upd, del} {
			want := nothing
			for _, e := range c.events {
				if e == event {
					want = c.want
				}
			}
			if got := outcome(c.entry, event, c.sight); got != want {
				t.Errorf("%c seen as %+v is %d to %s, want %d", c.entry, c.sight, got, event, want)
			}
		}
	}
}
