package limit

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

func TestMemoryWindow(t *testing.T) {
	now := time.Unix(1000, 0)
	m := NewMemory()
	m.now = func() time.Time { return now }
	for i := range 3 {
		if remaining, reset := m.allow("a", 3, time.Minute); remaining != 2-i || reset != time.Minute-time.Duration(i)*time.Second {
			t.Fatalf("call %d: %d remain for %v", i, remaining, reset)
		}
		now = now.Add(time.Second)
	}
	if remaining, reset := m.allow("a", 3, time.Minute); remaining >= 0 || reset != 57*time.Second {
		t.Fatalf("%d remain for %v", remaining, reset)
	}
	if remaining, _ := m.allow("b", 3, time.Minute); remaining != 2 {
		t.Fatal("another client's calls counted")
	}
	now = now.Add(57 * time.Second)
	if remaining, reset := m.allow("a", 3, time.Minute); remaining != 2 || reset != time.Minute {
		t.Fatalf("after the window: %d remain for %v", remaining, reset)
	}
}

// However many clients there are, the counter keeps its size, and one that is
// over its limit is not let in for having been pushed out at once.
func TestMemoryIsBounded(t *testing.T) {
	m := NewMemory()
	for i := range 2 * memoryShards * windowsPerShard {
		m.allow(fmt.Sprint("client ", i), 5, time.Minute)
	}
	for i := range m.shards {
		if n := len(m.shards[i].windows); n > windowsPerShard {
			t.Fatalf("shard %d holds %d windows", i, n)
		}
	}
}

type brokenCounter struct{}

func (brokenCounter) Allow(context.Context, string, int, time.Duration) (int, time.Duration, error) {
	return 0, 0, errors.New("out of reach")
}

func TestBrokenSharedCounterStillLimits(t *testing.T) {
	l := New([]Rule{{"x", 2, time.Minute, PerIP}, {"off", 0, time.Minute, PerIP}}, brokenCounter{}, slog.New(slog.DiscardHandler))
	if _, ok := l.Rule("off"); ok {
		t.Error("a limit of 0 counts")
	}
	rule, _ := l.Rule("x")
	for i := range 3 {
		out, err := l.TakeKey(t.Context(), rule, "me")
		if (fault.CodeOf(err) == fault.RateLimitExceeded) != (i == 2) {
			t.Errorf("call %d: %v", i, err)
		}
		if i == 2 && (out.Remaining != 0 || fault.From(err).RetryAfter <= 0) {
			t.Errorf("refusal: %+v %v", out, err)
		}
	}
}

func TestNetwork(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.9": "203.0.113.9", "::ffff:203.0.113.9": "203.0.113.9",
		"2001:db8:1:2:3:4:5:6": "2001:db8:1:2::/64", "fe80::1%eth0": "fe80::/64",
	} {
		if got := Network(netip.MustParseAddr(in)); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
}

func BenchmarkMemory(b *testing.B) {
	m := NewMemory()
	b.ReportAllocs()
	for b.Loop() {
		m.allow("ip/203.0.113.9", 1<<30, time.Minute)
	}
}
