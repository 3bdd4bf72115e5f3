package budget

import (
	"fmt"
	"math"
	"testing"
	"time"

	"pgregory.net/rapid"

	"fluxbase/persistence/fault"
)

// TestBucket: within any span a bucket lets through what it held at the start and
// what came in since, whoever asks for how much; and it refuses nothing that it has.
func TestBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rate := rapid.Float64Range(0.1, 100).Draw(t, "rate")
		s := Rates{Bytes: rate}.schedule()
		burst := s[Bytes].burst
		b, now := &budget{}, time.Unix(1000, 0)
		left := burst
		for range rapid.IntRange(1, 50).Draw(t, "messages") {
			pause := time.Duration(rapid.IntRange(0, 2000).Draw(t, "pause")) * time.Millisecond
			now = now.Add(pause)
			left = math.Min(left+rate*pause.Seconds(), burst)
			n := float64(rapid.IntRange(1, 300).Draw(t, "size"))
			wait := b.take(s, Bytes, n, now)
			missing := math.Min(n, burst) - left
			switch {
			case wait == 0 && missing > 1e-6:
				t.Fatalf("took %v with %v left of %v", n, left, burst)
			case wait == 0:
				left -= n
			case missing < -1e-6:
				t.Fatalf("refused %v with %v left of %v", n, left, burst)
			case math.Abs(wait.Seconds()-missing/rate) > 1e-6:
				t.Fatalf("asked to wait %v for %v at %v/s", wait, missing, rate)
			}
		}
	})
}

// TestRefusal: a message is taken from all of its sources or from none, and the
// refusal says whose limit it was.
func TestRefusal(t *testing.T) {
	l := NewLedger(Limits{Connection: Rates{Messages: 2}, User: Rates{Messages: 1}, Tenant: Rates{Messages: 1.5}})
	now := time.Now()
	one, two := l.OpenConnection(Client{Tenant: "t", User: "u"}), l.OpenConnection(Client{Tenant: "t", User: "v"})
	take := func(a *Account) string {
		f := a.TakeMessage(1, now)
		if f == nil {
			return "taken"
		}
		return fmt.Sprint(f.Code, " ", f.Message, " ", f.Fields["limit"], " ", f.RetryAfter)
	}
	const (
		user   = "RATE_LIMIT_EXCEEDED too many messages of this user realtime.limits.user.messages_per_second 1s"
		tenant = "RATE_LIMIT_EXCEEDED too many messages of this tenant realtime.limits.tenant.messages_per_second 666.666667ms"
	)
	for i, step := range []struct {
		account *Account
		want    string
	}{
		{one, "taken"}, {one, "taken"}, {one, user}, {one, user},
		{two, "taken"}, {two, tenant}, {two, tenant},
	} {
		if got := take(step.account); got != step.want {
			t.Errorf("message %d: got %s, want %s", i, got, step.want)
		}
	}
	// Nothing of what was refused was charged to the connection.
	now = now.Add(time.Second)
	if got := take(two); got != "taken" {
		t.Errorf("a second later: %s", got)
	}
}

func TestWhoShares(t *testing.T) {
	for _, test := range []struct {
		name   string
		limits Limits
		a, b   Client
		shared bool
	}{
		{"a user", Limits{User: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"t", "u", "2.2.2.2"}, true},
		{"users of two tenants", Limits{User: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"s", "u", "1.1.1.1"}, false},
		{"clients without a user", Limits{User: Rates{Joins: 1}}, Client{"t", "", "1.1.1.1"}, Client{"t", "", "1.1.1.1"}, false},
		{"an address", Limits{IP: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"s", "v", "1.1.1.1"}, true},
		{"a customer's network", Limits{IP: Rates{Joins: 1}}, Client{"t", "u", "2001:db8::1"}, Client{"t", "u", "2001:db8::2:1"}, true},
		{"two networks", Limits{IP: Rates{Joins: 1}}, Client{"t", "u", "2001:db8::1"}, Client{"t", "u", "2001:db8:0:1::1"}, false},
		{"a tenant", Limits{Tenant: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"t", "", "2.2.2.2"}, true},
		{"two tenants", Limits{Tenant: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"s", "u", "1.1.1.1"}, false},
		{"two connections", Limits{Connection: Rates{Joins: 1}}, Client{"t", "u", "1.1.1.1"}, Client{"t", "u", "1.1.1.1"}, false},
	} {
		l, now := NewLedger(test.limits), time.Now()
		a, b := l.OpenConnection(test.a), l.OpenConnection(test.b)
		for a != nil && a.Take(Joins, 1, now) == nil {
		}
		if shared := b.Take(Joins, 1, now) != nil; shared != test.shared {
			t.Errorf("%s: shared %v", test.name, shared)
		}
	}
}

// TestReconnecting brings nothing, and neither does another token for the
// connection's own budget; what nobody needs any more is forgotten.
func TestReconnecting(t *testing.T) {
	l := NewLedger(Limits{Connection: Rates{Joins: 1}, User: Rates{Messages: 1}})
	now := time.Now()
	ann := Client{Tenant: "t", User: "ann"}
	a := l.OpenConnection(ann)
	for a.Take(Messages, 1, now) == nil {
	}
	l.Close(a)
	l.sweep(now)
	a = l.OpenConnection(ann)
	if f := a.Take(Messages, 1, now); fault.CodeOf(f) != fault.RateLimitExceeded {
		t.Error("a new connection has a new budget")
	}
	for a.Take(Joins, 1, now) == nil {
	}
	a = l.Rename(a, Client{Tenant: "t", User: "ben"})
	if a.Take(Joins, 1, now) == nil {
		t.Error("a new user gave the connection a new budget")
	}
	if a.Take(Messages, 1, now) != nil {
		t.Error("the new user pays for the one before")
	}
	l.Close(a)
	l.sweep(now.Add(time.Minute))
	if len(l.shared) != 0 {
		t.Errorf("%d budgets are kept for nobody", len(l.shared))
	}
}

// TestUnbound: without limits nothing is kept and nothing refused.
func TestUnbound(t *testing.T) {
	l := NewLedger(Limits{})
	a := l.OpenConnection(Client{Tenant: "t", User: "u", IP: "1.1.1.1"})
	if a != nil || a.TakeMessage(1<<30, time.Now()) != nil || len(l.shared) > 0 {
		t.Error("something is bound")
	}
	if a = l.Rename(a, Client{Tenant: "t", User: "v"}); a != nil {
		t.Error("something is bound for another")
	}
	l.Close(a)
}
