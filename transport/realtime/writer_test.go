package realtime

import (
	"fmt"
	"slices"
	"testing"
)

// TestWriterTurns: a tenant with few outboxes waits for a turn of one with many, not
// for its round; within a tenant everyone has its turn before anyone has a second.
func TestWriterTurns(t *testing.T) {
	w := &writer{tenants: map[string]*lane{}}
	many, few := w.lane("many"), w.lane("few")
	if w.lane("few") != few {
		t.Fatal("a tenant has two lanes")
	}
	names := map[*outbox]string{}
	ready := func(l *lane, name string) *outbox {
		o := &outbox{lane: l}
		names[o] = name
		l.ready(o)
		return o
	}
	var crowd []*outbox
	for i := range 3 * laneTurn {
		crowd = append(crowd, ready(many, fmt.Sprint(i)))
	}
	turn := func() (got []string) {
		for _, o := range w.next(nil) {
			got = append(got, names[o])
		}
		return got
	}
	numbers := func(from int) (want []string) {
		for i := range laneTurn {
			want = append(want, fmt.Sprint(from+i))
		}
		return want
	}
	check := func(want []string) {
		t.Helper()
		if got := turn(); !slices.Equal(got, want) {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
	check(numbers(0))
	ready(few, "a")
	ready(few, "b")
	many.ready(crowd[0])
	check(numbers(laneTurn))
	check([]string{"a", "b"})
	ready(few, "c")
	check(numbers(2 * laneTurn))
	check([]string{"c"})
	check([]string{"0"})
	check(nil)
	for range 2 {
		for _, o := range crowd {
			many.ready(o)
		}
		for from := 0; from < len(crowd); from += laneTurn {
			check(numbers(from))
		}
	}
	check(nil)
}
