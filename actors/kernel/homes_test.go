package kernel

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/persistence/fault"
)

type word string

func (word) WireKind() string                        { return "kernel.test.word" }
func (w word) AppendWire(dst []byte) ([]byte, error) { return append(dst, w...), nil }

func TestHomeIsMadeOnceAndAgainWithAHigherEpoch(t *testing.T) {
	s := newTestSystem(t)
	p := Standalone(s)
	var made atomic.Int32
	var mu sync.Mutex
	var epochs []uint64
	p.RegisterKind("room", func(key string, epoch uint64) Props {
		mu.Lock()
		epochs = append(epochs, epoch)
		mu.Unlock()
		return Props{OnCrash: Stop, New: func() Actor {
			made.Add(1)
			return Func(func(c *Context, msg any) {
				m, ok := msg.(FromNode)
				if !ok {
					return
				}
				switch m.Msg.(word) {
				case "leave":
					c.Stop()
					c.Reply(word("bye"))
				case "crash":
					panic("crash")
				default:
					c.Reply(word(key) + "/" + m.Msg.(word))
				}
			})
		}}
	})
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got, err := p.AskHome(within(t, 5*time.Second), "room", "lobby", word("hi"))
			if err != nil || got != word("lobby/hi") {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
	all.Wait()
	if n := made.Load(); n != 1 {
		t.Fatalf("%d homes were made", n)
	}
	for range 20 {
		if got, err := p.AskHome(within(t, 5*time.Second), "room", "lobby", word("leave")); err != nil || got != word("bye") {
			t.Fatalf("leave got %v, %v", got, err)
		}
		if got, err := p.AskHome(within(t, 5*time.Second), "room", "lobby", word("hi")); err != nil || got != word("lobby/hi") {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	if _, err := p.AskHome(within(t, 5*time.Second), "room", "lobby", word("crash")); fault.CodeOf(err) != fault.InternalError {
		t.Errorf("crash got %v", err)
	}
	if _, err := p.AskHome(within(t, 5*time.Second), "room", "lobby", word("hi")); err != nil {
		t.Errorf("after the crash: %v", err)
	}
	for i := 1; i < len(epochs); i++ {
		if epochs[i] <= epochs[i-1] {
			t.Fatalf("epochs do not rise: %v", epochs)
		}
	}
	if _, err := p.AskHome(within(t, time.Second), "no such kind", "x", word("hi")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("unknown kind got %v", err)
	}
}

func TestHomesThatMovedAreStopped(t *testing.T) {
	s := newTestSystem(t)
	clock := &epochClock{}
	h := NewHomes(s, clock.next, nil)
	h.Register("room", func(string, uint64) Props {
		return each(func(c *Context, msg any) { c.Reply(word("here")) })
	})
	for _, key := range []string{"a", "b", "c"} {
		if _, err := h.Ask(within(t, time.Second), "room", key, FromNode{Msg: word("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if n := h.Keep(func(_, key string) bool { return key == "b" }); n != 2 {
		t.Errorf("%d homes moved", n)
	}
	for h.Len() != 1 {
		time.Sleep(time.Millisecond)
	}
}

func TestServiceGetsMessagesOfItsNode(t *testing.T) {
	s := newTestSystem(t)
	p := Standalone(s)
	if err := p.Tell(p.Self(), "svc", word("early")); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("unknown service got %v", err)
	}
	got := make(chan FromNode, 1)
	p.RegisterService("svc", spawn(t, s, each(func(_ *Context, msg any) {
		if m, ok := msg.(FromNode); ok {
			got <- m
		}
	})))
	if err := p.Tell(p.Self(), "svc", word("hi")); err != nil {
		t.Fatal(err)
	}
	if m := receive(t, got); m.Msg != word("hi") || m.From != p.Self() {
		t.Errorf("got %+v", m)
	}
}

func TestUnknownWireKindIsAnError(t *testing.T) {
	if _, err := DecodeWire("kernel.test.unknown", nil); err == nil {
		t.Error("no error")
	}
}
