package realtime

import (
	"strings"
	"testing"

	"fluxbase/actors/delivery"
)

// TestNativePresence: what watchers are told, as presence messages without their
// envelope.
func TestNativePresence(t *testing.T) {
	meta := func(key, ref, state string) delivery.Meta {
		return delivery.Meta{Key: key, Ref: ref, State: []byte(state)}
	}
	replacing := func(prev string, m delivery.Meta) delivery.Meta {
		m.PrevRef = prev
		return m
	}
	state := func(key string, metas ...delivery.Meta) func() []delivery.KeyMetas {
		return func() []delivery.KeyMetas { return []delivery.KeyMetas{{Key: key, Metas: metas}} }
	}
	one, two := meta("k", "r1", `{"n":1}`), meta("k", "r2", "2")
	long := meta("k", "r3", `"`+strings.Repeat("x", smallState)+`"`)
	nobody := func() []delivery.KeyMetas { return nil }
	tests := []struct {
		name string
		p    delivery.Presence
		want string
	}{
		{"the state of an empty room", delivery.Presence{Initial: true, State: nobody}, `{"event":"sync","currentPresences":{}}`},
		{"the state of a private room", delivery.Presence{Initial: true, Private: true, State: nobody}, `{"event":"sync","currentPresences":{}}`},
		{"the state", delivery.Presence{Initial: true, State: state(`k"`, one, two)}, `{"event":"sync","currentPresences":{"k\"":[{"n":1},2]}}`},
		{"a join", delivery.Presence{Joins: []delivery.Meta{one}, State: state("k", one)},
			`{"event":"join","key":"k","newPresences":[{"n":1}],"currentPresences":{"k":[{"n":1}]}} {"event":"sync","currentPresences":{"k":[{"n":1}]}}`},
		{"a leave", delivery.Presence{Leaves: []delivery.Meta{one}, State: nobody},
			`{"event":"leave","key":"k","leftPresences":[{"n":1}],"currentPresences":{}} {"event":"sync","currentPresences":{}}`},
		{"a join of a large room", delivery.Presence{Joins: []delivery.Meta{one}, State: state("k", long)},
			`{"event":"join","key":"k","newPresences":[{"n":1}]} {"event":"sync","currentPresences":{"k":[` + string(long.State) + `]}}`},
		{"a replaced state", delivery.Presence{Joins: []delivery.Meta{replacing("r1", two)}, Leaves: []delivery.Meta{one}, State: state("k", two)},
			`{"event":"sync","key":"k","newPresences":[2],"leftPresences":[{"n":1}],"currentPresences":{"k":[2]}}`},
		{"several at once", delivery.Presence{
			Joins: []delivery.Meta{meta("a", "r4", "4"), replacing("r1", two)}, Leaves: []delivery.Meta{one, meta("b", "r5", "5")}, State: state("k", two)},
			`{"event":"join","key":"a","newPresences":[4]} {"event":"leave","key":"b","leftPresences":[5]} {"event":"sync","currentPresences":{"k":[2]}}`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			test.p.Channel = "room"
			envelope := `{"type":"presence","channel":"room","payload":{"presence":`
			if test.p.Private {
				envelope = `{"type":"presence","channel":"room","private":true,"payload":{"presence":`
			}
			b, n := native{}.AppendPresence(nil, &test.p)
			var got []string
			for len(b) > 0 {
				head, size := 2, int(b[1])
				switch size {
				case 126:
					head, size = 4, int(b[2])<<8|int(b[3])
				}
				frame := payloadOf(t, b[:head+size])
				b = b[head+size:]
				frame, ok := strings.CutPrefix(frame, envelope)
				if !ok {
					t.Fatalf("envelope of %s", frame)
				}
				got = append(got, strings.TrimSuffix(frame, "}}"))
			}
			if n != len(got) || strings.Join(got, " ") != test.want {
				t.Errorf("%d messages\ngot  %s\nwant %s", n, strings.Join(got, " "), test.want)
			}
		})
	}
}
