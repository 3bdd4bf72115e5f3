package transport

import (
	"bufio"
	"log/slog"
	"net/http"
	"testing"

	"github.com/valyala/fasthttp"
	"github.com/valyala/fasthttp/fasthttputil"

	"fluxbase/transport/limit"
	"fluxbase/transport/route"
)

// BenchmarkRequest is what the server adds to a handler that does nothing, over a
// connection in memory: floor is the HTTP library alone.
func BenchmarkRequest(b *testing.B) {
	answer := []byte(`{"ok":true}`)
	s, err := New(Options{
		Verifier: people{}, Tenants: oneTenant{}, Logger: slog.New(slog.DiscardHandler),
		Limits: limit.New(limit.Defaults(), nil, slog.Default()),
		Routes: []route.Route{
			{Method: "GET", Path: "/api/v1/public", Access: route.Public, Instance: true, Handle: func(r *route.Request) error { return r.RawJSON(200, answer) }},
			{Method: "GET", Path: "/api/v1/tables/{table}", Access: route.Authenticated, Handle: func(r *route.Request) error { return r.RawJSON(200, answer) }},
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.Run("floor", func(b *testing.B) {
		benchmark(b, func(ctx *fasthttp.RequestCtx) { ctx.SetBody(answer) }, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
	})
	b.Run("public", func(b *testing.B) {
		benchmark(b, s.handle, "GET /api/v1/public HTTP/1.1\r\nHost: x\r\n\r\n")
	})
	b.Run("authenticated", func(b *testing.B) {
		benchmark(b, s.handle, "GET /api/v1/tables/notes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer authenticated\r\napikey: anon\r\n\r\n")
	})
}

func benchmark(b *testing.B, handler fasthttp.RequestHandler, request string) {
	l := fasthttputil.NewInmemoryListener()
	server := &fasthttp.Server{Handler: handler, StreamRequestBody: true, NoDefaultServerHeader: true}
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	conn, err := l.Dial()
	if err != nil {
		b.Fatal(err)
	}
	br := bufio.NewReader(conn)
	var resp fasthttp.Response
	b.ReportAllocs()
	for b.Loop() {
		if _, err := conn.Write([]byte(request)); err != nil {
			b.Fatal(err)
		}
		if err := resp.Read(br); err != nil {
			b.Fatal(err)
		}
		if resp.StatusCode() != http.StatusOK {
			b.Fatal(resp.String())
		}
	}
	conn.Close()
	l.Close()
	<-done
}
