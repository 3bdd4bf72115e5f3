package kernel

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

// busy gives an actor with the policy whose mailbox of three is full, with 1, 2
// and 3 in it, and what it handles.
func busy(t *testing.T, s *System, o Overflow) (r Ref, b block, handled chan any) {
	t.Helper()
	handled = make(chan any, 10)
	p := each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case block:
			m.wait()
		case int:
			handled <- m
			c.Reply(m)
		}
	})
	p.Limit, p.Overflow = 3, o
	r = spawn(t, s, p)
	b = newBlock()
	if err := r.Tell(b); err != nil {
		t.Fatal(err)
	}
	<-b.entered
	for i := 1; i <= 3; i++ {
		if err := r.Tell(i); err != nil {
			t.Fatalf("message %d was refused: %v", i, err)
		}
	}
	return r, b, handled
}

func TestRefuseGivesTheSenderAFaultAtOnce(t *testing.T) {
	s := newTestSystem(t)
	r, b, handled := busy(t, s, Refuse)
	if err := r.Tell(4); err != ErrOverloaded {
		t.Errorf("tell got %v", err)
	}
	_, err := Ask[int](within(t, 5*time.Second), r, 5)
	if fault.CodeOf(err) != fault.Overloaded || fault.From(err).RetryAfter == 0 {
		t.Errorf("ask got %v", err)
	}
	close(b.release)
	for want := 1; want <= 3; want++ {
		if got := receive(t, handled); got != want {
			t.Errorf("handled %v, want %d", got, want)
		}
	}
	if n := s.Stats().Overflows; n != 2 {
		t.Errorf("%d overflows counted", n)
	}
}

func TestDropOldestMakesRoom(t *testing.T) {
	s := newTestSystem(t)
	r, b, handled := busy(t, s, DropOldest)
	answer := make(chan error, 1)
	go func() {
		_, err := Ask[int](within(t, 5*time.Second), r, 4)
		answer <- err
	}()
	for s.Stats().Overflows == 0 {
		time.Sleep(time.Millisecond)
	}
	for i := 5; i <= 7; i++ {
		if err := r.Tell(i); err != nil {
			t.Errorf("tell %d got %v", i, err)
		}
	}
	if err := receive(t, answer); err != ErrOverloaded {
		t.Errorf("the dropped ask got %v", err)
	}
	close(b.release)
	for want := 5; want <= 7; want++ {
		if got := receive(t, handled); got != want {
			t.Errorf("handled %v, want %d", got, want)
		}
	}
}

func TestStopActorStopsOnOverflow(t *testing.T) {
	s := newTestSystem(t)
	r, b, handled := busy(t, s, StopActor)
	if err := r.Tell(4); err != ErrOverloaded {
		t.Errorf("tell got %v", err)
	}
	close(b.release)
	receive(t, r.Done())
	if len(handled) != 0 {
		t.Errorf("%d messages were handled after the stop", len(handled))
	}
}

func TestActorThatTellsItselfWhenFullGetsAnErrorNotADeadlock(t *testing.T) {
	s := newTestSystem(t)
	refused := make(chan error, 1)
	p := each(func(c *Context, msg any) {
		if msg != "go" {
			return
		}
		for {
			if err := c.Self().Tell("more"); err != nil {
				refused <- err
				return
			}
		}
	})
	p.Limit = 8
	_ = spawn(t, s, p).Tell("go")
	if err := receive(t, refused); err != ErrOverloaded {
		t.Errorf("got %v", err)
	}
}

func TestTimersAndContinuationsPassAFullMailbox(t *testing.T) {
	s := newTestSystem(t)
	got := make(chan string, 10)
	b := newBlock()
	p := each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case block:
			m.wait()
			c.After(time.Millisecond, "tick")
			time.Sleep(20 * time.Millisecond)
		case string:
			got <- m
		}
	})
	p.Limit = 1
	r := spawn(t, s, p)
	_ = r.Tell(b)
	<-b.entered
	_ = r.Tell("fills it")
	close(b.release)
	if seen := receive(t, got) + "," + receive(t, got); seen != "fills it,tick" {
		t.Errorf("got %s", seen)
	}
}

func TestMessagesOfOneSenderKeepTheirOrder(t *testing.T) {
	s := newTestSystem(t)
	const senders, each1 = 8, 2000
	last := make([]int, senders)
	done := make(chan struct{})
	total := 0
	type numbered struct{ sender, n int }
	r := spawn(t, s, Props{Limit: senders * each1, New: func() Actor {
		return Func(func(_ *Context, msg any) {
			m, ok := msg.(numbered)
			if !ok {
				return
			}
			if m.n != last[m.sender]+1 {
				t.Errorf("sender %d: %d after %d", m.sender, m.n, last[m.sender])
			}
			last[m.sender] = m.n
			if total++; total == senders*each1 {
				close(done)
			}
		})
	}})
	for i := range senders {
		go func() {
			for n := 1; n <= each1; n++ {
				if err := r.Tell(numbered{i, n}); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	receive(t, done)
}

func TestInterceptConsumesOnTheSendersGoroutine(t *testing.T) {
	s := newTestSystem(t)
	var consumed atomic.Int32
	queued := make(chan any, 10)
	p := each(func(_ *Context, msg any) {
		if _, ok := msg.(string); ok {
			queued <- msg
		}
	})
	p.Intercept = func(msg any) bool {
		_, ok := msg.(int)
		if ok {
			consumed.Add(1)
		}
		return ok
	}
	r := spawn(t, s, p)
	for i := range 100 {
		if err := r.Tell(i); err != nil {
			t.Fatal(err)
		}
	}
	if consumed.Load() != 100 {
		t.Errorf("%d consumed when Tell returned", consumed.Load())
	}
	_ = r.Tell("queued")
	if got := receive(t, queued); got != "queued" {
		t.Errorf("got %v", got)
	}
	r.Stop()
	if err := r.Tell(1); err != ErrStopped {
		t.Errorf("tell to a stopped interceptor: %v", err)
	}
}

func TestAskEndsWithTheAskersContext(t *testing.T) {
	s := newTestSystem(t)
	var handled sync.Map
	b := newBlock()
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case block:
			m.wait()
		case string:
			handled.Store(m, true)
			c.Reply(m)
		}
	}))
	_ = r.Tell(b)
	<-b.entered
	if _, err := Ask[string](within(t, 10*time.Millisecond), r, "deadline"); fault.CodeOf(err) != fault.Timeout {
		t.Errorf("deadline got %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	time.AfterFunc(5*time.Millisecond, cancel)
	if _, err := Ask[string](ctx, r, "cancel"); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("cancel got %v", err)
	}
	if _, err := Ask[string](ctx, r, "late"); fault.CodeOf(err) != fault.Canceled {
		t.Errorf("ended context got %v", err)
	}
	close(b.release)
	if got, err := Ask[string](within(t, time.Second), r, "now"); got != "now" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, m := range []string{"deadline", "cancel", "late"} {
		if _, ok := handled.Load(m); ok {
			t.Errorf("%q was handled although nobody waited", m)
		}
	}
	if _, err := Ask[int](within(t, time.Second), r, "wrong type"); fault.CodeOf(err) != fault.InternalError {
		t.Errorf("a reply of the wrong type got %v", err)
	}
}

func TestForwardMovesTheRequest(t *testing.T) {
	s := newTestSystem(t)
	worker := spawn(t, s, each(func(c *Context, msg any) { c.Reply(msg) }))
	r := spawn(t, s, each(func(c *Context, msg any) {
		if n, ok := msg.(int); ok {
			if err := c.Forward(worker, n+1); err != nil {
				c.Fail(err)
			}
		}
	}))
	if got, err := Ask[int](within(t, time.Second), r, 1); got != 2 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
	worker.Stop()
	receive(t, worker.Done())
	if _, err := Ask[int](within(t, time.Second), r, 1); err != ErrStopped {
		t.Errorf("got %v", err)
	}
}

func TestWatchingAnEndedActorTellsAtOnce(t *testing.T) {
	s := newTestSystem(t)
	r := spawn(t, s, each(func(*Context, any) {}))
	r.Stop()
	receive(t, r.Done())
	told := make(chan Ref, 1)
	spawn(t, s, each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case Started:
			c.Watch(r)
			c.Watch(r)
		case Terminated:
			told <- m.Ref
		}
	}))
	if got := receive(t, told); got != r {
		t.Errorf("got %v", got)
	}
}

func TestShutdownStopsChildrenFirst(t *testing.T) {
	s := newTestSystem(t)
	var order []string
	var mu sync.Mutex
	note := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, what)
	}
	up := make(chan struct{})
	spawn(t, s, each(func(c *Context, msg any) {
		switch msg.(type) {
		case Started:
			defer close(up)
			for range 3 {
				if _, err := c.Spawn(each(func(_ *Context, msg any) {
					if _, ok := msg.(Stopping); ok {
						note("child")
					}
				})); err != nil {
					t.Error(err)
				}
			}
		case Stopping:
			note("parent")
			if _, err := c.Spawn(each(func(*Context, any) {})); err != ErrStopped {
				t.Errorf("a child of a stopping actor: %v", err)
			}
		}
	}))
	<-up
	if err := s.Shutdown(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	if len(order) != 4 || order[3] != "parent" {
		t.Errorf("stopped in the order %v", order)
	}
	if _, err := s.Spawn(each(func(*Context, any) {})); err != ErrStopped {
		t.Errorf("Spawn after Shutdown: %v", err)
	}
	if n := s.Stats().Actors; n != 0 {
		t.Errorf("%d actors left", n)
	}
}

func TestBackoffDoublesUpToItsMost(t *testing.T) {
	b := Backoff{First: 10 * time.Millisecond, Most: 100 * time.Millisecond}
	for n, want := range []time.Duration{1: 10, 2: 20, 3: 40, 4: 80, 5: 100, 6: 100, 1000: 100} {
		if want == 0 {
			continue
		}
		want *= time.Millisecond
		for range 20 {
			if got := b.delay(n); got < want*4/5 || got > want*6/5 {
				t.Errorf("delay(%d) = %v, want about %v", n, got, want)
			}
		}
	}
}
