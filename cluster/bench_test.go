package cluster

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

// BenchmarkTell sends messages of 128 bytes to a service of another node; the time
// ends when the last one is handled there.
func BenchmarkTell(b *testing.B) {
	nodes := pair(b)
	msg := note(strings.Repeat("x", 128))
	b.ReportAllocs()
	sent := 0
	for b.Loop() {
		for {
			err := nodes[0].Tell(nodes[1].Self(), "notes", msg)
			if err == nil {
				break
			}
			if fault.CodeOf(err) != fault.Overloaded {
				b.Fatal(err)
			}
			time.Sleep(100 * time.Microsecond)
		}
		sent++
		for len(nodes[1].got) > 0 {
			<-nodes[1].got
			sent--
		}
	}
	for range sent {
		<-nodes[1].got
	}
}

// BenchmarkAskHome asks a home of another node, one question after another.
func BenchmarkAskHome(b *testing.B) {
	nodes := pair(b)
	key := keyOf(b, nodes[1])
	b.ReportAllocs()
	for b.Loop() {
		if _, err := nodes[0].AskHome(b.Context(), "counter", key, note("count")); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkActivation makes a home of this node for each question.
func BenchmarkActivation(b *testing.B) {
	nodes := pair(b)
	i := 0
	for b.Loop() {
		for i++; nodes[0].Home("counter", fmt.Sprint(i)) != nodes[0].Self(); {
			i++
		}
		if _, err := nodes[0].AskHome(b.Context(), "counter", fmt.Sprint(i), note("count")); err != nil {
			b.Fatal(err)
		}
	}
}
