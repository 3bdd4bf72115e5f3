package channel

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func msg(id string) *message { return &message{Identity: id, Payload: []byte(id)} }

func TestOrderNumbersAndRecognises(t *testing.T) {
	o := newOrder(7, HistoryLimits{})
	now := time.Now()
	offsets, fresh, first := o.publish(now, []*message{msg("a"), msg("b"), msg("a")})
	if fmt.Sprint(offsets) != "[1 2 1]" || len(fresh) != 2 || first != 1 {
		t.Errorf("got %v, %d fresh from %d", offsets, len(fresh), first)
	}
	offsets, fresh, first = o.publish(now, []*message{msg("b"), msg("c")})
	if fmt.Sprint(offsets) != "[2 3]" || len(fresh) != 1 || first != 3 || string(fresh[0].Payload) != "c" {
		t.Errorf("got %v, %d fresh from %d", offsets, len(fresh), first)
	}
	if got := o.fetch(2, 3); len(got) != 2 || string(got[0].Payload) != "b" {
		t.Errorf("fetched %v", got)
	}
	if o.fetch(0, 1) != nil || o.fetch(3, 4) != nil || o.fetch(3, 2) != nil {
		t.Error("fetched what is not there")
	}
}

// TestOrderModel: whatever is published, offsets are consecutive, history is the
// newest part of what was numbered, and it stays within its limits.
func TestOrderModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := HistoryLimits{Messages: rapid.IntRange(1, 10).Draw(t, "messages"), Bytes: rapid.IntRange(100, 2000).Draw(t, "bytes"), Age: time.Minute}
		o := newOrder(1, limits)
		var all []string
		now := time.Now()
		for range rapid.IntRange(1, 40).Draw(t, "batches") {
			now = now.Add(time.Duration(rapid.IntRange(0, 40).Draw(t, "pause")) * time.Second)
			var batch []*message
			for range rapid.IntRange(0, 4).Draw(t, "size") {
				batch = append(batch, msg(fmt.Sprint(rapid.IntRange(0, 15).Draw(t, "id"))))
			}
			offsets, fresh, first := o.publish(now, batch)
			for i, m := range fresh {
				if first+uint64(i) != uint64(len(all))+1 {
					t.Fatalf("offset %d after %d messages", first+uint64(i), len(all))
				}
				all = append(all, m.Identity)
			}
			for i, m := range batch {
				if all[offsets[i]-1] != m.Identity {
					t.Fatalf("%q was given %d, which is %q", m.Identity, offsets[i], all[offsets[i]-1])
				}
			}
			if n := len(o.history); n > limits.Messages || n > 1 && o.bytes > limits.Bytes || n != len(o.offsets) {
				t.Fatalf("history of %d messages, %d bytes, %d identities", n, o.bytes, len(o.offsets))
			}
			for i, k := range o.history {
				if want := all[len(all)-len(o.history)+i]; k.Identity != want {
					t.Fatalf("history[%d] is %q, want %q", i, k.Identity, want)
				}
			}
		}
	})
}

func TestOrderForgetsNodes(t *testing.T) {
	o := newOrder(1, HistoryLimits{Age: time.Second})
	now := time.Now()
	o.watch("a", 3, now.Add(time.Minute))
	o.watch("b", 4, now.Add(time.Hour))
	if o.elsewhere("a") != 4 {
		t.Errorf("elsewhere %d", o.elsewhere("a"))
	}
	if o.expire(now.Add(2*time.Minute)) || len(o.nodes) != 1 {
		t.Errorf("nodes %v", o.nodes)
	}
	o.watch("b", 0, now)
	if !o.expire(now.Add(2 * time.Minute)) {
		t.Error("still used")
	}
}

func TestSequence(t *testing.T) {
	batch := func(epoch, offset uint64, n int) *deliver {
		return &deliver{Epoch: epoch, Offset: offset, Messages: make([]*message, n)}
	}
	var s sequence
	if s.take(batch(1, 1, 1)) != drop {
		t.Error("took a message before it knew where to start")
	}
	s.start(1, 4)
	for i, step := range []struct {
		d      *deliver
		want   verdict
		offset uint64
	}{
		{batch(1, 5, 2), pass, 6},
		{batch(1, 5, 2), drop, 6},
		{batch(1, 6, 2), pass, 7}, // the first is known
		{batch(0, 8, 1), drop, 7},
		{batch(1, 9, 1), hole, 7},
		{batch(1, 8, 1), pass, 8},
		{batch(1, 9, 0), drop, 8},
		{batch(3, 2, 2), newEpoch, 3},
		{batch(1, 9, 1), drop, 3},
	} {
		if got := s.take(step.d); got != step.want || s.offset != step.offset {
			t.Errorf("step %d: got %d at %d, want %d at %d", i, got, s.offset, step.want, step.offset)
		}
	}
	s.waiting = []*deliver{batch(3, 9, 1), batch(3, 6, 1)}
	if from, to, ok := s.missing(); !ok || from != 4 || to != 5 {
		t.Errorf("missing %d…%d %v", from, to, ok)
	}
}

// A home of messages that the database keeps, and that nobody asked for, does not
// stay for as long as its history would.
func TestUnheardHomesEndSoon(t *testing.T) {
	now := time.Now()
	for _, test := range []struct {
		name string
		do   func(o *order)
		ends bool
	}{
		{"of the database", func(*order) {}, true},
		{"of a client, too", func(o *order) { o.publish(now, []*message{{Identity: "c"}}) }, false},
		{"somebody listened", func(o *order) { o.watch("n", 1, now); o.watch("n", 0, now) }, false},
	} {
		o := newOrder(1, HistoryLimits{Age: time.Hour})
		o.publish(now, []*message{{Identity: "d", ID: "d"}})
		test.do(o)
		if o.expire(now.Add(unheardAge / 2)) {
			t.Errorf("%s: ended at once", test.name)
		}
		if ends := o.expire(now.Add(2 * unheardAge)); ends != test.ends {
			t.Errorf("%s: ended %v", test.name, ends)
		}
	}
}
