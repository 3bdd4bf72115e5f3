package table

import (
	"encoding/json"
	"fmt"
	"testing"

	"fluxbase/persistence/changelog"
)

func shownTable() *changelog.Table { return &changelog.Table{Key: []string{"region", "id"}} }

func put(t *testing.T, s *Shown, record string, before *Shown) (key string, known, same bool) {
	t.Helper()
	k, known, same, err := s.Add(shownTable(), json.RawMessage(record), before)
	if err != nil {
		t.Fatal(err)
	}
	return string(k), known, same
}

func TestShownTellsTheDifference(t *testing.T) {
	before, after := NewShown(), NewShown()
	put(t, before, `{"id":1,"region":"sea","v":"same"}`, nil)
	put(t, before, `{"id":2,"region":"sea","v":"old"}`, nil)
	put(t, before, `{"id":3,"region":"sea","v":"gone"}`, nil)
	for _, c := range []struct {
		record, key string
		known, same bool
	}{
		{`{"id":1,"region":"sea","v":"same"}`, `{"region":"sea","id":1}`, true, true},
		{`{"id":2,"region":"sea","v":"new"}`, `{"region":"sea","id":2}`, true, false},
		{`{"id":1,"region":"land","v":"same"}`, `{"region":"land","id":1}`, false, false},
	} {
		if key, known, same := put(t, after, c.record, before); key != c.key || known != c.known || same != c.same {
			t.Errorf("%s: %s %t %t", c.record, key, known, same)
		}
	}
	if missing := before.Missing(after); len(missing) != 1 || string(missing[0]) != `{"region":"sea","id":3}` {
		t.Errorf("missing %s", missing)
	}
}

// Notes that were taken elsewhere say the same as if they had been taken here.
func TestShownTakesNotes(t *testing.T) {
	table := shownTable()
	view := &changelog.View{Whole: true}
	base, elsewhere := NewShown(), NewNotes()
	put(t, base, `{"id":1,"region":"sea"}`, nil)
	put(t, base, `{"id":2,"region":"sea"}`, nil)
	image := func(text string) json.RawMessage {
		if text == "" {
			return nil
		}
		return json.RawMessage(text)
	}
	for _, c := range []struct {
		old, new string
		kind     kind
	}{
		{"", `{"id":3,"region":"sea"}`, inserted},
		{`{"id":3,"region":"sea"}`, `{"id":4,"region":"sea"}`, updated},
		// A row that was too large is printed in another way.
		{`{"region" : "sea", "id" : 1}`, "", deleted},
		{`{"id":2,"region":"sea"}`, `{"id":2,"region":"sea"}`, left},
		{`{"id":5,"region":"sea"}`, `{"id":6,"region":"sea"}`, entered},
	} {
		elsewhere.Take(notesOf(table, view, &changelog.Entry{Old: image(c.old), New: image(c.new)}, c.kind))
	}
	base.Take(elsewhere.Notes())
	if got := fmt.Sprintf("%s", base.Missing(NewShown())); got != `[{"region":"sea","id":4} {"region":"sea","id":6}]` {
		t.Errorf("shown are %s", got)
	}
	base.Take(notesOf(table, view, &changelog.Entry{}, truncated))
	if got := base.Missing(NewShown()); len(got) != 0 || !base.Known() {
		t.Errorf("after TRUNCATE %s", got)
	}
}

func TestShownIsBounded(t *testing.T) {
	s, notes := NewShown(), NewNotes()
	for i := range MaxShown + 1 {
		record := fmt.Sprintf(`{"id":%d,"region":"sea"}`, i)
		if !s.Known() {
			t.Fatalf("%d rows are too many", i)
		}
		put(t, s, record, nil)
		notes.Take(notesOf(shownTable(), &changelog.View{Whole: true}, &changelog.Entry{New: json.RawMessage(record)}, inserted))
	}
	if s.Known() || len(s.rows) != 0 {
		t.Error("a Shown without bounds")
	}
	other := NewShown()
	if other.Take(notes.Notes()); other.Known() || len(notes.Notes()) > 1 {
		t.Error("notes without bounds")
	}
	var none *Shown
	if none.Known() || NewNotes().Known() {
		t.Error("known without anything")
	}
}
