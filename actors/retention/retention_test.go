package retention

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/kernel"
)

// TestRunsOneAfterTheOther: runs follow each other, also after failures, and
// none is under way beside another.
func TestRunsOneAfterTheOther(t *testing.T) {
	s := kernel.NewSystem(kernel.SystemOptions{Logger: slog.New(slog.DiscardHandler)})
	var running, runs atomic.Int32
	enough := make(chan struct{})
	_, err := s.Spawn(Props("test", Options{Every: time.Millisecond, Task: func(context.Context) error {
		if running.Add(1) > 1 {
			t.Error("two runs at once")
		}
		defer running.Add(-1)
		time.Sleep(2 * time.Millisecond)
		if runs.Add(1) == 5 {
			close(enough)
		}
		return errors.New("it failed")
	}}))
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-enough:
	case <-time.After(10 * time.Second):
		t.Fatalf("only %d runs", runs.Load())
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		t.Error(err)
	}
	last := runs.Load()
	time.Sleep(20 * time.Millisecond)
	if runs.Load() != last {
		t.Error("it runs on after the stop")
	}
}
