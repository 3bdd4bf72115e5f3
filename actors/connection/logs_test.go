package connection

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/execution"
)

func TestLogSubscriptions(t *testing.T) {
	s := &script{}
	c := newCore("conn", user("a"), Limits{Subscriptions: 2}, s)
	check := func(do func(), want string) {
		t.Helper()
		do()
		if got := s.take(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	check(func() { c.subscribeLogs(SubscribeLogs{}) }, "refused MISSING_REQUIRED_FIELD ")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "x", ExecutionType: "rpc"}) }, "judge log x rpc/1")
	check(func() { c.logJudged("x", 1, nil) }, "LogSubscribed {logs:x x rpc} | follow log x")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "x"}) }, "judge log x /2")
	check(func() { c.logJudged("x", 2, nil) }, "LogSubscribed {logs:x x }")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "y"}) }, "judge log y /3")
	check(func() { c.logJudged("y", 3, errNoExecution) }, "refused NOT_FOUND logs:y")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "z"}) }, "judge log z /4")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "w"}) }, "refused SUBSCRIPTION_LIMIT_REACHED ")
	check(func() { c.unsubscribe(Unsubscribe{SubscriptionID: "logs:z"}) }, "unsubscribed logs:z")
	check(func() { c.logJudged("z", 4, nil) }, "") // answered too late
	// A new token is acknowledged when the logs were judged for it.
	check(func() { c.refreshToken(RefreshToken{Caller: user("b")}) }, "expire false | identified b | judge log x /5")
	check(func() { c.logJudged("x", 5, errNoExecution) }, "unfollow log x | TokenUpdated {} | refused NOT_FOUND logs:x")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "x"}) }, "judge log x /6")
	check(func() { c.logJudged("x", 6, nil) }, "LogSubscribed {logs:x x } | follow log x")
	check(func() { c.unsubscribe(Unsubscribe{Channel: "execution:x"}) }, "unfollow log x | unsubscribed execution:x")
	check(func() { c.subscribeLogs(SubscribeLogs{ExecutionID: "x"}) }, "judge log x /7")
	check(func() { c.logJudged("x", 7, nil) }, "LogSubscribed {logs:x x } | follow log x")
	check(c.stop, "unfollow log x")
	anonymous := newCore("conn", caller.Caller{}, Limits{}, s)
	check(func() { anonymous.subscribeLogs(SubscribeLogs{ExecutionID: "x"}) }, "refused AUTHENTICATION_REQUIRED ")
}

// growing is a log in memory.
type growing struct {
	mu      sync.Mutex
	lines   []execution.Line
	watcher func()
	reads   int
}

func (g *growing) Readable(context.Context, caller.Caller, string, string) error { return nil }

func (g *growing) Lines(_ context.Context, _ string, after, limit int) ([]execution.Line, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.reads++
	lines := g.lines[min(after, len(g.lines)):]
	return slices.Clone(lines[:min(limit, len(lines))]), nil
}

func (g *growing) Watch(_ string, f func()) func() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.watcher = f
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.watcher = nil
	}
}

func (g *growing) grow(n int) {
	g.mu.Lock()
	for range n {
		g.lines = append(g.lines, execution.Line{Number: len(g.lines) + 1})
	}
	watcher := g.watcher
	g.mu.Unlock()
	if watcher != nil {
		watcher()
	}
}

// numbering is a dialect that writes the numbers of lines, and no other replies.
type numbering struct{ delivery.Codec }

func (numbering) AppendReply(dst []byte, r Reply) []byte {
	return fmt.Appendf(dst, "%d ", r.(ExecutionLogged).Line.Number)
}

// A follower sends every line once, in order, and reads no further while the socket
// has not taken what was sent.
func TestFollowerSendsLinesInOrderAndWaitsForTheSocket(t *testing.T) {
	system := kernel.NewSystem(kernel.SystemOptions{Name: "logs"})
	defer func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := system.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	}()
	frames := make(chan *delivery.Frame, 64)
	socket, err := system.Spawn(kernel.Props{New: func() kernel.Actor {
		return kernel.Func(func(_ *kernel.Context, msg any) {
			if f, ok := msg.(*delivery.Frame); ok {
				frames <- f
			}
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	log := &growing{}
	log.grow(2*logBatch + 5)
	ref, err := system.Spawn(kernel.Props{New: func() kernel.Actor {
		return &follower{logs: log, id: "x", dialect: numbering{}, connection: socket}
	}})
	if err != nil {
		t.Fatal(err)
	}
	next := 1
	take := func(messages int) *delivery.Frame {
		t.Helper()
		select {
		case f := <-frames:
			want := ""
			for range messages {
				want += fmt.Sprintf("%d ", next)
				next++
			}
			if string(f.Bytes) != want || f.Messages != messages || !f.Reliable {
				t.Fatalf("got %q (%d), want %q", f.Bytes, f.Messages, want)
			}
			return f
		case <-time.After(10 * time.Second):
			t.Fatal("nothing comes")
			return nil
		}
	}
	first := take(logBatch)
	log.grow(1) // rings while the first is on its way
	select {
	case <-frames:
		t.Fatal("more was sent before the socket had taken the first")
	case <-time.After(50 * time.Millisecond):
	}
	first.Done()
	take(logBatch).Done()
	take(6).Done()
	log.grow(1)
	take(1).Done()
	ref.Stop()
	<-ref.Done()
	if log.mu.Lock(); log.watcher != nil {
		t.Error("it still watches")
	}
	log.mu.Unlock()
}

func (numbering) Closing(int, string) []byte { return nil }
