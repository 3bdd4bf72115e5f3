package kernel

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"

	"fluxbase/persistence/fault"
)

// Each test here is named for something that the library does and the kernel
// must not let through.

func TestRequestsBehindAStopDoNotRunIntoTheirTimeout(t *testing.T) {
	s := newTestSystem(t)
	r := spawn(t, s, each(func(c *Context, msg any) {
		if b, ok := msg.(block); ok {
			b.wait()
		}
	}))
	b := newBlock()
	if err := r.Tell(b); err != nil {
		t.Fatal(err)
	}
	<-b.entered
	const asks = 20
	answers := make(chan error, asks)
	for range asks {
		go func() {
			_, err := Ask[string](within(t, 5*time.Second), r, "hello")
			answers <- err
		}()
	}
	for r.Waiting() < asks {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	r.Stop()
	for range asks {
		if err := receive(t, answers); fault.CodeOf(err) != fault.ServiceUnavailable {
			t.Errorf("queued ask got %v, want SERVICE_UNAVAILABLE", err)
		}
	}
	if took := time.Since(began); took > time.Second {
		t.Errorf("the askers waited %v", took)
	}
	if _, err := Ask[string](within(t, time.Second), r, "late"); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("ask after Stop got %v", err)
	}
	if err := r.Tell("late"); err != ErrStopped {
		t.Errorf("tell after Stop got %v", err)
	}
	close(b.release)
	receive(t, r.Done())
}

func TestRequestsKeptByAStoppedActorDoNotRunIntoTheirTimeout(t *testing.T) {
	s := newTestSystem(t)
	taken := make(chan struct{}, 1)
	r := spawn(t, s, each(func(c *Context, msg any) {
		if msg == "keep" {
			c.Request()
			taken <- struct{}{}
		}
	}))
	answer := make(chan error, 1)
	go func() {
		_, err := Ask[string](within(t, 5*time.Second), r, "keep")
		answer <- err
	}()
	receive(t, taken)
	r.Stop()
	if err := receive(t, answer); err != ErrStopped {
		t.Errorf("kept ask got %v, want ErrStopped", err)
	}
}

func TestPanicInStoppingDoesNotReviveTheActor(t *testing.T) {
	s := newTestSystem(t)
	var started atomic.Int32
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch msg.(type) {
		case Started:
			started.Add(1)
		case Stopping:
			panic("in stopping")
		}
	}))
	told := make(chan Ref, 2)
	spawn(t, s, each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case Started:
			c.Watch(r)
		case Terminated:
			told <- m.Ref
		}
	}))
	time.Sleep(10 * time.Millisecond)
	r.Stop()
	receive(t, r.Done())
	if got := receive(t, told); got != r {
		t.Errorf("Terminated of %v, want %v", got, r)
	}
	time.Sleep(20 * time.Millisecond)
	if n := started.Load(); n != 1 {
		t.Errorf("started %d times, want once", n)
	}
	if len(told) != 0 {
		t.Error("Terminated came twice")
	}
}

func TestPanicInStartedIsRetriedWithBackoff(t *testing.T) {
	s := newTestSystem(t)
	var tries atomic.Int32
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch msg.(type) {
		case Started:
			if tries.Add(1) < 5 {
				panic("not yet")
			}
		case string:
			c.Reply("up")
		}
	}))
	// The mailbox is kept meanwhile.
	got, err := Ask[string](within(t, 5*time.Second), r, "up?")
	if err != nil || got != "up" || tries.Load() != 5 {
		t.Errorf("got %q, %v after %d starts", got, err, tries.Load())
	}
}

func TestPanicInNewIsContained(t *testing.T) {
	s := newTestSystem(t)
	var tries atomic.Int32
	r := spawn(t, s, Props{New: func() Actor {
		if tries.Add(1) == 1 {
			panic("no actor today")
		}
		return Func(func(c *Context, msg any) { c.Reply(1) })
	}})
	if got, err := Ask[int](within(t, 5*time.Second), r, "x"); got != 1 || err != nil {
		t.Errorf("got %d, %v", got, err)
	}
}

func TestCrashOfATopLevelActorIsItsOwn(t *testing.T) {
	s := newTestSystem(t)
	var restarted atomic.Int32
	other := spawn(t, s, each(func(c *Context, msg any) {
		switch msg.(type) {
		case Started:
			restarted.Add(1)
		case string:
			c.Reply("fine")
		}
	}))
	crashing := spawn(t, s, each(func(c *Context, msg any) {
		if msg == "crash" {
			panic("crash")
		}
	}))
	for range 20 {
		_ = crashing.Tell("crash")
	}
	got, err := Ask[string](within(t, time.Second), other, "how are you")
	if err != nil || got != "fine" || restarted.Load() != 1 {
		t.Errorf("got %q, %v; started %d times", got, err, restarted.Load())
	}
}

func TestActorIsThereAfterMoreThanTenPanicsInTenSeconds(t *testing.T) {
	s := newTestSystem(t)
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch msg {
		case "crash":
			panic("crash")
		case "ping":
			c.Reply("pong")
		}
	}))
	for range 30 {
		if _, err := Ask[string](within(t, 5*time.Second), r, "crash"); fault.CodeOf(err) != fault.InternalError {
			t.Fatalf("ask got %v, want INTERNAL_ERROR", err)
		}
	}
	if got, err := Ask[string](within(t, 5*time.Second), r, "ping"); got != "pong" {
		t.Errorf("got %q, %v", got, err)
	}
	if n := s.Stats().Crashes; n != 30 {
		t.Errorf("%d crashes counted, want 30", n)
	}
}

func TestTimersFireAgainAndEndWithTheirIncarnation(t *testing.T) {
	s := newTestSystem(t)
	ticks := make(chan int, 100)
	var incarnation atomic.Int32
	type tick struct{ of int }
	r := spawn(t, s, Props{New: func() Actor {
		me := int(incarnation.Add(1))
		return Func(func(c *Context, msg any) {
			switch m := msg.(type) {
			case Started:
				c.After(5*time.Millisecond, tick{me})
				c.After(40*time.Millisecond, tick{-me})
			case tick:
				if m.of > 0 {
					c.After(5*time.Millisecond, m)
				}
				ticks <- m.of
			case string:
				panic("crash")
			}
		})
	}})
	for range 3 {
		if got := receive(t, ticks); got != 1 {
			t.Fatalf("tick of %d", got)
		}
	}
	_ = r.Tell("crash")
	deadline := time.After(100 * time.Millisecond)
	second := 0
	for {
		select {
		case of := <-ticks:
			if of == -1 {
				t.Fatal("a timer of the crashed incarnation fired")
			}
			if of == 2 {
				second++
			}
			continue
		case <-deadline:
		}
		break
	}
	if second < 3 {
		t.Errorf("the second incarnation ticked %d times", second)
	}
	r.Stop()
	receive(t, r.Done())
	for len(ticks) > 0 {
		<-ticks
	}
	time.Sleep(20 * time.Millisecond)
	if len(ticks) > 0 {
		t.Error("a timer of a stopped actor fired")
	}
}

func TestCancelledTimerIsNotHandledEvenWhenQueued(t *testing.T) {
	s := newTestSystem(t)
	fired := make(chan struct{}, 1)
	asked := make(chan struct{})
	spawn(t, s, each(func(c *Context, msg any) {
		switch msg {
		case Started{}:
			timer := c.After(time.Millisecond, "tick")
			time.Sleep(10 * time.Millisecond) // it is in the mailbox now
			timer.Cancel()
			timer.Cancel()
			_ = c.Self().Tell("after")
		case "tick":
			fired <- struct{}{}
		case "after":
			close(asked)
		}
	}))
	receive(t, asked)
	if len(fired) > 0 {
		t.Error("a cancelled timer was handled")
	}
}

func TestKeptRequestsAreAnsweredInTheActorsOrderToTheRightAsker(t *testing.T) {
	s := newTestSystem(t)
	type flush struct{}
	var kept []*Request
	var names []string
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch m := msg.(type) {
		case string:
			kept, names = append(kept, c.Request()), append(names, m)
			if c.Request() != kept[len(kept)-1] {
				t.Error("Request gave two requests for one message")
			}
		case flush:
			for i, k := range kept {
				k.Reply(names[i] + "!")
			}
		}
	}))
	type answer struct {
		asked, got string
		err        error
	}
	answers := make(chan answer, 3)
	for i, name := range []string{"a", "b", "c"} {
		go func() {
			got, err := Ask[string](within(t, 5*time.Second), r, name)
			answers <- answer{name, got, err}
		}()
		for r.Waiting() > 0 || lenOf(r) != i+1 {
			time.Sleep(time.Millisecond)
		}
	}
	_ = r.Tell(flush{})
	for range 3 {
		if a := receive(t, answers); a.err != nil || a.got != a.asked+"!" {
			t.Errorf("%s got %q, %v", a.asked, a.got, a.err)
		}
	}
}

// lenOf counts the requests that an actor keeps.
func lenOf(r Ref) int {
	r.cell.mu.Lock()
	defer r.cell.mu.Unlock()
	n := 0
	for q := r.cell.detached.first; q != nil; q = q.next {
		n++
	}
	return n
}

func TestSecondReplyIsIgnored(t *testing.T) {
	s := newTestSystem(t)
	r := spawn(t, s, each(func(c *Context, msg any) {
		c.Reply("first")
		c.Reply("second")
		c.Fail(errors.New("third"))
	}))
	for range 1000 {
		if got, err := Ask[string](within(t, 5*time.Second), r, "?"); got != "first" || err != nil {
			t.Fatalf("got %q, %v", got, err)
		}
	}
}

func TestTakenNameMakesNoActor(t *testing.T) {
	s := newTestSystem(t)
	named := each(func(*Context, any) {})
	named.Name = "one"
	first := spawn(t, s, named)
	var made atomic.Int32
	_, err := s.Spawn(Props{Name: "one", New: func() Actor { made.Add(1); return Func(func(*Context, any) {}) }})
	if err != ErrNameTaken || made.Load() != 0 {
		t.Errorf("got %v, %d actors made", err, made.Load())
	}
	first.Stop()
	receive(t, first.Done())
	if _, err := s.Spawn(named); err != nil {
		t.Errorf("the name is not free after the end: %v", err)
	}
}

func TestRestartKeepsTheMailboxAndLosesMessageChildrenAndTasks(t *testing.T) {
	s := newTestSystem(t)
	var incarnation atomic.Int32
	events := make(chan string, 100)
	release := make(chan struct{})
	r := spawn(t, s, Props{New: func() Actor {
		me := incarnation.Add(1)
		return Func(func(c *Context, msg any) {
			switch m := msg.(type) {
			case Started:
				if me > 1 {
					return
				}
				child, err := c.Spawn(each(func(_ *Context, msg any) {
					if _, ok := msg.(Stopping); ok {
						events <- "child stopped"
					}
				}))
				if err != nil {
					t.Error(err)
				}
				c.Watch(child)
				c.Go(0, func(ctx context.Context) (any, error) {
					<-ctx.Done()
					events <- "task cancelled"
					<-release
					return nil, nil
				}, func(*Context, any, error) { events <- "continuation of a lost task" })
			case Terminated:
				events <- "terminated of a lost child"
			case Stopping:
				if me == 1 {
					events <- "old stopping"
				}
			case block:
				m.wait()
				panic("crash")
			case string:
				events <- m
				c.Reply(int(me))
			}
		})
	}})
	b := newBlock()
	failed := make(chan error, 1)
	go func() {
		_, err := Ask[int](within(t, 5*time.Second), r, b)
		failed <- err
	}()
	<-b.entered
	_ = r.Tell("kept")
	close(b.release)
	if err := receive(t, failed); fault.CodeOf(err) != fault.InternalError {
		t.Errorf("the failing message's asker got %v", err)
	}
	if got, err := Ask[int](within(t, 5*time.Second), r, "asked"); got != 2 || err != nil {
		t.Errorf("incarnation %d answered, %v", got, err)
	}
	close(release)
	time.Sleep(10 * time.Millisecond)
	seen := map[string]bool{}
	for len(events) > 0 {
		seen[<-events] = true
	}
	for _, want := range []string{"child stopped", "task cancelled", "old stopping", "kept", "asked"} {
		if !seen[want] {
			t.Errorf("missing %q in %v", want, seen)
		}
	}
	if len(seen) != 5 {
		t.Errorf("too much in %v", seen)
	}
}

func TestCrashWhileToldToStopDoesNotRevive(t *testing.T) {
	s := newTestSystem(t)
	for range 50 {
		var started atomic.Int32
		r := spawn(t, s, each(func(c *Context, msg any) {
			switch m := msg.(type) {
			case Started:
				started.Add(1)
			case block:
				m.wait()
				panic("crash")
			}
		}))
		b := newBlock()
		_ = r.Tell(b)
		<-b.entered
		go r.Stop()
		close(b.release)
		receive(t, r.Done())
		if n := started.Load(); n > 2 {
			t.Fatalf("started %d times", n)
		}
	}
}

type batch struct{ messages []any }

func (b batch) GetMessages() []any { return b.messages }

func TestLibraryMessagesHaveNoMeaningToActors(t *testing.T) {
	s := newTestSystem(t)
	got := make(chan any, 10)
	r := spawn(t, s, each(func(_ *Context, msg any) { got <- msg }))
	receive(t, got) // Started
	for _, msg := range []any{batch{[]any{1, 2}}, &actor.PoisonPill{}, &actor.Touch{}, &actor.Stop{}, &actor.Restart{}} {
		if err := r.Tell(msg); err != nil {
			t.Fatal(err)
		}
		if m := receive(t, got); m == 1 {
			t.Errorf("a batch was unpacked")
		}
	}
	if len(got) != 0 {
		t.Errorf("%d messages too many", len(got))
	}
}

func TestNilReplyIsAnAnswer(t *testing.T) {
	s := newTestSystem(t)
	var handled atomic.Int32
	r := spawn(t, s, each(func(c *Context, msg any) {
		if msg == "?" {
			handled.Add(1)
			c.Reply(nil)
		}
	}))
	got, err := Ask[*int](within(t, time.Second), r, "?")
	if got != nil || err != nil || handled.Load() != 1 {
		t.Errorf("got %v, %v, handled %d times", got, err, handled.Load())
	}
}

func TestReplyFromATaskReachesTheAsker(t *testing.T) {
	s := newTestSystem(t)
	r := spawn(t, s, each(func(c *Context, msg any) {
		switch msg {
		case "continue":
			c.Go(time.Second, func(context.Context) (any, error) { return "done", nil },
				func(c *Context, res any, err error) { c.Reply(res) })
		case "detach":
			req := c.Request()
			c.Go(time.Second, func(context.Context) (any, error) { req.Reply("done"); return nil, nil }, nil)
		case "forget":
			c.Go(time.Second, func(context.Context) (any, error) { return nil, nil }, func(*Context, any, error) {})
		case "panic":
			c.Go(time.Second, func(context.Context) (any, error) { panic("in task") },
				func(c *Context, _ any, err error) { c.Fail(err) })
		}
	}))
	for range 50 {
		for _, way := range []string{"continue", "detach"} {
			if got, err := Ask[string](within(t, 5*time.Second), r, way); got != "done" || err != nil {
				t.Fatalf("%s: got %q, %v", way, got, err)
			}
		}
	}
	for _, way := range []string{"forget", "panic", "no case for this"} {
		if _, err := Ask[string](within(t, 5*time.Second), r, way); fault.CodeOf(err) != fault.InternalError {
			t.Errorf("%s: got %v", way, err)
		}
	}
}
