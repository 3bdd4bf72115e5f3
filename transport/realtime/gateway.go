package realtime

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"runtime"
	"sync/atomic"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/budget"
	"fluxbase/transport/route"
	"github.com/google/uuid"
)

// Options are what a Gateway needs. Zero numbers and durations mean the default.
type Options struct {
	// Directory owns the connection actors.
	Directory kernel.Ref
	// Channels is the node's channel router, for the HTTP broadcast endpoint.
	Channels kernel.Ref
	// Tenants finds the tenant of a socket, by its credential, the header
	// X-FB-Tenant, or the query parameter tenant.
	Tenants route.Tenants
	// Tokens checks a token that a client sends on an open socket.
	Tokens Tokens
	// Services gives what connections of a tenant talk to.
	Services func(ctx context.Context, tenant string) (connection.Services, error)
	// PrivateOnly refuses messages to public channels over HTTP.
	PrivateOnly bool
	// Disabled answers every request with FEATURE_DISABLED.
	Disabled bool
	// Writers is the number of loops that write, and of those that read; default one
	// per core.
	Writers int
	// QueueBytes bounds the broadcasts, presences and replies that wait for one
	// socket that is full; default 1 MB. QueueMessages bounds their number; 0
	// for no bound. Beyond either the socket is closed with 1008.
	QueueBytes, QueueMessages int
	// WriteTimeout is how long a full socket may accept no byte; default 10 s.
	WriteTimeout time.Duration
	// PingEvery is the time between pings, and half of that between heartbeats;
	// default 15 s. A peer that sends nothing, not even a pong, for PongTimeout
	// (default 60 s) is gone.
	PingEvery, PongTimeout time.Duration
	// Compression offers permessage-deflate (RFC 7692) to clients that ask for it.
	Compression bool
	// MessageBytes bounds a client's message; default 512 KB.
	MessageBytes int
	// Limits bound how fast clients may send. What is beyond is refused.
	Limits budget.Limits
	Logger *slog.Logger
}

// Tokens tells who a token is.
type Tokens interface {
	VerifyToken(ctx context.Context, token string) (caller.Caller, error)
}

func (o Options) orDefault() Options {
	if o.Writers == 0 {
		o.Writers = runtime.GOMAXPROCS(0)
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 1 << 20
	}
	if o.WriteTimeout == 0 {
		o.WriteTimeout = 10 * time.Second
	}
	if o.PingEvery == 0 {
		o.PingEvery = 15 * time.Second
	}
	if o.PongTimeout == 0 {
		o.PongTimeout = 60 * time.Second
	}
	if o.MessageBytes == 0 {
		o.MessageBytes = 512 << 10
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	return o
}

// admitTimeout bounds the question to the directory.
const admitTimeout = 5 * time.Second

// Gateway owns the sockets of a node.
type Gateway struct {
	o       Options
	limits  outboxLimits
	loops   []loop
	next    atomic.Uint32
	wheel   *wheel
	ledger  *budget.Ledger
	sockets atomic.Int64 // open ones
}

// loop is what reads and writes a share of the sockets.
type loop struct {
	writer *writer
	poller *poller // nil: sockets have goroutines of their own
}

// Start makes a gateway and its loops; Close ends them.
func Start(o Options) *Gateway {
	o = o.orDefault()
	g := &Gateway{
		o: o, wheel: startWheel(o.PingEvery), ledger: budget.NewLedger(o.Limits),
		limits: outboxLimits{bytes: o.QueueBytes, count: o.QueueMessages, timeout: o.WriteTimeout},
	}
	for range o.Writers {
		l := loop{writer: startWriter()}
		p, err := startPoller()
		switch {
		case err == nil:
			l.poller = p
		case !errors.Is(err, errors.ErrUnsupported):
			o.Logger.Warn("each realtime socket has a goroutine", "error", err)
		}
		g.loops = append(g.loops, l)
	}
	return g
}

// Drain ends all sockets with 1012, spread over within, and waits for them until
// ctx ends. New ones are refused from then on.
func (g *Gateway) Drain(ctx context.Context, within time.Duration) error {
	if _, err := kernel.Ask[int](ctx, g.o.Directory, connection.Drain{Within: within}); err != nil {
		return err
	}
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for g.sockets.Load() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Totals are what this node serves.
type Totals struct{ Connections, Channels, Subscriptions int }

// Totals counts for a tenant, for all tenants when it is empty.
func (g *Gateway) Totals(ctx context.Context, tenant string) (Totals, error) {
	t, err := kernel.Ask[connection.Totals](ctx, g.o.Directory, connection.Count{Tenant: tenant})
	if err != nil {
		return Totals{}, err
	}
	s, err := kernel.Ask[channel.Stats](ctx, g.o.Channels, channel.GetStats{Tenant: tenant})
	if err != nil {
		return Totals{}, err
	}
	return Totals{Connections: t.Connections, Channels: s.Channels, Subscriptions: t.Subscriptions}, nil
}

// Close ends the loops. Drain first: sockets that are still open get no more
// bytes.
func (g *Gateway) Close() {
	g.wheel.close()
	for _, l := range g.loops {
		if l.poller != nil {
			l.poller.close()
		}
		l.writer.stop()
	}
}

// peer is who opens a socket.
type peer struct {
	caller     caller.Caller
	tenant     string // as the client named it
	services   connection.Services
	remote, ip string
	parser     parser
	deflate    bool    // messages are compressed
	stream     *stream // nil for a client that talks
}

// serve runs a socket whose handshake is done. early is what the client sent
// behind its request. It returns when a poller has the socket, or it has ended.
func (g *Gateway) serve(conn net.Conn, early []byte, p peer) {
	l := g.loops[g.next.Add(1)%uint32(len(g.loops))]
	k := &socket{
		gateway: g, parser: p.parser, tenant: p.tenant, decoder: decoder{limit: g.o.MessageBytes, deflate: p.deflate},
		client: budget.Client{Tenant: p.caller.Tenant, User: p.caller.UserID, IP: p.ip},
	}
	k.out = outbox{wire: &k.link, lane: l.writer.lane(p.caller.Tenant), limits: &g.limits, closer: p.parser}
	k.out.waiting.packed = p.deflate
	if l.poller == nil || l.poller.adopt(conn, k) != nil {
		k.conn = conn
		k.out.wire = &plain{conn: conn, out: &k.out}
	}
	if p.stream != nil {
		k.listen(p.stream)
	}
	k.heard.Store(time.Now().UnixNano())
	g.sockets.Add(1)
	g.wheel.add(k)
	if p.services.Hold != nil {
		k.release = p.services.Hold()
	}
	g.admit(k, p)
	if p.stream != nil && !k.actor.IsZero() {
		for _, m := range p.stream.subscriptions {
			k.tell(m)
		}
	}
	k.begin(early)
}

// admit asks the directory for an actor. A socket that is refused is told why and
// closed.
func (g *Gateway) admit(k *socket, p peer) {
	ctx, cancel := context.WithTimeout(context.Background(), admitTimeout)
	defer cancel()
	ref, err := kernel.Ask[kernel.Ref](ctx, g.o.Directory, connection.Open{
		ID: uuid.NewString(), Caller: p.caller, RemoteAddr: p.remote, IP: p.ip,
		Dialect: p.parser, Outbox: &k.out, Services: p.services, Strict: p.stream != nil,
	})
	if err == nil {
		k.actor = ref
		return
	}
	f := fault.From(err)
	refused := connection.Refused{Code: f.Code, Message: f.Message}
	code, reason := connection.CloseInternal, f.Message
	switch f.Code {
	case fault.MaxConnectionsReached:
		refused.Payload = []byte(`{"message":"Server connection limit reached. Please try again later."}`)
		code = connection.ClosePolicy
	case fault.Draining:
		code = connection.CloseRestart
	default:
		g.o.Logger.Warn("realtime connection not admitted", "error", err)
	}
	if b := k.parser.AppendReply(nil, refused); len(b) > 0 {
		k.out.Push(&delivery.Frame{Bytes: b, Messages: 1})
	}
	k.out.Close(code, reason)
}
