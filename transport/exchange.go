package transport

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/actors/credential"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/lifetime"
	"fluxbase/transport/limit"
	"fluxbase/transport/route"
)

// exchange is one request on its way through the server.
type exchange struct {
	server *Server
	fast   *fasthttp.RequestCtx
	door   route.Door
	entry  *entry
	life   *lifetime.Lifetime
	start  time.Time
	err    error
}

// quiet tells whether the request is a probe, which would fill the log.
func (x *exchange) quiet() bool {
	return x.entry != nil && (x.entry.route.Path == "/health" || x.entry.route.Path == "/ready")
}

// handle answers a request.
func (s *Server) handle(fast *fasthttp.RequestCtx) {
	x := s.exchanges.Get().(*exchange)
	x.fast, x.start = fast, time.Now()
	in, out := &fast.Request.Header, &fast.Response.Header

	id := requestID(in.Peek("X-Request-ID"))
	out.Set("X-Request-ID", id)
	s.o.Metrics.Begin()
	address := peerAddress(fast.RemoteAddr())
	https := fast.IsTLS()
	if len(s.proxies) > 0 && s.proxies.Contain(address) {
		https = https || strings.EqualFold(string(in.Peek("X-Forwarded-Proto")), "https")
		address = clientAddress(address, joined(in.PeekAll("X-Forwarded-For")), string(in.Peek("X-Real-IP")), s.proxies)
	}
	setSecurityHeaders(out, https, s.o.Debug)
	x.door.Open(route.Opening{Fast: fast, RequestID: id, Address: address, Secure: https, MaxDepth: s.o.MaxJSONDepth})

	if !s.cors.apply(fast) {
		x.err = x.guard(x.serve)
	}
	x.finish()
}

// joined is a header that may be there several times as one list.
func joined(values [][]byte) string {
	switch len(values) {
	case 0:
		return ""
	case 1:
		return string(values[0])
	}
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = string(v)
	}
	return strings.Join(texts, ",")
}

// guard turns a panic into an error.
func (x *exchange) guard(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fault.From(fmt.Errorf("panic: %v\n%s", p, debug.Stack()))
		}
	}()
	return f()
}

// serve does all that comes after CORS.
func (x *exchange) serve() error {
	s := x.server
	r := x.door.Request()
	if len(s.allowed) > 0 && !s.allowed.Contain(r.Address()) {
		return fault.New(fault.AccessDenied, "Access denied - IP not allowlisted")
	}
	if x.entry = s.table.find(x.fast); x.entry == nil {
		return x.unrouted()
	}
	called := &x.entry.route
	x.life = s.watch.Begin(x.fast.Conn(), x.timeout())
	x.door.SetRoute(called, x.life)
	if err := x.identify(called, r); err != nil {
		return err
	}
	if err := x.count(called, r, false); err != nil {
		return err
	}
	if err := x.takeBody(called); err != nil {
		return err
	}
	if err := x.count(called, r, true); err != nil {
		return err
	}
	return called.Handle(r)
}

func (x *exchange) timeout() time.Duration {
	if d := x.entry.route.Timeout; d != 0 {
		return d
	}
	return x.server.o.RequestTimeout
}

// unrouted answers what no route takes.
func (x *exchange) unrouted() error {
	methods := x.server.table.allowed(x.fast)
	if methods == nil {
		return fault.New(fault.NotFound, "Not Found").WithField("path", x.door.Request().Path())
	}
	x.fast.Response.Header.Set("Allow", strings.Join(methods, ", "))
	if x.fast.IsOptions() {
		x.fast.SetStatusCode(fasthttp.StatusNoContent)
		return nil
	}
	return fault.New(fault.MethodNotAllowed, "Method Not Allowed").WithField("path", x.door.Request().Path())
}

// identify finds out who calls and where the request goes.
func (x *exchange) identify(called *route.Route, r *route.Request) error {
	s := x.server
	if called.Access.ReadsCredentials() {
		shown := credential.Extract(r)
		presented := !shown.None()
		if presented {
			c, err := s.o.Verifier.Verify(x.life, shown)
			if err != nil {
				return err
			}
			x.door.SetCaller(c)
		}
		if err := called.Access.Admit(r.Caller(), presented); err != nil {
			return err
		}
		if err := route.CheckScope(r.Caller(), called.Scope); err != nil {
			return err
		}
	}
	if called.Instance {
		return nil
	}
	t, c, err := s.o.Tenants.Resolve(x.life, r.Caller(), r.Header("X-FB-Tenant"))
	if err != nil {
		return err
	}
	x.door.SetTenant(t)
	x.door.SetCaller(c)
	return nil
}

// count takes the request from the buckets that it counts in: those that look
// into the body once it is read, the others before.
func (x *exchange) count(called *route.Route, r *route.Request, bodyRead bool) error {
	s := x.server
	if s.o.Limits == nil {
		return nil
	}
	if !bodyRead && x.entry.api && !r.Caller().HasRole(caller.Service, caller.TenantService) {
		if rule, ok := s.o.Limits.Rule(limit.Global); ok {
			if err := x.take(rule, r); err != nil {
				return err
			}
		}
	}
	if called.Bucket == "" {
		return nil
	}
	rule, ok := s.o.Limits.Rule(called.Bucket)
	if !ok || (rule.Key == limit.PerToken) != bodyRead {
		return nil
	}
	return x.take(rule, r)
}

func (x *exchange) take(rule limit.Rule, r *route.Request) error {
	out, err := x.server.o.Limits.Take(x.life, rule, r)
	h := &x.fast.Response.Header
	h.Set("X-RateLimit-Limit", strconv.Itoa(out.Limit))
	h.Set("X-RateLimit-Remaining", strconv.Itoa(out.Remaining))
	h.Set("X-RateLimit-Reset", strconv.Itoa(int((out.Reset+time.Second-1)/time.Second)))
	if err != nil {
		x.server.o.Metrics.Refused(rule.Bucket)
	}
	return err
}

func (x *exchange) takeBody(called *route.Route) error {
	area := called.BodyLimit
	if area == "" {
		area = route.LimitDefault
	}
	if called.Stream {
		body, err := streamBody(x.fast, area, x.entry.limit)
		x.door.SetBodyStream(body)
		return err
	}
	body, err := readBody(x.fast, x.life, area, x.entry.limit)
	x.door.SetBody(body)
	return err
}

// finish writes an error if there is one, compresses, measures and logs.
func (x *exchange) finish() {
	s, fast := x.server, x.fast
	status := fast.Response.StatusCode()
	if x.err != nil {
		status = x.refuse()
		if fault.CodeOf(x.err) == fault.PayloadTooLarge {
			fast.SetConnectionClose()
			linger(fast.Conn())
		}
	}
	if s.Draining() && !fast.Hijacked() {
		fast.SetConnectionClose()
	}
	size := 0
	write := x.door.Streamed()
	streams := x.err == nil && write != nil
	if streams && fast.IsHead() { // nobody reads what would be written
		streams, fast.Response.SkipBody = false, true
	}
	if !streams && !fast.Hijacked() {
		size = len(fast.Response.Body())
		if !s.o.DisableCompression {
			compress(fast)
		}
	}
	took := time.Since(x.start)
	series := s.unrouted
	if x.entry != nil {
		series = x.entry.metrics
	}
	series.Done(status, max(fast.Request.Header.ContentLength(), 0), size, took)
	s.log(x, status, took)
	if streams {
		x.stream(write)
		return
	}
	x.release()
}

// refuse writes the error. Its details are the handler's: when encoding them
// panics, the client gets that failure instead.
func (x *exchange) refuse() (status int) {
	x.err = outcome(x.err, x.life)
	id, write := x.door.Request().RequestID(), route.WriteFailure
	if x.entry == nil {
		if own := x.server.table.failure(string(x.fast.Request.URI().PathOriginal())); own != nil {
			write = own
		}
	} else if x.entry.route.Failure != nil {
		write = x.entry.route.Failure
	}
	if err := x.guard(func() error { status = write(&x.fast.Response, id, x.err); return nil }); err != nil {
		x.err = err
		status = route.WriteFailure(&x.fast.Response, id, err)
	}
	return status
}

// outcome names an error that only says that the context is over.
func outcome(err error, life *lifetime.Lifetime) error {
	var f *fault.Fault
	if errors.As(err, &f) || life == nil {
		return err
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return fault.New(fault.Timeout, "The request took too long").WithCause(err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "The client closed the request").WithCause(err)
	default:
		return err
	}
}

// stream lets write write the answer's body; the exchange lives until it returns.
func (x *exchange) stream(write func(context.Context, *bufio.Writer) error) {
	if d := x.entry.route.Timeout; d != 0 {
		// The server's own deadline would cut an answer that takes longer.
		var until time.Time
		if d > 0 {
			until = x.start.Add(d)
		}
		if err := x.fast.SetWriteDeadline(until); err != nil {
			x.server.o.Logger.Debug("stream on a closed connection", "error", err)
		}
	}
	x.fast.SetBodyStreamWriter(func(w *bufio.Writer) {
		defer x.release()
		id := x.door.Request().RequestID()
		if err := x.guard(func() error { return write(x.life, w) }); err != nil && x.life.Err() == nil {
			x.server.o.Logger.Warn("stream ended early", "request_id", id, "error", err)
		}
	})
}

func (x *exchange) release() {
	if x.life != nil {
		x.life.End()
	}
	s := x.server
	x.door.Close()
	x.fast, x.entry, x.life, x.err = nil, nil, nil, nil
	s.exchanges.Put(x)
}
