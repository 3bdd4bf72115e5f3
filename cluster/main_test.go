package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/lease"
)

func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		os.Exit(child())
	}
	goleak.VerifyTestMain(m,
		// The server that dbtest starts when it was given none.
		goleak.IgnoreAnyFunction("fluxbase/persistence/postgres.(*Server).spawn.func1"))
}

// note is a message of these tests.
type note string

func (note) WireKind() string                        { return "cluster.test.note" }
func (n note) AppendWire(dst []byte) ([]byte, error) { return append(dst, n...), nil }

// riddle is a message that nobody can read.
type riddle struct{}

func (riddle) WireKind() string                      { return "cluster.test.riddle" }
func (riddle) AppendWire(dst []byte) ([]byte, error) { return append(dst, "?"...), nil }

// trap is a message whose reader panics.
type trap struct{}

func (trap) WireKind() string                      { return "cluster.test.trap" }
func (trap) AppendWire(dst []byte) ([]byte, error) { return dst, nil }

func init() {
	kernel.RegisterWire(note("").WireKind(), func(b []byte) (kernel.Wire, error) { return note(b), nil })
	kernel.RegisterWire(trap{}.WireKind(), func([]byte) (kernel.Wire, error) { panic("in a decoder") })
}

// testNode is a member in this process, with a service and a kind of homes.
type testNode struct {
	*Cluster
	system *kernel.System
	fenced chan *FencedError
	got    chan kernel.FromNode
}

// quick makes the times of tests short.
func quick(o Options) Options {
	o.Lease, o.Renew, o.Fence, o.Poll = 1500*time.Millisecond, 300*time.Millisecond, time.Second, 100*time.Millisecond
	return o
}

func newSystem(t testing.TB) *kernel.System {
	t.Helper()
	s := kernel.NewSystem(kernel.SystemOptions{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	t.Cleanup(func() {
		if err := s.Shutdown(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
	})
	return s
}

func testLogger(t testing.TB) *slog.Logger {
	if testing.Verbose() {
		return slog.New(slog.NewTextHandler(os.Stderr, nil)).With("test", t.Name())
	}
	return slog.New(slog.NewTextHandler(io.Discard, nil))
}

// enter makes a node a member. It leaves with the test, if it has not before.
func enter(t testing.TB, d *dbtest.Database, name string) *testNode {
	t.Helper()
	n := &testNode{system: newSystem(t), fenced: make(chan *FencedError, 1), got: make(chan kernel.FromNode, 100_000)}
	c, err := Open(within(t, 20*time.Second), quick(Options{
		System: n.system, Store: lease.NewStore(d.DB), Key: dbtest.Key, Name: name, Logger: testLogger(t),
		Secrets: map[string][]byte{"auth.jwt_secret": []byte("the same everywhere")},
		Fenced:  func(e *FencedError) { n.fenced <- e },
	}))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	n.Cluster = c
	t.Cleanup(func() { _ = c.Leave(within(t, 10*time.Second)) })
	service, err := n.system.Spawn(kernel.Props{Limit: 1 << 20, New: func() kernel.Actor {
		return kernel.Func(func(_ *kernel.Context, msg any) {
			if m, ok := msg.(kernel.FromNode); ok {
				n.got <- m
			}
		})
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.RegisterService("notes", service)
	c.RegisterKind("counter", counterProps(name))
	if err := c.Join(within(t, 20*time.Second)); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// counterProps are homes that answer "<node> <epoch> <count>".
func counterProps(node string) func(string, uint64) kernel.Props {
	return func(_ string, epoch uint64) kernel.Props {
		return kernel.Props{OnCrash: kernel.Stop, New: func() kernel.Actor {
			count := 0
			return kernel.Func(func(c *kernel.Context, msg any) {
				m, ok := msg.(kernel.FromNode)
				if !ok {
					return
				}
				switch m.Msg {
				case note("leave"):
					c.Reply(note("bye"))
					c.Stop()
				case note("fail"):
					c.Fail(errors.New("broken"))
				default:
					count++
					c.Reply(note(fmt.Sprintf("%s %d %d", node, epoch, count)))
				}
			})
		}}
	}
}

func within(t testing.TB, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something to come true.
func eventually(t testing.TB, what string, true1 func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !true1(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func (n *testNode) sees(members int) func() bool {
	return func() bool { return len(n.Nodes()) == members }
}

// three makes a cluster in which everybody sees everybody.
func three(t testing.TB) (*dbtest.Database, []*testNode) {
	t.Helper()
	d := dbtest.New(t)
	nodes := make([]*testNode, 3)
	var all sync.WaitGroup
	for i := range nodes {
		all.Go(func() { nodes[i] = enter(t, d, fmt.Sprintf("n%d", i+1)) })
	}
	all.Wait()
	for _, n := range nodes {
		eventually(t, "three members", n.sees(3))
	}
	return d, nodes
}

// pair makes a cluster of two.
func pair(t testing.TB) []*testNode {
	t.Helper()
	d := dbtest.New(t)
	nodes := []*testNode{enter(t, d, "n1"), enter(t, d, "n2")}
	eventually(t, "two members", nodes[0].sees(2))
	return nodes
}

// keyOf finds a key whose home is on the node.
func keyOf(t testing.TB, at *testNode) string {
	t.Helper()
	for i := range 10_000 {
		if key := fmt.Sprintf("key%d", i); at.Home("counter", key) == at.Self() {
			return key
		}
	}
	t.Fatal("no key")
	return ""
}

// count asks a counter and gives its answer's parts.
func (n *testNode) count(ctx context.Context, key string) (node string, epoch uint64, count int, err error) {
	answer, err := n.AskHome(ctx, "counter", key, note("count"))
	if err != nil {
		return "", 0, 0, err
	}
	_, err = fmt.Fscan(strings.NewReader(string(answer.(note))), &node, &epoch, &count)
	return node, epoch, count, err
}
