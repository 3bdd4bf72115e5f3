package feed_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/actors/delivery"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/query"
)

// lines is a dialect of one JSON object per line.
type lines struct{ name string }

func (l lines) Dialect() string { return l.name }

// event is a line.
type event struct {
	Change *delivery.Change   `json:",omitempty"`
	Notice *delivery.Notice   `json:",omitempty"`
	Rows   *delivery.Snapshot `json:",omitempty"`
	IDs    []string
}

func line(dst []byte, e event) []byte {
	b, err := json.Marshal(e)
	if err != nil {
		panic(err)
	}
	return append(append(dst, b...), '\n')
}

func (lines) AppendChange(dst []byte, c *delivery.Change, ids []string) []byte {
	return line(dst, event{Change: c, IDs: ids})
}
func (lines) AppendSnapshot(dst []byte, s *delivery.Snapshot, id string) []byte {
	return line(dst, event{Rows: s, IDs: []string{id}})
}
func (lines) AppendNotice(dst []byte, n *delivery.Notice) []byte {
	return line(dst, event{Notice: n, IDs: []string{n.SubscriptionID}})
}
func (lines) AppendBroadcast(dst []byte, _ *delivery.Broadcast, _ bool) []byte { return dst }
func (lines) AppendPresence(dst []byte, _ *delivery.Presence) ([]byte, int)    { return dst, 0 }

// cursor is the place that the event tells; empty for none.
func (e event) cursor() string {
	switch {
	case e.Change != nil:
		return e.Change.Position
	case e.Rows != nil:
		return e.Rows.Position
	}
	return e.Notice.Position
}

// brief prints an event for comparisons.
func (e event) brief() string {
	if n := e.Notice; n != nil {
		return n.Type + " " + n.Code
	}
	if r := e.Rows; r != nil {
		s := "rows"
		for _, record := range r.Records {
			s += " " + string(record)
		}
		return s
	}
	c := e.Change
	s := string(c.Type)
	if c.OldRecord != nil && string(c.OldRecord) != "null" {
		s += " " + string(c.OldRecord)
	}
	if c.Record != nil && string(c.Record) != "null" {
		s += " → " + string(c.Record)
	}
	for _, flag := range []struct {
		on   bool
		name string
	}{{c.Entered, "entered"}, {c.Left, "left"}, {c.Truncated, "truncated"}} {
		if flag.on {
			s += " " + flag.name
		}
	}
	return s
}

// client is a connection that remembers what it was sent.
type client struct {
	t      testing.TB
	f      *fixture
	feed   kernel.Ref
	caller caller.Caller
	ref    kernel.Ref
	codec  lines

	mu     sync.Mutex
	events []event
	frames map[*delivery.Frame]bool
	held   []*delivery.Frame
	hold   bool
	evict  func(delivery.Evict) // nil: nobody minds
}

func (c *client) take(msg any) bool {
	if e, ok := msg.(delivery.Evict); ok {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.evict != nil {
			c.evict(e)
		}
		return true
	}
	frame, ok := msg.(*delivery.Frame)
	if link, linked := msg.(*delivery.Link); linked {
		frame, ok = link.Frame, true
	}
	if !ok {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, l := range bytes.Split(bytes.TrimSpace(frame.Bytes), []byte("\n")) {
		var e event
		if err := json.Unmarshal(l, &e); err != nil {
			c.t.Errorf("%s: %v", l, err)
		}
		c.events = append(c.events, e)
	}
	c.frames[frame] = true
	if c.hold {
		c.held = append(c.held, frame)
	} else {
		frame.Done()
	}
	return true
}

func (c *client) release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.hold = false
	for _, f := range c.held {
		f.Done()
	}
	c.held = nil
}

func (c *client) seen() []event {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.events)
}

func (c *client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = nil
}

// expect waits until exactly these events were seen since it was called last.
func (c *client) expect(want ...string) {
	c.t.Helper()
	var got []string
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		got = nil
		for _, e := range c.seen() {
			got = append(got, e.brief())
		}
		if len(got) >= len(want) {
			break
		}
	}
	if !slices.Equal(got, want) {
		c.t.Errorf("got\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
	c.forget()
}

func (c *client) subscriber() delivery.Subscriber {
	return delivery.Subscriber{Ref: c.ref, Caller: c.caller, Codec: c.codec}
}

func (c *client) ask(m feed.Subscribe) (feed.Subscribed, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	m.Subscriber = c.subscriber()
	begun, err := kernel.Ask[feed.Subscribed](ctx, c.feed, m)
	if err == nil && begun.Waits {
		err = c.feed.Tell(feed.Begin{Subscriber: c.ref, SubscriptionID: begun.ID})
	}
	return begun, err
}

func (c *client) subscribe(table, event string, filter query.Condition) string {
	c.t.Helper()
	s, err := c.ask(feed.Subscribe{Table: table, Event: event, Filter: filter})
	if err != nil {
		c.t.Fatal(err)
	}
	return s.ID
}

// fixture is a feed over a fresh database, with a listener.
type fixture struct {
	*dbtest.Database
	t      testing.TB
	log    *changelog.Log
	system *kernel.System
	feed   kernel.Ref
	ctx    context.Context
}

func setup(t testing.TB, change ...func(*feed.Options)) *fixture {
	t.Helper()
	d := dbtest.New(t)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	t.Cleanup(cancel)
	f := &fixture{Database: d, t: t, log: changelog.New(d.DB), ctx: ctx}
	f.system = kernel.NewSystem(kernel.SystemOptions{Name: "test", Logger: slog.New(slog.DiscardHandler)})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := f.system.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	f.feed = f.node("feed", change...)
	return f
}

// node spawns a feed with its listener, as another node would have it.
func (f *fixture) node(name string, change ...func(*feed.Options)) kernel.Ref {
	f.t.Helper()
	cursors, err := changelog.NewCursors(bytes.Repeat([]byte{7}, changelog.CursorKeySize), "t")
	if err != nil {
		f.t.Fatal(err)
	}
	o := feed.Options{Log: f.log, Cursors: cursors}
	for _, c := range change {
		c(&o)
	}
	ref, err := f.system.Spawn(feed.Props(name, o))
	if err != nil {
		f.t.Fatal(err)
	}
	f.Listen("fluxbase_changes", dbtest.Ear{
		Up:   func() { _ = ref.Tell(feed.ListenerUp{}) },
		Down: func() { _ = ref.Tell(feed.ListenerDown{}) },
		Bell: func() { _ = ref.Tell(feed.Rung{}) },
	})
	return ref
}

func (f *fixture) client(c caller.Caller) *client {
	f.t.Helper()
	cl := &client{t: f.t, f: f, feed: f.feed, caller: c, codec: lines{"lines"}, frames: map[*delivery.Frame]bool{}}
	ref, err := f.system.Spawn(kernel.Props{New: func() kernel.Actor { return kernel.Func(func(*kernel.Context, any) {}) }, Intercept: cl.take})
	if err != nil {
		f.t.Fatal(err)
	}
	cl.ref = ref
	return cl
}

func (f *fixture) enable(table string, exclude ...string) {
	f.t.Helper()
	if _, err := f.log.Enable(f.ctx, "public", table, nil, exclude); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) stats() feed.Stats {
	f.t.Helper()
	s, err := kernel.Ask[feed.Stats](f.ctx, f.feed, feed.GetStats{})
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *fixture) eventually(what string, done func() bool) {
	f.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			f.t.Fatal("never happened: " + what)
		}
	}
}

func (f *fixture) connect() *pgx.Conn {
	f.t.Helper()
	c, err := pgx.Connect(f.ctx, f.AdminURL)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

func compare(column string, op query.Operator, value string) query.Condition {
	return &query.Compare{Path: query.Column(column), Op: op, Value: value}
}

// user is the n-th user.
func user(n int) string { return fmt.Sprintf("00000000-0000-0000-0000-%012d", n) }
