package presence

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// model is the simplest room there is: who tracks what.
type model map[identity]string

func (m model) String() string {
	var lines []string
	for id, state := range m {
		lines = append(lines, fmt.Sprintf("%s/%s=%s", id.conn, id.key, state))
	}
	slices.Sort(lines)
	return strings.Join(lines, " ")
}

func content(r *roster) model {
	m := model{}
	for id, meta := range r.all {
		m[id] = string(meta.State)
	}
	return m
}

// checkRoster compares a roster with the model, and its two indexes with each
// other.
func checkRoster(t *rapid.T, r *roster, want model) {
	if got := content(r); !maps.Equal(got, want) {
		t.Fatalf("got  %v\nwant %v", got, want)
	}
	n := 0
	for key, list := range r.keys {
		for _, m := range list {
			if m.Key != key || r.all[m.identity()] != m {
				t.Fatalf("key %q holds %+v", key, m)
			}
			n++
		}
	}
	if n != len(want) {
		t.Fatalf("%d metas under keys, %d in all", n, len(want))
	}
}

// TestRosterModel: a room and a copy that takes its steps equal a plain map,
// whatever connections and nodes do; what watchers are told adds up to it, too.
func TestRosterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		home := newRoom(1, Limits{PerRoom: 12})
		copied := replica{roster: newRoster()}
		copied.reset(&state{Epoch: 1})
		want, told := model{}, model{}
		node := func(conn string) string { return "n" + conn[1:2] }
		serial := 0
		spread := func(steps []Change) {
			if len(steps) == 0 {
				return
			}
			home.seq++
			made, behind := copied.take(&changed{Epoch: 1, Seq: home.seq, Steps: steps})
			if behind {
				t.Fatal("the copy is behind")
			}
			for _, s := range made {
				if s.Old != nil {
					if told[s.Old.identity()] != string(s.Old.State) {
						t.Fatalf("told that %+v left, who was %q", s.Old, told[s.Old.identity()])
					}
					delete(told, s.Old.identity())
				}
				if s.New != nil {
					told[s.New.identity()] = string(s.New.State)
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				checkRoster(t, home.roster, want)
				checkRoster(t, copied.roster, want)
				if !maps.Equal(told, want) {
					t.Fatalf("told %v\nwant %v", told, want)
				}
			},
			"track": func(t *rapid.T) {
				conn, key := draw(t)
				serial++
				m := &Meta{Ref: fmt.Sprint(serial), Node: node(conn), Conn: conn, Key: key, State: fmt.Appendf(nil, "%d", serial)}
				codes, steps := home.apply(node(conn), []Change{{New: m}})
				_, known := want[m.identity()]
				if full := len(want) >= 12 && !known; full != (codes[0] != "") {
					t.Fatalf("code %q with %d metas", codes[0], len(want))
				} else if !full {
					want[m.identity()] = string(m.State)
				}
				spread(steps)
			},
			"untrack": func(t *rapid.T) {
				conn, key := draw(t)
				_, steps := home.apply(node(conn), []Change{{Old: &Meta{Conn: conn, Key: key}}})
				delete(want, identity{conn, key})
				spread(steps)
			},
			"untrack of another node's": func(t *rapid.T) {
				conn, key := draw(t)
				if _, steps := home.apply("elsewhere", []Change{{Old: &Meta{Conn: conn, Key: key}}}); len(steps) > 0 {
					t.Fatal("took away what was not its own")
				}
			},
			"node dies": func(t *rapid.T) {
				dead := fmt.Sprintf("n%d", rapid.IntRange(0, 2).Draw(t, "node"))
				spread(home.drop(func(n string) bool { return n != dead }))
				maps.DeleteFunc(want, func(id identity, _ string) bool { return node(id.conn) == dead })
			},
			"node announces": func(t *rapid.T) {
				who := fmt.Sprintf("n%d", rapid.IntRange(0, 2).Draw(t, "node"))
				// Some are gone since, one is new.
				var list []*Meta
				for _, m := range home.roster.metas(func(m *Meta) bool { return m.Node == who }) {
					if rapid.Bool().Draw(t, "kept") {
						list = append(list, m)
					} else {
						delete(want, m.identity())
					}
				}
				serial++
				m := &Meta{Ref: fmt.Sprint(serial), Node: who, Conn: "c" + who[1:] + "x", Key: "k", State: fmt.Appendf(nil, "%d", serial)}
				if old := home.roster.all[m.identity()]; old != nil {
					list = slices.DeleteFunc(list, func(o *Meta) bool { return o == old })
				}
				list = append(list, m)
				want[m.identity()] = string(m.State)
				spread(home.announce(who, list))
			},
		})
	})
}

func draw(t *rapid.T) (conn, key string) {
	return fmt.Sprintf("c%d%d", rapid.IntRange(0, 2).Draw(t, "node"), rapid.IntRange(0, 2).Draw(t, "conn")),
		fmt.Sprintf("k%d", rapid.IntRange(0, 2).Draw(t, "key"))
}

func TestReplica(t *testing.T) {
	meta := func(conn, state string) *Meta {
		return &Meta{Ref: conn + state, Node: conn[:1], Conn: conn, Key: "k", State: []byte(state)}
	}
	r := replica{roster: newRoster()}
	if _, behind := r.take(&changed{Epoch: 1, Seq: 1}); !behind {
		t.Error("took steps before it knew anything")
	}
	r.reset(&state{Epoch: 1, Seq: 3, Metas: []*Meta{meta("a1", "1"), meta("b1", "1")}})
	if _, behind := r.take(&changed{Epoch: 1, Seq: 5}); !behind {
		t.Error("took steps over a gap")
	}
	if steps, behind := r.take(&changed{Epoch: 1, Seq: 3, Steps: []Change{{New: meta("c1", "1")}}}); behind || len(steps) > 0 {
		t.Error("took steps twice")
	}
	// A new home that has heard of node a only: b's stay for now.
	steps := r.reset(&state{Epoch: 2, Seq: 1, Metas: []*Meta{meta("a1", "1"), meta("a2", "1")}})
	if len(steps) != 1 || steps[0].New.Conn != "a2" || r.roster.len() != 3 || !r.merging {
		t.Errorf("steps %+v, %d metas", steps, r.roster.len())
	}
	// Heard again after the grace: what is not announced by now has left.
	r.merging = false
	steps = r.reset(&state{Epoch: 2, Seq: 1, Metas: []*Meta{meta("a1", "1"), meta("a2", "1")}})
	if len(steps) != 1 || steps[0].New != nil || steps[0].Old.Conn != "b1" {
		t.Errorf("steps %+v", steps)
	}
	if steps := r.reset(&state{Epoch: 1, Seq: 9}); len(steps) > 0 {
		t.Error("followed a home that was superseded")
	}
}

func TestState(t *testing.T) {
	r := newRoster()
	for i, m := range []Meta{{Conn: "1", Key: "b"}, {Conn: "1", Key: "a"}, {Conn: "2", Key: "b"}} {
		m.Ref, m.State = fmt.Sprint(i), fmt.Appendf(nil, "%d", i)
		r.track(&m)
	}
	if got, want := text(r.state()), `{"a":[1],"b":[0,2]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDifference: what happened between two rounds of events is told as its net
// effect.
func TestDifference(t *testing.T) {
	meta := func(conn, ref string) *Meta { return &Meta{Ref: ref, Conn: conn, Key: "k"} }
	a1, a2, a3, b1 := meta("a", "a1"), meta("a", "a2"), meta("a", "a3"), meta("b", "b1")
	for _, test := range []struct {
		name  string
		steps []Change
		want  string
	}{
		{"a join", []Change{{New: a1}}, "+a1"},
		{"a leave", []Change{{Old: a1}}, "-a1"},
		{"a state that was replaced", []Change{{Old: a1, New: a2}}, "+a2(a1) -a1"},
		{"a state that was replaced twice", []Change{{Old: a1, New: a2}, {Old: a2, New: a3}}, "+a3(a1) -a1"},
		{"a join with another state since", []Change{{New: a1}, {Old: a1, New: a2}}, "+a2"},
		{"one who left and came back", []Change{{Old: a1}, {New: a2}}, "+a2(a1) -a1"},
		{"one who came and left", []Change{{New: a1}, {Old: a1}}, ""},
		{"one who came while another left", []Change{{New: a1}, {Old: b1}}, "+a1 -b1"},
		{"nothing new", []Change{{Old: a1}, {New: a1}}, ""},
	} {
		var got []string
		joins, leaves := difference(test.steps)
		for _, j := range joins {
			if j.PrevRef != "" {
				j.Ref += "(" + j.PrevRef + ")"
			}
			got = append(got, "+"+j.Ref)
		}
		for _, l := range leaves {
			got = append(got, "-"+l.Ref)
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%s: got %s, want %s", test.name, strings.Join(got, " "), test.want)
		}
	}
}
