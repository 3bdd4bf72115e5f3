package listeners_test

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"fluxbase/listeners"
	"fluxbase/persistence/db/dbtest"
)

// events collects what a listener said, as texts.
type events chan string

func (e events) handler() listeners.Handler {
	return listeners.Handler{
		Up:   func() { e <- "up" },
		Down: func(error) { e <- "down" },
		Bell: func(channel, payload string) { e <- channel + " " + payload },
	}
}

func (e events) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-e:
		if got != want {
			t.Fatalf("heard %q, want %q", got, want)
		}
	case <-time.After(10 * time.Second):
		t.Fatalf("heard nothing, want %q", want)
	}
}

func listen(t *testing.T, url string, o listeners.Options) events {
	t.Helper()
	e := make(events, 1000)
	o.URL = url
	o.Channels = []string{listeners.Changes, listeners.Keys}
	l := listeners.Listen(o, e.handler())
	t.Cleanup(l.Close)
	return e
}

const kill = `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'`

func TestBellsAreHeard(t *testing.T) {
	d := dbtest.New(t)
	e := listen(t, d.AdminURL, listeners.Options{})
	e.expect(t, "up")
	d.Exec(`NOTIFY fluxbase_changes; NOTIFY other; SELECT pg_notify('fluxbase_keys', 'a payload')`)
	e.expect(t, "fluxbase_changes ")
	e.expect(t, "fluxbase_keys a payload")
}

func TestALostConnectionIsMadeAgain(t *testing.T) {
	d := dbtest.New(t)
	e := listen(t, d.AdminURL, listeners.Options{MaxBackoff: 100 * time.Millisecond})
	for range 5 {
		e.expect(t, "up")
		d.Exec(`NOTIFY fluxbase_changes`)
		e.expect(t, "fluxbase_changes ")
		d.Exec(kill)
		e.expect(t, "down")
	}
	e.expect(t, "up")
	var inTransaction int
	d.QueryRow(`SELECT count(*)::int FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%' AND (state <> 'idle' OR backend_xmin IS NOT NULL)`, &inTransaction)
	if inTransaction != 0 {
		t.Error("a listening session sits in a transaction")
	}
}

func TestDownIsSaidOnce(t *testing.T) {
	e := listen(t, "postgres://nobody@127.0.0.1:1/none?sslmode=disable&connect_timeout=1", listeners.Options{MinBackoff: time.Millisecond, MaxBackoff: 2 * time.Millisecond})
	e.expect(t, "down")
	select {
	case got := <-e:
		t.Errorf("heard %q", got)
	case <-time.After(300 * time.Millisecond):
	}
}

// relay passes bytes on until it is told to swallow them.
type relay struct {
	net.Listener
	to       string
	swallows atomic.Bool
	wg       sync.WaitGroup
}

func (r *relay) serve() {
	for {
		in, err := r.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", r.to)
		if err != nil {
			in.Close()
			continue
		}
		for _, way := range [][2]net.Conn{{in, out}, {out, in}} {
			r.wg.Go(func() {
				defer way[0].Close()
				defer way[1].Close()
				buffer := make([]byte, 4096)
				for {
					n, err := way[0].Read(buffer)
					if err != nil {
						return
					}
					if !r.swallows.Load() {
						way[1].Write(buffer[:n])
					}
				}
			})
		}
	}
}

func TestASilentConnectionIsNoticed(t *testing.T) {
	d := dbtest.New(t)
	u, err := url.Parse(d.AdminURL)
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{Listener: inner, to: u.Host}
	r.wg.Go(r.serve)
	t.Cleanup(func() { inner.Close(); r.wg.Wait() })
	u.Host = inner.Addr().String()
	e := listen(t, u.String(), listeners.Options{Probe: 200 * time.Millisecond, MaxBackoff: 100 * time.Millisecond})
	e.expect(t, "up")
	r.swallows.Store(true)
	e.expect(t, "down")
	r.swallows.Store(false)
	e.expect(t, "up")
}

func TestCloseEndsEverything(t *testing.T) {
	d := dbtest.New(t)
	ignore := goleak.IgnoreCurrent()
	for i := range 5 {
		e := make(events, 1000)
		l := listeners.Listen(listeners.Options{URL: d.AdminURL, Channels: []string{"a"}}, e.handler())
		if i%2 == 0 {
			e.expect(t, "up")
			c, err := pgx.Connect(context.Background(), d.AdminURL)
			if err != nil {
				t.Fatal(err)
			}
			for n := range 200 {
				if _, err := c.Exec(context.Background(), fmt.Sprintf("NOTIFY a, '%d'", n)); err != nil {
					t.Fatal(err)
				}
			}
			c.Close(context.Background())
		}
		l.Close()
		l.Close()
	}
	goleak.VerifyNone(t, ignore)
}
