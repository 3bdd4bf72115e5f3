package cluster

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/asynkron/protoactor-go/remote"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	// gatewayName is the one process that peers talk to.
	gatewayName = "gateway"
	// maxBatch is what a link reads at once. It is more than what can wait for a
	// peer (maxWaiting) and one message (maxMessage) together.
	maxBatch = 64 << 20
	// batchMessages and queueMessages are the library's: messages written at once,
	// and the first size of a queue that is not bounded by it (maxWaiting is).
	batchMessages = 200
	queueMessages = 1024
)

// remoteLink is the library's remote, in an actor system of its own.
type remoteLink struct {
	proto   *actor.ActorSystem
	remote  *remote.Remote
	address string
	events  func() // ends the subscription
}

// startRemote listens for peers and hands what they send to the gateway.
func startRemote(c *Cluster, server, client *tls.Config) (link *remoteLink, err error) {
	host, port, advertise, err := addresses(c.o.Address, c.o.Advertise)
	if err != nil {
		return nil, err
	}
	quiet := slog.New(demoted{c.logger.Handler()})
	l := &remoteLink{proto: actor.NewActorSystem(
		actor.WithLoggerFactory(func(*actor.ActorSystem) *slog.Logger { return quiet }),
		actor.WithDeadLetterThrottleInterval(time.Millisecond),
	)}
	options := []remote.ConfigOption{
		remote.WithEndpointWriterBatchSize(batchMessages),
		remote.WithEndpointWriterQueueSize(queueMessages),
		remote.WithEndpointManagerBatchSize(batchMessages),
		remote.WithEndpointManagerQueueSize(queueMessages),
		// A second try would leak the first one's connection; the next message
		// makes a new link anyway.
		func(o *remote.Config) { o.MaxRetryCount = 1 },
		remote.WithDialOptions(
			grpc.WithTransportCredentials(credentials.NewTLS(client)),
			// A link that is half open is noticed.
			grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 10 * time.Second, Timeout: 3 * time.Second, PermitWithoutStream: true}),
			grpc.WithConnectParams(grpc.ConnectParams{Backoff: backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, MaxDelay: time.Second}, MinConnectTimeout: 2 * time.Second}),
		),
		remote.WithServerOptions(
			grpc.Creds(credentials.NewTLS(server)),
			grpc.MaxRecvMsgSize(maxBatch),
			grpc.KeepaliveParams(keepalive.ServerParameters{Time: 10 * time.Second, Timeout: 3 * time.Second}),
			grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
			grpc.ChainUnaryInterceptor(refuseUnary),
			grpc.ChainStreamInterceptor(c.recoverStream),
		),
	}
	if advertise != "" {
		options = append(options, remote.WithAdvertisedHost(advertise))
	}
	l.remote = remote.NewRemote(l.proto, remote.Configure(host, port, options...))
	if _, free := l.proto.ProcessRegistry.Add(&gateway{c}, gatewayName); !free {
		return nil, fmt.Errorf("the process %s exists", gatewayName)
	}
	// The library panics when it cannot listen.
	defer func() {
		if r := recover(); r != nil {
			link, err = nil, fmt.Errorf("listen for other nodes on %s: %v", c.o.Address, r)
		}
	}()
	l.remote.Start()
	l.address = l.proto.Address()
	subscription := l.proto.EventStream.Subscribe(func(event any) {
		if e, ok := event.(*remote.EndpointTerminatedEvent); ok {
			c.links.broken(e.Address)
		}
	})
	l.events = func() { l.proto.EventStream.Unsubscribe(subscription) }
	return l, nil
}

// send queues bytes for the gateway of a peer. It does not block.
func (l *remoteLink) send(to *actor.PID, bytes []byte) {
	l.proto.Root.Send(to, wrapperspb.Bytes(bytes))
}

func (l *remoteLink) peer(address string) *actor.PID { return actor.NewPID(address, gatewayName) }

// cut ends the link to an address and throws away what waits for it.
func (l *remoteLink) cut(address string) {
	l.proto.EventStream.Publish(&remote.EndpointTerminatedEvent{Address: address})
}

func (l *remoteLink) stop() {
	l.events()
	// The graceful way waits ten seconds for peers that have no reason to hurry.
	l.remote.Shutdown(false)
	l.proto.Shutdown()
}

// addresses splits where to listen and how others get there.
func addresses(listen, advertise string) (host string, port int, advertised string, err error) {
	host, text, err := net.SplitHostPort(listen)
	if err != nil {
		return "", 0, "", fmt.Errorf("the address for other nodes: %w", err)
	}
	if port, err = strconv.Atoi(text); err != nil {
		return "", 0, "", fmt.Errorf("the address for other nodes: %w", err)
	}
	if ip := net.ParseIP(host); advertise == "" && (host == "" || ip != nil && ip.IsUnspecified()) {
		return "", 0, "", fmt.Errorf("the node listens for others on %s and needs an address that they can reach", listen)
	}
	if ip := net.ParseIP(host); ip != nil && ip.To4() == nil {
		host = "[" + host + "]"
	}
	if advertise == "" {
		return host, port, "", nil
	}
	name, text, err := net.SplitHostPort(advertise)
	if err != nil {
		name, text = advertise, "0"
	}
	if text != "0" {
		return host, port, net.JoinHostPort(name, text), nil
	}
	if port == 0 {
		// The library wants to know the advertised port before it listens.
		l, err := net.Listen("tcp", listen)
		if err != nil {
			return "", 0, "", fmt.Errorf("listen for other nodes: %w", err)
		}
		port = l.Addr().(*net.TCPAddr).Port
		if err := l.Close(); err != nil {
			return "", 0, "", err
		}
	}
	return host, port, net.JoinHostPort(name, strconv.Itoa(port)), nil
}

// refuseUnary refuses the library's diagnostics: they panic.
func refuseUnary(context.Context, any, *grpc.UnaryServerInfo, grpc.UnaryHandler) (any, error) {
	return nil, status.Error(codes.PermissionDenied, "not served")
}

// recoverStream keeps a panic in the reading of one link from ending the process.
func (c *Cluster) recoverStream(srv any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			c.logger.Error("a link panicked", "panic", fmt.Sprint(r))
			err = status.Error(codes.Internal, "the link broke")
		}
	}()
	return handler(srv, stream)
}

// demoted shows the library's warnings and errors at the level of debugging. Most
// are about peers that are gone, which is told as what it means elsewhere.
type demoted struct{ slog.Handler }

// Enabled implements slog.Handler.
func (h demoted) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.Handler.Enabled(ctx, slog.LevelDebug)
}

// Handle implements slog.Handler.
func (h demoted) Handle(ctx context.Context, r slog.Record) error {
	r.Level = slog.LevelDebug
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h demoted) WithAttrs(a []slog.Attr) slog.Handler { return demoted{h.Handler.WithAttrs(a)} }

// WithGroup implements slog.Handler.
func (h demoted) WithGroup(n string) slog.Handler { return demoted{h.Handler.WithGroup(n)} }
