package redis

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"fluxbase/actors/kernel"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// urlVariable names a real server that the tests use instead of one in memory.
const urlVariable = "FLUXBASE_TEST_REDIS_URL"

func open(t *testing.T) (*Store, *miniredis.Miniredis) {
	t.Helper()
	address := os.Getenv(urlVariable)
	var server *miniredis.Miniredis
	if address == "" {
		server = miniredis.RunT(t)
		address = "redis://" + server.Addr()
	}
	s, err := Open(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	return s, server
}

// name is a key that no other run uses.
func name(t *testing.T) string { return fmt.Sprint(t.Name(), time.Now().UnixNano()) }

func texts(entries [][]byte) (all []string) {
	for _, e := range entries {
		all = append(all, string(e))
	}
	return all
}

func TestHistory(t *testing.T) {
	s, _ := open(t)
	ctx, key := t.Context(), name(t)
	first, err := s.Claim(ctx, key, 7, time.Minute)
	if err != nil || first.Epoch != 7 || first.Offset != 0 || len(first.Entries) != 0 {
		t.Fatalf("claimed %+v, %v", first, err)
	}
	entries := func(from, to int) (all [][]byte) {
		for i := from; i <= to; i++ {
			all = append(all, fmt.Appendf(nil, "%d\x00\xff", i))
		}
		return all
	}
	if err := s.Append(ctx, key, first.Claim, 0, entries(1, 3), 10, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, key, first.Claim, 3, entries(4, 5), 4, time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, key, first.Claim, 3, entries(4, 5), 4, time.Minute); !errors.Is(err, kernel.ErrSuperseded) {
		t.Errorf("appended twice: %v", err)
	}
	next, err := s.Claim(ctx, key, 9, time.Minute)
	if err != nil || next.Epoch != 7 || next.Offset != 5 || !slices.Equal(texts(next.Entries), texts(entries(2, 5))) {
		t.Errorf("claimed %+v, %v", next, err)
	}
	for what, err := range map[string]error{
		"append": s.Append(ctx, key, first.Claim, 5, entries(6, 6), 4, time.Minute),
		"renew":  s.Renew(ctx, key, first.Claim, time.Minute),
	} {
		if !errors.Is(err, kernel.ErrSuperseded) {
			t.Errorf("the late home may %s: %v", what, err)
		}
	}
	if err := s.Renew(ctx, key, next.Claim, time.Minute); err != nil {
		t.Error(err)
	}
}

func TestHistoryEnds(t *testing.T) {
	s, server := open(t)
	if server == nil {
		t.Skip("time cannot be moved on in a real server")
	}
	ctx, key := t.Context(), name(t)
	k, err := s.Claim(ctx, key, 7, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Append(ctx, key, k.Claim, 0, [][]byte{[]byte("1")}, 10, time.Minute); err != nil {
		t.Fatal(err)
	}
	server.FastForward(2 * time.Minute)
	if err := s.Append(ctx, key, k.Claim, 1, [][]byte{[]byte("2")}, 10, time.Minute); !errors.Is(err, kernel.ErrSuperseded) {
		t.Errorf("appended to what is gone: %v", err)
	}
	if again, err := s.Claim(ctx, key, 8, time.Minute); err != nil || again.Epoch != 8 || again.Offset != 0 {
		t.Errorf("claimed %+v, %v", again, err)
	}
	before := s.Stats()
	server.Close()
	if _, err := s.Claim(ctx, key, 8, time.Minute); err == nil || errors.Is(err, kernel.ErrSuperseded) {
		t.Errorf("claimed from nobody: %v", err)
	}
	if now := s.Stats(); before.Failed != 0 || now.Failed != 1 || now.Calls != before.Calls+1 {
		t.Errorf("counted %+v, before %+v", now, before)
	}
}

func TestAllow(t *testing.T) {
	s, server := open(t)
	key := name(t)
	for want := 1; want >= -1; want-- {
		remaining, reset, err := s.Allow(t.Context(), key, 2, time.Minute)
		if err != nil || remaining != want || reset <= 0 || reset > time.Minute {
			t.Errorf("remaining %d, reset %v, %v; want %d", remaining, reset, err, want)
		}
	}
	if server != nil {
		server.FastForward(2 * time.Minute)
		if remaining, _, err := s.Allow(t.Context(), key, 2, time.Minute); err != nil || remaining != 1 {
			t.Errorf("in the next window: %d, %v", remaining, err)
		}
	}
}

func TestAddress(t *testing.T) {
	if _, err := Open("http://secret@nowhere"); err == nil || err.Error() != "the address of Redis cannot be read" {
		t.Errorf("got %v", err)
	}
}
