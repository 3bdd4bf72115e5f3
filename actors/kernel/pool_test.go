package kernel

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

func newPoolOf(t testing.TB, s *System, workers, queue int, f WorkerFunc) *Pool {
	t.Helper()
	p, err := s.SpawnPool(PoolProps{Name: "pool", Workers: workers, Queue: queue, New: func() Worker { return f }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestFullPoolRefusesAtOnce(t *testing.T) {
	s := newTestSystem(t)
	release := make(chan struct{})
	p := newPoolOf(t, s, 2, 3, func(context.Context, any) (any, error) { <-release; return "done", nil })
	answers := make(chan error, 5)
	for range 5 {
		go func() {
			got, err := Ask[string](within(t, 5*time.Second), p, 1)
			if err == nil && got != "done" {
				t.Errorf("got %q", got)
			}
			answers <- err
		}()
	}
	for p.Stats().Busy < 2 || p.Stats().Waiting < 3 {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	for range 100 {
		_, err := Ask[string](within(t, 5*time.Second), p, 1)
		if fault.CodeOf(err) != fault.Overloaded || fault.From(err).RetryAfter != time.Second {
			t.Fatalf("got %v", err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("100 refusals took %v", took)
	}
	close(release)
	for range 5 {
		if err := receive(t, answers); err != nil {
			t.Errorf("admitted work got %v", err)
		}
	}
	if st := p.Stats(); st.Refused != 100 || st.Workers != 2 {
		t.Errorf("stats %+v", st)
	}
}

func TestPlaceOfAnAskerWhoGaveUpIsFree(t *testing.T) {
	s := newTestSystem(t)
	release := make(chan struct{})
	var handled atomic.Int32
	p := newPoolOf(t, s, 1, 1, func(_ context.Context, msg any) (any, error) {
		handled.Add(1)
		<-release
		return nil, nil
	})
	first := make(chan error, 1)
	go func() {
		_, err := Ask[any](within(t, 5*time.Second), p, "first")
		first <- err
	}()
	for p.Stats().Busy < 1 {
		time.Sleep(time.Millisecond)
	}
	if _, err := Ask[any](within(t, 5*time.Millisecond), p, "gives up"); fault.CodeOf(err) != fault.Timeout {
		t.Fatalf("got %v", err)
	}
	next := make(chan error, 1)
	go func() {
		_, err := Ask[any](within(t, 5*time.Second), p, "next")
		next <- err
	}()
	for p.Stats().Waiting < 1 {
		time.Sleep(time.Millisecond)
	}
	close(release)
	if err := receive(t, first); err != nil {
		t.Error(err)
	}
	if err := receive(t, next); err != nil {
		t.Error(err)
	}
	if n := handled.Load(); n != 2 {
		t.Errorf("%d messages were worked on, want 2", n)
	}
}

func TestPanickingWorkerIsReplacedAtOnce(t *testing.T) {
	s := newTestSystem(t)
	var made atomic.Int32
	p, err := s.SpawnPool(PoolProps{Workers: 2, Queue: 100, New: func() Worker {
		made.Add(1)
		return WorkerFunc(func(_ context.Context, msg any) (any, error) {
			if msg == "panic" {
				panic("in worker")
			}
			return msg, nil
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, err := Ask[string](within(t, 5*time.Second), p, "panic"); fault.CodeOf(err) != fault.InternalError {
			t.Fatalf("got %v", err)
		}
	}
	if got, err := Ask[string](within(t, 5*time.Second), p, "fine"); got != "fine" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := made.Load(); n < 51 || n > 52 {
		t.Errorf("%d workers were made, want 50 for the panics", n)
	}
}

func TestStoppingPoolEndsItsWork(t *testing.T) {
	s := newTestSystem(t)
	p := newPoolOf(t, s, 1, 10, func(ctx context.Context, _ any) (any, error) {
		<-ctx.Done()
		return nil, ended(ctx)
	})
	const asks = 4
	answers := make(chan error, asks)
	for range asks {
		go func() {
			_, err := Ask[any](within(t, 5*time.Second), p, 1)
			answers <- err
		}()
	}
	for p.Stats().Busy < 1 || p.Stats().Waiting < asks-1 {
		time.Sleep(time.Millisecond)
	}
	p.Stop()
	codes := map[fault.Code]int{}
	for range asks {
		codes[fault.CodeOf(receive(t, answers))]++
	}
	if codes[fault.Canceled] != 1 || codes[fault.ServiceUnavailable] != asks-1 {
		t.Errorf("got %v", codes)
	}
	receive(t, p.Done())
	if _, err := Ask[any](within(t, time.Second), p, 1); err != ErrStopped {
		t.Errorf("ask after Stop got %v", err)
	}
}

func TestPoolOfAnActorStopsWithIt(t *testing.T) {
	s := newTestSystem(t)
	pools := make(chan *Pool, 1)
	var closedFirst atomic.Bool
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch msg.(type) {
		case Started:
			p, err := c.SpawnPool(PoolProps{Name: "data", Workers: 2, New: func() Worker {
				return WorkerFunc(func(ctx context.Context, _ any) (any, error) {
					<-ctx.Done()
					time.Sleep(10 * time.Millisecond)
					closedFirst.Store(true)
					return nil, nil
				})
			}})
			if err != nil {
				t.Error(err)
			}
			pools <- p
		case Stopping:
			if !closedFirst.Load() {
				t.Error("Stopping came while a worker worked")
			}
		}
	}))
	p := receive(t, pools)
	go func() { _, _ = Ask[any](within(t, 5*time.Second), p, 1) }()
	for p.Stats().Busy < 1 {
		time.Sleep(time.Millisecond)
	}
	r.Stop()
	receive(t, r.Done())
}
