package presence

import (
	"fmt"
	"strings"
	"testing"
)

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
		r.put(&m)
	}
	if got, want := text(r.state()), `{"a":[1],"b":[0,2]}`; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// TestDifference: what happened between two rounds of events is told as its net
// effect.
func TestDifference(t *testing.T) {
	meta := func(conn, ref string) *Meta { return &Meta{Ref: ref, Conn: conn, Key: "k"} }
	a1AtB := meta("b", "a1")
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
		{"a state with another owner", []Change{{Old: a1, New: a1AtB}}, ""},
		{"a state with another owner, in two steps", []Change{{Old: a1}, {New: a1AtB}}, ""},
		{"a state with another owner since it came", []Change{{New: a1}, {Old: a1, New: a1AtB}}, "+a1"},
		{"a state with another owner that went", []Change{{Old: a1, New: a1AtB}, {Old: a1AtB}}, "-a1"},
		{"a state of another owner", []Change{{Old: a1, New: b1}}, "+b1(a1) -a1"},
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
