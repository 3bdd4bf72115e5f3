package kernel

import (
	"context"
	"io"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// newTestSystem restarts crashed actors quickly and is shut down with the test.
func newTestSystem(t testing.TB) *System {
	t.Helper()
	s := NewSystem(SystemOptions{
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
		Backoff: Backoff{First: time.Millisecond, Most: 4 * time.Millisecond, Reset: time.Minute},
	})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
	})
	return s
}

func spawn(t testing.TB, s *System, p Props) Ref {
	t.Helper()
	r, err := s.Spawn(p)
	if err != nil {
		t.Fatalf("Spawn: %v", err)
	}
	return r
}

// each makes Props of a function, all incarnations sharing it.
func each(f func(c *Context, msg any)) Props {
	return Props{New: func() Actor { return Func(f) }}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// receive waits for a value, at most a few seconds.
func receive[T any](t testing.TB, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(5 * time.Second):
		t.Fatal("nothing came in 5 s")
		panic("unreachable")
	}
}

// block is a message that keeps the receiver busy until release is closed.
type block struct{ entered, release chan struct{} }

func newBlock() block { return block{make(chan struct{}), make(chan struct{})} }

func (b block) wait() {
	close(b.entered)
	<-b.release
}
