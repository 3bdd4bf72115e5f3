package presence

import (
	"encoding/json"
	"testing"
	"time"

	"fluxbase/actors/kernel"
)

// FuzzWire: whatever another node sends is refused or handled.
func FuzzWire(f *testing.F) {
	meta := &Meta{Ref: "r", Node: "n", Conn: "c", Key: "k", User: "u", State: []byte(`{"a":1}`)}
	for _, w := range []kernel.Wire{
		&apply{Steps: []Change{{New: meta}, {Old: meta, Cut: true}}}, &applied{Codes: []string{""}, Refs: []string{"r"}},
		&announce{Metas: []*Meta{meta}, Epoch: 1, Lingering: []*Meta{meta}}, &state{Epoch: 1, Seq: 1, Metas: []*Meta{meta}},
		&keep{Epoch: 1}, &kept{Same: true}, &withdraw{}, &changed{Room: "t/r", Epoch: 1, Seq: 2, Steps: []Change{{Old: meta, New: meta}}},
	} {
		b, err := w.AppendWire(nil)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(w.WireKind(), b)
	}
	f.Add("presence.apply", []byte(`{"steps":[{}]}`))
	f.Add("presence.changed", []byte(`{"epoch":1,"seq":2,"steps":[{"cut":true}]}`))
	f.Add("presence.announce", []byte(`{"metas":[null]}`))
	f.Fuzz(func(t *testing.T, kind string, b []byte) {
		w, err := kernel.DecodeWire(kind, b)
		if err != nil {
			return
		}
		now := time.Now()
		home, copied := newRoom(2, now, Limits{PerRoom: 2}), replica{roster: newRoster()}
		copied.reset(&state{Epoch: 1, Seq: 1})
		switch m := w.(type) {
		case *apply:
			answer, steps := home.apply(now, "n", m.Steps)
			if len(answer.Codes) != len(m.Steps) || len(answer.Refs) != len(m.Steps) {
				t.Errorf("%d steps got %+v", len(m.Steps), answer)
			}
			difference(steps)
		case *announce:
			difference(home.announce(now, "n", m))
		case *changed:
			steps, _ := copied.take(m)
			difference(steps)
		case *state:
			difference(copied.reset(m))
		}
		home.expire(now.Add(time.Hour))
		again, err := w.AppendWire(nil)
		if err != nil || !json.Valid(again) {
			t.Errorf("%s does not survive: %v", again, err)
		}
	})
}
