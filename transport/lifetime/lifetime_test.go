package lifetime

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pair is a connection with both its ends.
func pair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { server.Close(); client.Close() })
	return server, client
}

func watch(t *testing.T) *Watch {
	w := NewWatch()
	t.Cleanup(w.Close)
	return w
}

func within(t *testing.T, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(3 * time.Second):
		t.Fatal("the lifetime goes on")
	}
}

func TestDeadline(t *testing.T) {
	l := watch(t).Begin(nil, 60*time.Millisecond)
	defer l.End()
	if _, ok := l.Deadline(); !ok {
		t.Error("no deadline")
	}
	within(t, l.Done())
	if !errors.Is(l.Err(), context.DeadlineExceeded) {
		t.Errorf("ended with %v", l.Err())
	}
}

func TestEnd(t *testing.T) {
	l := watch(t).Begin(nil, 0)
	child, cancel := context.WithTimeout(l, time.Hour)
	defer cancel()
	ran := make(chan struct{})
	context.AfterFunc(l, func() { close(ran) })
	stop := context.AfterFunc(l, func() { t.Error("a stopped function ran") })
	if !stop() || stop() {
		t.Error("stop")
	}
	l.End()
	l.End()
	within(t, child.Done())
	within(t, ran)
	if !errors.Is(child.Err(), context.Canceled) || l.Err() == nil {
		t.Errorf("%v, %v", child.Err(), l.Err())
	}
	within(t, l.Done())
	late := make(chan struct{})
	context.AfterFunc(l, func() { close(late) })
	within(t, late)
}

func TestHangUp(t *testing.T) {
	for name, leave := range map[string]func(*net.TCPConn) error{
		"close":       (*net.TCPConn).Close,
		"reset":       func(c *net.TCPConn) error { return errors.Join(c.SetLinger(0), c.Close()) },
		"unread data": func(c *net.TCPConn) error { _, err := c.Write([]byte("more")); return errors.Join(err, c.Close()) },
	} {
		t.Run(name, func(t *testing.T) {
			server, client := pair(t)
			l := watch(t).Begin(server, 0)
			defer l.End()
			select {
			case <-l.Done():
				t.Fatal("ended by itself")
			case <-time.After(150 * time.Millisecond):
			}
			if err := leave(client.(*net.TCPConn)); err != nil {
				t.Fatal(err)
			}
			within(t, l.Done())
		})
	}
}

func TestSleepingWatchWakes(t *testing.T) {
	w := watch(t)
	for range 3 {
		time.Sleep(3 * tick)
		l := w.Begin(nil, time.Millisecond)
		within(t, l.Done())
		l.End()
	}
}

func TestCloseEndsAll(t *testing.T) {
	w := NewWatch()
	l := w.Begin(nil, time.Hour)
	w.Close()
	within(t, l.Done())
	l.End()
}

func BenchmarkLifetime(b *testing.B) {
	w := NewWatch()
	defer w.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			w.Begin(nil, 30*time.Second).End()
		}
	})
}
