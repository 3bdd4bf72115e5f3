package realtime

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/valyala/fasthttp"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/kernel"
	"fluxbase/actors/presence"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// node is a gateway with everything behind it, on a loopback port. Its
// credentials are plain words: "user:<id>", "admin:<id>", "service".
type node struct {
	t       testing.TB
	addr    string
	system  *kernel.System
	gateway *Gateway
	tables  *fakeTables
	// sendBuffer is what the kernel keeps of a socket that is not read; 0 for as
	// much as it likes.
	sendBuffer int
	revoked    sync.Map // user id → true
	dir        kernel.Ref
}

type nodeOptions struct {
	gateway    Options
	admission  connection.Admission
	limits     connection.Limits
	sendBuffer int
	plain      bool // each socket has a goroutine, as without a poller
}

func startNode(t testing.TB, o nodeOptions) *node {
	t.Helper()
	n := &node{t: t, tables: &fakeTables{}, sendBuffer: o.sendBuffer}
	n.system = kernel.NewSystem(kernel.SystemOptions{Name: "test"})
	alone := kernel.Standalone(n.system)
	channel.RegisterHome(alone, channel.HomeOptions{})
	presence.RegisterHome(alone, alone, presence.Limits{Grace: 10 * time.Millisecond})
	spawn := func(p kernel.Props) kernel.Ref {
		ref, err := n.system.Spawn(p)
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	channels, rooms := spawn(channel.RouterProps(alone, alone)), spawn(presence.RouterProps(alone, alone))
	n.dir = spawn(connection.DirectoryProps(connection.DirectoryOptions{
		Admission: o.admission, Limits: o.limits,
		Revoked: func(c caller.Caller) bool { _, gone := n.revoked.Load(c.UserID); return gone },
	}))
	g := o.gateway
	g.Directory, g.Channels, g.Tenants, g.Tokens = n.dir, channels, n, n
	g.Services = func(context.Context, string) (connection.Services, error) {
		return connection.Services{Channels: channels, Presence: rooms, Tables: n.tables}, nil
	}
	n.gateway = Start(g)
	for i := range n.gateway.loops {
		if l := &n.gateway.loops[i]; o.plain && l.poller != nil {
			l.poller.close()
			l.poller = nil
		}
	}
	n.serve()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.gateway.Drain(ctx, 0); err != nil {
			t.Errorf("drain: %v", err)
		}
		n.gateway.Close()
		if err := n.system.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
	})
	return n
}

func (n *node) serve() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		n.t.Fatal(err)
	}
	n.addr = listener.Addr().String()
	routes := n.gateway.Routes()
	server := &fasthttp.Server{KeepHijackedConns: true, Handler: func(fast *fasthttp.RequestCtx) {
		for i := range routes {
			if string(fast.Path()) == routes[i].Path && string(fast.Method()) == routes[i].Method {
				n.handle(fast, &routes[i])
				return
			}
		}
		fast.SetStatusCode(404)
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := server.Serve(narrow{listener, n.sendBuffer}); err != nil {
			n.t.Errorf("serve: %v", err)
		}
	}()
	n.t.Cleanup(func() {
		if err := server.Shutdown(); err != nil {
			n.t.Errorf("server: %v", err)
		}
		<-done
	})
}

// narrow makes connections with small send buffers.
type narrow struct {
	net.Listener
	bytes int
}

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if tcp, ok := conn.(*net.TCPConn); ok && err == nil && l.bytes > 0 {
		err = tcp.SetWriteBuffer(l.bytes)
	}
	return conn, err
}

func (n *node) handle(fast *fasthttp.RequestCtx, r *route.Route) {
	var door route.Door
	door.Open(route.Opening{Fast: fast, Address: netip.MustParseAddr("127.0.0.1"), MaxDepth: 64})
	door.SetRoute(r, context.Background())
	c := caller.Anonymous()
	word := strings.TrimPrefix(string(fast.Request.Header.Peek("Authorization")), "Bearer ")
	if word == "" {
		word = string(fast.QueryArgs().Peek("token"))
	}
	if word == "" {
		word = string(fast.QueryArgs().Peek("apikey"))
	}
	var err error
	if word != "" {
		c, err = n.VerifyToken(context.Background(), word)
	}
	if err == nil && !r.Instance {
		_, c, err = n.Resolve(context.Background(), c, "")
	}
	door.SetCaller(c)
	door.SetBody(fast.Request.Body())
	if err == nil {
		err = r.Handle(door.Request())
	}
	if err != nil {
		route.WriteFailure(&fast.Response, "", err)
	}
}

func (n *node) VerifyToken(_ context.Context, word string) (caller.Caller, error) {
	kind, rest, _ := strings.Cut(word, ":")
	id, life, _ := strings.Cut(rest, "@")
	c := caller.Caller{Source: caller.SourceToken, UserID: id, Claims: json.RawMessage(fmt.Sprintf(`{"sub":%q}`, id))}
	switch kind {
	case "user":
		c.Role = caller.Authenticated
	case "admin":
		c.Role = caller.Admin
	case "service":
		c.Role, c.Source = caller.Service, caller.SourceServiceKey
	default:
		return c, fault.New(fault.InvalidToken, "Invalid or expired Bearer token")
	}
	if life != "" {
		d, err := time.ParseDuration(life)
		if err != nil {
			return c, err
		}
		c.ExpiresAt = time.Now().Add(d)
	}
	return c, nil
}

func (n *node) Resolve(_ context.Context, c caller.Caller, header string) (*route.Tenant, caller.Caller, error) {
	if header == "" {
		header = "main"
	}
	c.Tenant = header
	return &route.Tenant{ID: header, Slug: header}, c, nil
}

// fakeTables accepts the table "notes" and remembers who follows it.
type fakeTables struct {
	mu   sync.Mutex
	subs map[string]connection.TableSubscription
	all  []kernel.Ref // who has ever subscribed
}

func (f *fakeTables) Subscribe(_ context.Context, s connection.TableSubscription) (connection.Beginning, error) {
	if s.Table != "notes" {
		return connection.Beginning{}, fault.Newf(fault.NotFound, "table %s.%s not enabled for realtime", s.Schema, s.Table)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.subs == nil {
		f.subs = map[string]connection.TableSubscription{}
	}
	f.subs[s.ID] = s
	f.all = append(f.all, s.Subscriber.Ref)
	return connection.Beginning{}, nil
}

func (f *fakeTables) Begin(kernel.Ref, string) {}

func (f *fakeTables) ID(s connection.TableSubscription, ordinal int) string {
	return fmt.Sprintf("%s.%s/%s/%v/%d", s.Schema, s.Table, s.Event, s.Condition, ordinal)
}

func (f *fakeTables) Unsubscribe(_ kernel.Ref, id string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.subs, id)
}

func (f *fakeTables) refs() []kernel.Ref {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.all)
}

func (f *fakeTables) list() []connection.TableSubscription {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []connection.TableSubscription
	for _, s := range f.subs {
		out = append(out, s)
	}
	return out
}

// client is an independent WebSocket client.
type client struct {
	t    testing.TB
	conn *websocket.Conn
}

func (n *node) dial(query string) *client {
	n.t.Helper()
	return n.dialPath("/realtime" + query)
}

func (n *node) dialPath(path string) *client {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+n.addr+path, nil)
	if err != nil {
		n.t.Fatalf("dial %s: %v", path, err)
	}
	conn.SetReadLimit(8 << 20)
	n.t.Cleanup(func() { _ = conn.CloseNow() })
	return &client{t: n.t, conn: conn}
}

func (c *client) send(format string, args ...any) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// admitted waits until the connection is served.
func (c *client) admitted() *client {
	c.t.Helper()
	c.send(`{"type":"unsubscribe"}`)
	c.expect(`{"type":"ack"}`)
	return c
}

// next is the next message that is no heartbeat.
func (c *client) next() map[string]any {
	c.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, b, err := c.conn.Read(ctx)
		cancel()
		if err != nil {
			c.t.Fatalf("read: %v", err)
		}
		var m map[string]any
		if err := json.Unmarshal(b, &m); err != nil {
			c.t.Fatalf("%s: %v", b, err)
		}
		if m["type"] != "heartbeat" {
			return m
		}
	}
}

// expect reads the next message and checks that it holds want, a JSON object
// whose members must all be there.
func (c *client) expect(want string) map[string]any {
	c.t.Helper()
	got := c.next()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		c.t.Fatalf("want %s: %v", want, err)
	}
	if !holds(got, w) {
		b, _ := json.Marshal(got)
		c.t.Fatalf("got  %s\nwant %s", b, want)
	}
	return got
}

// await is expect for a message before which a few others may come: what its
// order with them is, nobody promises.
func (c *client) await(want string) {
	c.t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		c.t.Fatalf("want %s: %v", want, err)
	}
	for range 5 {
		if holds(c.next(), w) {
			return
		}
	}
	c.t.Fatalf("%s did not come", want)
}

func holds(got, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		return fmt.Sprint(got) == fmt.Sprint(want)
	}
	g, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for k, v := range w {
		if !holds(g[k], v) {
			return false
		}
	}
	return true
}

// closes reads until the server closes and gives the code and the reason.
func (c *client) closes() (int, string) {
	c.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		_, _, err := c.conn.Read(ctx)
		cancel()
		var closed websocket.CloseError
		switch {
		case err == nil:
		case asClose(err, &closed):
			return int(closed.Code), closed.Reason
		default:
			return -1, err.Error()
		}
	}
}

func asClose(err error, to *websocket.CloseError) bool { return errors.As(err, to) }

// silent checks that nothing but heartbeats comes for a while. The connection is
// of no use afterwards.
func (c *client) silent(d time.Duration) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	for {
		_, b, err := c.conn.Read(ctx)
		if err != nil {
			return
		}
		if !strings.Contains(string(b), `"heartbeat"`) {
			c.t.Fatalf("unexpected %s", b)
		}
	}
}
