package transport

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/fault"
	"fluxbase/transport/lifetime"
	"fluxbase/transport/metrics"
	"fluxbase/transport/route"
)

// defaultBodyLimit holds where configuration says nothing.
const defaultBodyLimit = 1 << 20

// Server answers requests. Make one with New, run it with Serve, end it with
// Drain or Close.
type Server struct {
	o         Options
	table     *table
	cors      *cors
	allowed   route.Ranges
	proxies   route.Ranges
	watch     *lifetime.Watch
	unrouted  *metrics.Route
	http      *fasthttp.Server
	exchanges sync.Pool

	draining atomic.Bool
	drain    sync.Once
	closed   sync.Once
	mu       sync.Mutex
	sockets  []net.Listener
	ended    bool
}

// New makes a server. The error names an option that makes no sense; routes that
// collide panic.
func New(o Options) (*Server, error) {
	o.fillDefaults()
	s := &Server{o: o}
	var err error
	if s.cors, err = newCORS(o.CORS); err != nil {
		return nil, err
	}
	if s.allowed, err = route.ParseRanges("allowed_ip_ranges", o.AllowedIPRanges); err != nil {
		return nil, err
	}
	if s.proxies, err = route.ParseRanges("trusted_proxies", o.TrustedProxies); err != nil {
		return nil, err
	}
	s.table = newTable(o.Routes, s.bodyLimit, o.Metrics)
	s.unrouted = o.Metrics.Route("any", "unrouted")
	s.exchanges.New = func() any { return &exchange{server: s} }
	s.http = &fasthttp.Server{
		Handler:      s.handle,
		ErrorHandler: s.malformed,
		HeaderReceived: func(h *fasthttp.RequestHeader) fasthttp.RequestConfig {
			switch n := h.ContentLength(); {
			case n == 0 || n == -2: // no body
				return fasthttp.RequestConfig{}
			case n > 0 && n <= prefetched: // read before the route is known
				return fasthttp.RequestConfig{ReadTimeout: o.RequestTimeout}
			default:
				return fasthttp.RequestConfig{ReadTimeout: o.ReadTimeout}
			}
		},
		Concurrency:                  o.MaxConnections,
		ReadBufferSize:               o.MaxHeader,
		ReadTimeout:                  o.ReadHeaderTimeout,
		WriteTimeout:                 o.WriteTimeout,
		IdleTimeout:                  o.IdleTimeout,
		MaxRequestBodySize:           int(o.MaxBody),
		StreamRequestBody:            true,
		DisablePreParseMultipartForm: true,
		NoDefaultServerHeader:        true,
		NoDefaultContentType:         true,
		CloseOnShutdown:              true,
		// A hijacked connection belongs to whoever took it; the parsed request is
		// released at once then.
		KeepHijackedConns:     true,
		SecureErrorLogMessage: true,
		LazyRequestTime:       true,
		TCPKeepalive:          true,
		TCPKeepalivePeriod:    30 * time.Second,
		Logger:                errorLog{o.Logger},
	}
	s.watch = lifetime.NewWatch()
	return s, nil
}

func (s *Server) bodyLimit(area route.Limit) int64 {
	n, ok := s.o.BodyLimits[area]
	if !ok {
		if n, ok = s.o.BodyLimits[route.LimitDefault]; !ok {
			n = defaultBodyLimit
		}
	}
	return min(n, s.o.MaxBody)
}

// Routes is the table that the server serves, in the order it was given.
func (s *Server) Routes() []route.Route {
	routes := make([]route.Route, len(s.table.entries))
	for i, e := range s.table.entries {
		routes[i] = e.route
	}
	return routes
}

// Serve answers what comes in on l until the server is drained or closed, which
// ends it without an error. It may run on several listeners.
func (s *Server) Serve(l net.Listener) error {
	s.mu.Lock()
	if s.ended {
		s.mu.Unlock()
		return errors.Join(fmt.Errorf("server is closed"), l.Close())
	}
	s.sockets = append(s.sockets, l)
	s.mu.Unlock()
	if err := s.http.Serve(lingering{l}); err != nil {
		return fmt.Errorf("http server: %w", err)
	}
	return nil
}

// Draining tells whether Drain has begun: the server is not ready any more.
func (s *Server) Draining() bool { return s.draining.Load() }

// Drain ends the server gently: it stops being ready, tells sockets to go, closes
// connections after their next answer, waits the grace, takes no new connections
// and waits for requests under way until ctx ends. Then it closes.
func (s *Server) Drain(ctx context.Context) error {
	s.drain.Do(func() {
		s.draining.Store(true)
		for _, tell := range s.o.OnDrain {
			tell()
		}
	})
	if s.o.DrainGrace > 0 {
		select {
		case <-time.After(s.o.DrainGrace):
		case <-ctx.Done():
		}
	}
	err := s.http.ShutdownWithContext(ctx)
	s.Close()
	if err != nil && !errors.Is(err, net.ErrClosed) {
		return fmt.Errorf("drain: %w", err)
	}
	return nil
}

// Close ends the server at once: listeners are closed and every request's context
// ends.
func (s *Server) Close() {
	s.closed.Do(func() {
		s.draining.Store(true)
		s.mu.Lock()
		s.ended = true
		sockets := s.sockets
		s.mu.Unlock()
		for _, l := range sockets {
			_ = l.Close() // closed already after a drain
		}
		s.watch.Close()
	})
}

// malformed answers what could not be read as a request.
func (s *Server) malformed(ctx *fasthttp.RequestCtx, err error) {
	f := fault.New(fault.InvalidFormat, "The request could not be understood").WithCause(err)
	var small *fasthttp.ErrSmallBuffer
	var slow net.Error
	switch {
	case errors.As(err, &small):
		f = fault.Newf(fault.HeadersTooLarge, "The request header is larger than %d bytes", s.o.MaxHeader)
	case errors.Is(err, fasthttp.ErrBodyTooLarge):
		f = fault.From(tooLarge(route.LimitDefault, s.o.MaxBody))
	case errors.As(err, &slow) && slow.Timeout():
		f = fault.New(fault.RequestTimeout, "The request took too long to arrive")
	}
	setSecurityHeaders(&ctx.Response.Header, false, s.o.Debug)
	id := requestID(nil)
	ctx.Response.Header.Set("X-Request-ID", id)
	status := route.WriteFailure(&ctx.Response, id, f)
	s.o.Logger.Debug("malformed request", "request_id", id, "status", status, "error", err)
}
