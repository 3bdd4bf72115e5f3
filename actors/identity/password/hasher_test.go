package password

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
)

func start(t *testing.T, o Options) *Hasher {
	t.Helper()
	sys := kernel.NewSystem(kernel.SystemOptions{Name: "test"})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	h, err := NewHasher(sys, o)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func TestNobodyMatchesAnAccountWithoutPassword(t *testing.T) {
	h := start(t, Options{Cost: cheap})
	for _, given := range []string{"", "x", h.decoy} {
		if ok, _, err := h.Verify(t.Context(), given, ""); ok || err != nil {
			t.Errorf("Verify(%q, no hash) = %t, %v", given, ok, err)
		}
	}
	stored, err := h.Hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	if ok, stale, err := h.Verify(t.Context(), "right", stored); !ok || stale || err != nil {
		t.Errorf("Verify = %t, %t, %v", ok, stale, err)
	}
}

// TestAnUnknownUserTakesAsLongAsAKnownOne compares the best of many attempts;
// without the decoy the one would take no time at all.
func TestAnUnknownUserTakesAsLongAsAKnownOne(t *testing.T) {
	h := start(t, Options{Cost: Cost{MemoryKiB: 4096, Passes: 1, Lanes: 1}})
	stored, err := h.Hash(t.Context(), "right")
	if err != nil {
		t.Fatal(err)
	}
	best := func(stored string) time.Duration {
		least := time.Hour
		for range 15 {
			began := time.Now()
			if _, _, err := h.Verify(t.Context(), "wrong", stored); err != nil {
				t.Fatal(err)
			}
			least = min(least, time.Since(began))
		}
		return least
	}
	known, unknown := best(stored), best("")
	if unknown < known/2 || known < unknown/2 {
		t.Errorf("known user %v, unknown user %v", known, unknown)
	}
}

func TestAFloodIsRefused(t *testing.T) {
	h := start(t, Options{Cost: Cost{MemoryKiB: 16 * 1024, Passes: 2, Lanes: 1}, Workers: 1, Queue: 2})
	var done, refused atomic.Int32
	var wg sync.WaitGroup
	for range 30 {
		wg.Go(func() {
			switch _, err := h.Hash(t.Context(), "x"); {
			case err == nil:
				done.Add(1)
			case fault.CodeOf(err) == fault.Overloaded:
				refused.Add(1)
			default:
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if done.Load() < 3 || refused.Load() == 0 {
		t.Errorf("%d hashed, %d refused", done.Load(), refused.Load())
	}
}
