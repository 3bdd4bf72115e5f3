package transport

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"
	"go.uber.org/goleak"

	"fluxbase/actors/credential"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/limit"
	"fluxbase/transport/route"
)

// The library's own goroutines: one cleans idle workers and sees the end of its
// server up to ten seconds late, the others serve the whole process.
func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp/stackless.funcWorker"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
	)
}

// people is a Verifier that takes a role for a credential.
type people struct{}

func (people) Verify(_ context.Context, p credential.Presented) (caller.Caller, error) {
	shown := p.Bearer
	if shown == "" {
		shown = p.APIKey
	}
	c := caller.Caller{Role: caller.Role(shown), Source: caller.SourceToken, Claims: json.RawMessage(`{}`)}
	switch shown {
	case "anon":
		c.Source = caller.SourceServiceKey
	case "authenticated", "instance_admin":
		c.UserID = "5e0b8a3e-1111-4000-8000-000000000001"
	case "service_role", "tenant_service":
	case "reader":
		c.Role, c.Source, c.KeyID, c.Scopes = caller.Authenticated, caller.SourceClientKey, "k1", []string{"tables:read"}
	default:
		return caller.Caller{}, fault.New(fault.InvalidToken, "Invalid token")
	}
	return c, nil
}

// oneTenant is a directory of one.
type oneTenant struct{}

func (oneTenant) Resolve(_ context.Context, c caller.Caller, header string) (*route.Tenant, caller.Caller, error) {
	if header != "" && header != "default" {
		return nil, c, fault.New(fault.TenantNotFound, "tenant not found")
	}
	c.Tenant, c.DefaultTenant = "default", true
	return &route.Tenant{ID: "default"}, c, nil
}

type door struct {
	*testing.T
	server *Server
	url    string
	logs   *bytes.Buffer
	client *http.Client
}

// open serves routes on a real socket until the test ends.
func open(t *testing.T, change func(*Options), routes ...route.Route) *door {
	t.Helper()
	d := &door{T: t, logs: new(bytes.Buffer)}
	o := Options{
		Routes: routes, Verifier: people{}, Tenants: oneTenant{},
		Logger: slog.New(slog.NewJSONHandler(d.logs, &slog.HandlerOptions{Level: slog.LevelWarn})),
		CORS:   CORS{Origins: []string{"http://localhost:5173"}, Credentials: true, MaxAge: 5 * time.Minute},
	}
	if change != nil {
		change(&o)
	}
	var err error
	if d.server, err = New(o); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d.url = "http://" + l.Addr().String()
	ended := make(chan error, 1)
	go func() { ended <- d.server.Serve(l) }()
	transport := &http.Transport{}
	d.client = &http.Client{Transport: transport, Timeout: 10 * time.Second}
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := d.server.Drain(ctx); err != nil {
			t.Errorf("drain: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return d
}

type answer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

// call makes a request; headers are "Name: value".
func (d *door) call(method, path string, body io.Reader, headers ...string) answer {
	d.Helper()
	req, err := http.NewRequest(method, d.url+path, body)
	if err != nil {
		d.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Add(name, value)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		d.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		d.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // not every answer is an object
	return a
}

func (d *door) wantStatus(a answer, status int, code fault.Code) {
	d.Helper()
	if a.status != status {
		d.Fatalf("status %d, want %d: %s", a.status, status, a.text)
	}
	if code == "" {
		return
	}
	if a.body["code"] != string(code) {
		d.Fatalf("code %v, want %s: %s", a.body["code"], code, a.text)
	}
	if _, ok := a.body["error"].(string); !ok {
		d.Fatalf("error is no text: %s", a.text)
	}
	if id := a.header.Get("X-Request-ID"); id == "" || a.body["request_id"] != id {
		d.Fatalf("request id %q in the header, %v in the body", id, a.body["request_id"])
	}
}

func say(text string) func(*route.Request) error {
	return func(r *route.Request) error { return r.Raw(200, "text/plain", []byte(text)) }
}

func whoami(r *route.Request) error {
	return r.JSON(200, map[string]any{"role": r.Caller().Role, "user": r.Caller().UserID, "tenant": r.Caller().Tenant})
}

func TestRequestID(t *testing.T) {
	d := open(t, nil, route.Route{Method: "GET", Path: "/x", Access: route.Public, Handle: say("hi")})
	for shown, kept := range map[string]bool{
		"trace 42!":              true,
		strings.Repeat("a", 128): true,
		strings.Repeat("a", 129): false,
		"\xc3\xa9":               false,
		"":                       false,
	} {
		got := d.call("GET", "/x", nil, "X-Request-ID: "+shown).header.Get("X-Request-ID")
		if (got == shown) != kept || got == "" {
			t.Errorf("%q was answered with %q", shown, got)
		}
	}
	if a, b := requestID(nil), requestID(nil); a == b || len(a) != 36 || a[14] != '4' {
		t.Errorf("made %s and %s", a, b)
	}
}

func TestUnrouted(t *testing.T) {
	d := open(t, nil,
		route.Route{Method: "GET", Path: "/api/v1/things/{id}", Access: route.Public, Handle: func(r *route.Request) error {
			return r.Raw(200, "text/plain", []byte(r.Param("id")))
		}},
		route.Route{Method: "DELETE", Path: "/api/v1/things/{id}", Access: route.Public, Handle: say("gone")},
	)
	a := d.call("GET", "/nowhere?token=1", nil)
	d.wantStatus(a, 404, fault.NotFound)
	if a.body["error"] != "Not Found" || a.body["path"] != "/nowhere" {
		t.Errorf("body: %s", a.text)
	}
	a = d.call("PUT", "/api/v1/things/7", nil)
	d.wantStatus(a, 405, fault.MethodNotAllowed)
	if got := a.header.Get("Allow"); got != "DELETE, GET, HEAD, OPTIONS" {
		t.Errorf("Allow: %s", got)
	}
	a = d.call("HEAD", "/api/v1/things/7", nil)
	if a.status != 200 || a.text != "" || a.header.Get("Content-Length") != "1" {
		t.Errorf("HEAD: %d %q %v", a.status, a.text, a.header)
	}
	if a = d.call("OPTIONS", "/api/v1/things/7", nil); a.status != 204 || a.header.Get("Allow") == "" {
		t.Errorf("OPTIONS: %d", a.status)
	}
	if a = d.call("GET", "/api/v1/things/a%2Fb%20c", nil); a.text != "a/b c" {
		t.Errorf("decoded parameter: %q", a.text)
	}
	if a = d.call("GET", "/api/v1/things/7/", nil); a.text != "7" {
		t.Errorf("slash at the end: %d %q", a.status, a.text)
	}
}

func TestAccess(t *testing.T) {
	path := func(a route.Access, p, scope string) route.Route {
		return route.Route{Method: "GET", Path: p, Access: a, Scope: scope, Handle: whoami}
	}
	d := open(t, nil,
		path(route.Public, "/public", ""), path(route.Optional, "/optional", ""),
		path(route.Authenticated, "/authenticated", ""), path(route.User, "/user", ""),
		path(route.Roles(caller.InstanceAdmin), "/instance", ""),
		path(route.Roles(caller.InstanceAdmin, caller.TenantAdmin), "/tenant", ""),
		path(route.Authenticated, "/scoped", "tables:write"),
		path(route.Authenticated, "/read", "tables:read"),
	)
	for _, c := range []struct {
		path, credential string
		status           int
		code             fault.Code
	}{
		{"/public", "", 200, ""}, {"/public", "rubbish", 200, ""},
		{"/optional", "", 200, ""}, {"/optional", "rubbish", 401, fault.InvalidToken}, {"/optional", "anon", 200, ""},
		{"/authenticated", "", 401, fault.MissingAuthentication}, {"/authenticated", "anon", 200, ""},
		{"/user", "anon", 401, fault.AuthenticationRequired}, {"/user", "authenticated", 200, ""}, {"/user", "reader", 401, fault.AuthenticationRequired},
		{"/instance", "authenticated", 403, fault.InsufficientPermissions}, {"/instance", "instance_admin", 200, ""},
		{"/instance", "service_role", 200, ""}, {"/instance", "tenant_service", 403, fault.InsufficientPermissions},
		{"/tenant", "tenant_service", 200, ""}, {"/tenant", "", 401, fault.MissingAuthentication},
		{"/scoped", "reader", 403, fault.InsufficientPermissions}, {"/read", "reader", 200, ""}, {"/scoped", "authenticated", 200, ""},
	} {
		var headers []string
		if c.credential != "" {
			headers = append(headers, "Authorization: Bearer "+c.credential)
		}
		a := d.call("GET", c.path, nil, headers...)
		if a.status != c.status {
			t.Errorf("%s as %q: %d, want %d: %s", c.path, c.credential, a.status, c.status, a.text)
			continue
		}
		d.wantStatus(a, c.status, c.code)
		if c.path == "/scoped" && c.status == 403 && a.body["required_scope"] != "tables:write" {
			t.Errorf("no required_scope: %s", a.text)
		}
		if c.path == "/public" && a.body["role"] != "anon" {
			t.Errorf("a public route saw a caller: %s", a.text)
		}
	}
	d.wantStatus(d.call("GET", "/public", nil, "X-FB-Tenant: other"), 404, fault.TenantNotFound)
}

func TestCORS(t *testing.T) {
	d := open(t, nil, route.Route{Method: "POST", Path: "/x", Access: route.User, Handle: say("hi")})
	a := d.call("OPTIONS", "/x", nil, "Origin: http://localhost:5173", "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: x-fb-tenant")
	if a.status != 204 || a.header.Get("Access-Control-Allow-Origin") != "http://localhost:5173" || a.header.Get("Access-Control-Max-Age") != "300" ||
		a.header.Get("Access-Control-Allow-Credentials") != "true" {
		t.Errorf("preflight: %d %v", a.status, a.header)
	}
	for _, name := range []string{"X-FB-Tenant", "X-Client-Key", "X-Service-Key", "X-Fluxbase-Branch", "Idempotency-Key", "Range", "apikey", "Prefer"} {
		if !strings.Contains(a.header.Get("Access-Control-Allow-Headers"), name) {
			t.Errorf("%s is not allowed", name)
		}
	}
	// A refusal can be read by the page that gets it.
	a = d.call("POST", "/x", nil, "Origin: http://localhost:5173")
	d.wantStatus(a, 401, fault.MissingAuthentication)
	if a.header.Get("Access-Control-Allow-Origin") == "" || !strings.Contains(a.header.Get("Access-Control-Expose-Headers"), "Retry-After") {
		t.Errorf("refusal without CORS: %v", a.header)
	}
	a = d.call("OPTIONS", "/x", nil, "Origin: http://evil.example", "Access-Control-Request-Method: POST")
	if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Vary") == "" {
		t.Errorf("foreign origin: %v", a.header)
	}
	if _, err := New(Options{CORS: CORS{Origins: []string{"*"}, Credentials: true}, Logger: slog.Default()}); err == nil {
		t.Error(`"*" with credentials was taken`)
	}
}

func TestSecurityHeaders(t *testing.T) {
	d := open(t, func(o *Options) { o.TrustedProxies = []string{"127.0.0.0/8"} },
		route.Route{Method: "GET", Path: "/x", Access: route.Public, Handle: say("hi")})
	h := d.call("GET", "/x", nil).header
	for name, want := range map[string]string{"X-Frame-Options": "DENY", "X-Content-Type-Options": "nosniff", "Server": "", "Strict-Transport-Security": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if h := d.call("GET", "/x", nil, "X-Forwarded-Proto: https").header; h.Get("Strict-Transport-Security") == "" {
		t.Error("no HSTS behind a TLS proxy")
	}
}

// explosive are details that cannot even be looked at.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("boom") }

// brewing is an error of a dialect with codes of its own.
type brewing struct{}

func (brewing) Error() string     { return "short and stout" }
func (brewing) ErrorCode() string { return "TEA418" }

func TestFailures(t *testing.T) {
	d := open(t, func(o *Options) { o.RequestTimeout = 100 * time.Millisecond },
		route.Route{Method: "GET", Path: "/panic", Access: route.Public, Handle: func(*route.Request) error { panic("sky fell") }},
		route.Route{Method: "GET", Path: "/secret", Access: route.Public, Handle: func(*route.Request) error { return errors.New("password is hunter2") }},
		route.Route{Method: "GET", Path: "/details", Access: route.Public, Handle: func(*route.Request) error {
			return fault.New(fault.Conflict, "Conflict").WithDetails(explosive{})
		}},
		route.Route{Method: "GET", Path: "/busy", Access: route.Public, Handle: func(*route.Request) error {
			return fault.New(fault.Overloaded, "Too busy").WithRetryAfter(1500 * time.Millisecond)
		}},
		route.Route{Method: "GET", Path: "/slow", Access: route.Public, Handle: func(r *route.Request) error {
			<-r.Context().Done()
			return r.Context().Err()
		}},
		route.Route{Method: "GET", Path: "/tea", Access: route.Public, Handle: func(*route.Request) error { return brewing{} },
			Failure: func(resp *fasthttp.Response, _ string, _ error) int {
				resp.SetStatusCode(fasthttp.StatusTeapot)
				return fasthttp.StatusTeapot
			}},
	)
	if a := d.call("GET", "/tea", nil); a.status != 418 {
		t.Errorf("tea: status %d", a.status)
	}
	for _, path := range []string{"/panic", "/secret", "/details"} {
		a := d.call("GET", path, nil)
		d.wantStatus(a, 500, fault.InternalError)
		if strings.Contains(a.text, "hunter2") || strings.Contains(a.text, "sky") {
			t.Errorf("the client was told: %s", a.text)
		}
	}
	if log := d.logs.String(); !strings.Contains(log, "sky fell") || !strings.Contains(log, "hunter2") {
		t.Errorf("the log was not told: %s", log)
	} else if !strings.Contains(log, `"code":"TEA418"`) {
		t.Errorf("the log has not the dialect's code: %s", log)
	}
	a := d.call("GET", "/busy", nil)
	d.wantStatus(a, 503, fault.Overloaded)
	if a.header.Get("Retry-After") != "2" {
		t.Errorf("Retry-After: %q", a.header.Get("Retry-After"))
	}
	d.wantStatus(d.call("GET", "/slow", nil), 504, fault.Timeout)
}

func TestRateLimit(t *testing.T) {
	d := open(t, func(o *Options) { o.Limits = limit.New(limit.Defaults(), nil, o.Logger) },
		route.Route{Method: "POST", Path: "/api/v1/admin/setup", Access: route.Public, Bucket: "admin_setup", Handle: say("no")},
		route.Route{Method: "POST", Path: "/api/v1/auth/refresh", Access: route.Public, Bucket: "refresh", Handle: say("ok")},
	)
	for i := range 5 {
		a := d.call("POST", "/api/v1/admin/setup", nil)
		d.wantStatus(a, 200, "")
		if got := a.header.Get("X-RateLimit-Remaining"); got != fmt.Sprint(4-i) {
			t.Errorf("attempt %d: %s remain", i+1, got)
		}
	}
	a := d.call("POST", "/api/v1/admin/setup", nil)
	d.wantStatus(a, 429, fault.RateLimitExceeded)
	if a.header.Get("Retry-After") != "900" || a.body["retry_after"] != 900.0 || a.header.Get("X-RateLimit-Limit") != "5" {
		t.Errorf("refusal: %v %s", a.header, a.text)
	}
	// Refreshing is counted per token: one user's ten do not use up another's.
	refresh := func(token string) answer {
		return d.call("POST", "/api/v1/auth/refresh", strings.NewReader(`{"refresh_token":"`+token+`"}`))
	}
	for range 10 {
		d.wantStatus(refresh("a"), 200, "")
	}
	d.wantStatus(refresh("a"), 429, fault.RateLimitExceeded)
	d.wantStatus(refresh("b"), 200, "")
}

func TestAllowedRanges(t *testing.T) {
	d := open(t, func(o *Options) {
		o.AllowedIPRanges = []string{"10.0.0.0/8"}
		o.TrustedProxies = []string{"127.0.0.1"}
	}, route.Route{Method: "GET", Path: "/x", Access: route.Public, Handle: say("hi")})
	d.wantStatus(d.call("GET", "/x", nil), 403, fault.AccessDenied)
	d.wantStatus(d.call("GET", "/x", nil, "X-Forwarded-For: 10.1.2.3"), 200, "")
	d.wantStatus(d.call("GET", "/x", nil, "X-Forwarded-For: 10.1.2.3, 8.8.8.8"), 403, fault.AccessDenied)
}

func TestCompression(t *testing.T) {
	d := open(t, nil, route.Route{Method: "GET", Path: "/x", Access: route.Public, Handle: func(r *route.Request) error {
		return r.RawJSON(200, []byte(`"`+strings.Repeat("a", 5000)+`"`))
	}})
	a := d.call("GET", "/x", nil, "Accept-Encoding: br, gzip;q=0.5")
	if a.header.Get("Content-Encoding") != "gzip" || len(a.text) > 500 {
		t.Errorf("%v, %d bytes", a.header, len(a.text))
	}
	a = d.call("GET", "/x", nil, "Accept-Encoding: gzip;q=0, *")
	if a.header.Get("Content-Encoding") != "" || len(a.text) != 5002 {
		t.Errorf("%v, %d bytes", a.header, len(a.text))
	}
}

func TestHangUpEndsContext(t *testing.T) {
	began, ended := make(chan struct{}, 1), make(chan error, 1)
	d := open(t, nil, route.Route{Method: "POST", Path: "/x", Access: route.Public, Handle: func(r *route.Request) error {
		began <- struct{}{}
		ctx, cancel := context.WithCancel(r.Context())
		defer cancel()
		<-ctx.Done()
		ended <- r.Context().Err()
		return r.Context().Err()
	}})
	for _, behind := range []string{"", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprint(conn, "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"+behind)
		<-began
		select {
		case err := <-ended:
			t.Fatalf("ended by itself: %v", err)
		case <-time.After(120 * time.Millisecond):
		}
		conn.Close()
		select {
		case err := <-ended:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("ended with %v", err)
			}
		case <-time.After(3 * time.Second):
			t.Fatal("nobody noticed that the client has gone")
		}
		if behind != "" {
			<-began // the request that was sent behind the first
			<-ended
		}
	}
}

func TestStream(t *testing.T) {
	gone := make(chan struct{})
	d := open(t, nil,
		route.Route{Method: "GET", Path: "/three", Access: route.Public, Handle: func(r *route.Request) error {
			return r.Stream(200, "text/event-stream", func(_ context.Context, w *bufio.Writer) error {
				for i := range 3 {
					fmt.Fprintf(w, "%d,", i)
					if err := w.Flush(); err != nil {
						return err
					}
				}
				return nil
			})
		}},
		route.Route{Method: "GET", Path: "/endless", Access: route.Public, Timeout: route.NoTimeout, Handle: func(r *route.Request) error {
			return r.Stream(200, "text/event-stream", func(ctx context.Context, w *bufio.Writer) error {
				_, _ = w.WriteString("hello")
				if err := w.Flush(); err != nil {
					return err
				}
				<-ctx.Done()
				close(gone)
				return ctx.Err()
			})
		}},
	)
	if a := d.call("GET", "/three", nil); a.text != "0,1,2," {
		t.Errorf("got %q", a.text)
	}
	resp, err := d.client.Get(d.url + "/endless")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(resp.Body, make([]byte, 5)); err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	select {
	case <-gone:
	case <-time.After(3 * time.Second):
		t.Fatal("the stream outlived its client")
	}
}

func TestHijack(t *testing.T) {
	d := open(t, nil, route.Route{Method: "GET", Path: "/socket", Access: route.Public, Handle: func(r *route.Request) error {
		if !r.Upgrading("echo") {
			return fault.New(fault.UpgradeRequired, "Upgrade required")
		}
		r.SetHeader("Upgrade", "echo")
		r.SetHeader("Connection", "Upgrade")
		r.Fast().SetStatusCode(101)
		r.Hijack(func(conn net.Conn, leftover []byte) {
			defer conn.Close()
			_, _ = conn.Write(leftover)
			_, _ = io.Copy(conn, conn)
		})
		return nil
	}})
	d.wantStatus(d.call("GET", "/socket", nil), 426, fault.UpgradeRequired)
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The first bytes of the new protocol come in the same packet as the handshake.
	fmt.Fprint(conn, "GET /socket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nearly ")
	br := bufio.NewReader(conn)
	resp, err := http.ReadResponse(br, nil)
	if err != nil || resp.StatusCode != 101 {
		t.Fatal(resp, err)
	}
	fmt.Fprint(conn, "late")
	got := make([]byte, len("early late"))
	if _, err := io.ReadFull(br, got); err != nil || string(got) != "early late" {
		t.Fatalf("%q %v", got, err)
	}
}

func TestDrain(t *testing.T) {
	told := make(chan struct{})
	began := make(chan struct{})
	d := open(t, func(o *Options) {
		o.DrainGrace = 50 * time.Millisecond
		o.OnDrain = []func(){func() { close(told) }}
	},
		route.Route{Method: "GET", Path: "/slow", Access: route.Public, Handle: func(r *route.Request) error {
			close(began)
			time.Sleep(300 * time.Millisecond)
			return r.Raw(200, "text/plain", []byte("done"))
		}},
	)
	result := make(chan answer, 1)
	go func() { result <- d.call("GET", "/slow", nil) }()
	<-began
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := d.server.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	<-told
	a := <-result
	if a.status != 200 || a.text != "done" || !d.server.Draining() {
		t.Errorf("%d %q", a.status, a.text)
	}
	if _, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://")); err == nil {
		t.Error("a drained server still takes connections")
	}
}

func TestMalformed(t *testing.T) {
	d := open(t, func(o *Options) { o.ReadHeaderTimeout = 200 * time.Millisecond })
	for name, c := range map[string]struct {
		text   string
		status int
	}{
		"rubbish":      {"\x00\x01\x02 rubbish\r\n\r\n", 400},
		"large header": {"GET / HTTP/1.1\r\nHost: x\r\nX: " + strings.Repeat("a", 20<<10) + "\r\n\r\n", 431},
		"slow header":  {"GET / HTTP/1.1\r\nHost:", 408},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprint(conn, c.text)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			text, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || !bytes.Contains(text, []byte(`"code"`)) {
				t.Errorf("%d %s", resp.StatusCode, text)
			}
		})
	}
}

func TestTwiceTheSameRoutePanics(t *testing.T) {
	defer func() {
		if p := recover(); p == nil || !strings.Contains(fmt.Sprint(p), "/a/{y}") {
			t.Errorf("panic: %v", p)
		}
	}()
	handle := say("x")
	_, _ = New(Options{Logger: slog.Default(), Routes: []route.Route{
		{Method: "GET", Path: "/a/{x}", Access: route.Public, Handle: handle},
		{Method: "GET", Path: "/a/{y}", Access: route.Public, Handle: handle},
	}})
}
