package transport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

func TestBodyLimit(t *testing.T) {
	size := func(r *route.Request) error { return r.JSON(200, len(r.Body())) }
	d := open(t, func(o *Options) {
		o.BodyLimits = map[route.Limit]int64{route.LimitAuth: 64 << 10, route.LimitStorage: 1 << 20}
	},
		route.Route{Method: "POST", Path: "/x", Access: route.Public, BodyLimit: route.LimitAuth, Handle: size},
		route.Route{Method: "POST", Path: "/stream", Access: route.Public, Stream: true, BodyLimit: route.LimitStorage, Handle: func(r *route.Request) error {
			n, err := io.Copy(io.Discard, r.BodyStream())
			if err != nil {
				return err
			}
			return r.JSON(200, n)
		}},
	)
	text := func(n int) string { return strings.Repeat("a", n) }
	chunked := func(n int) io.Reader { return io.MultiReader(strings.NewReader(text(n))) }
	for _, c := range []struct {
		path string
		body io.Reader
		want string
	}{
		{"/x", strings.NewReader(text(100)), "100"},
		{"/x", strings.NewReader(text(64 << 10)), "65536"},
		{"/x", chunked(64 << 10), "65536"},
		{"/x", strings.NewReader(""), "0"},
		{"/stream", chunked(1 << 20), "1048576"},
		{"/stream", strings.NewReader(text(1 << 20)), "1048576"},
	} {
		a := d.call("POST", c.path, c.body)
		d.wantStatus(a, 200, "")
		if a.text != c.want {
			t.Errorf("%s: read %s bytes, want %s", c.path, a.text, c.want)
		}
	}
	for _, c := range []struct {
		path string
		body io.Reader
	}{
		{"/x", strings.NewReader(text(64<<10 + 1))}, {"/x", chunked(64<<10 + 1)},
		{"/stream", chunked(1<<20 + 1)}, {"/stream", strings.NewReader(text(1<<20 + 1))},
	} {
		a := d.call("POST", c.path, c.body)
		d.wantStatus(a, 413, fault.PayloadTooLarge)
		details, _ := a.body["details"].(map[string]any)
		if details["max_bytes"] == nil || details["endpoint_type"] == nil || a.body["error"] != "Payload Too Large" {
			t.Errorf("body: %s", a.text)
		}
	}
}

// A body that ends before its time is no body: not as bytes and not as a stream.
func TestTruncatedBody(t *testing.T) {
	read := make(chan error, 2)
	d := open(t, nil,
		route.Route{Method: "POST", Path: "/whole", Access: route.Public, BodyLimit: route.LimitStorage, Handle: func(*route.Request) error {
			read <- nil
			return nil
		}},
		route.Route{Method: "POST", Path: "/stream", Access: route.Public, Stream: true, Handle: func(r *route.Request) error {
			_, err := io.Copy(io.Discard, r.BodyStream())
			read <- err
			return err
		}},
	)
	for _, path := range []string{"/whole", "/stream"} {
		for _, length := range []string{"Content-Length: 100000", "Transfer-Encoding: chunked"} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", path, length)
			if strings.HasPrefix(length, "T") {
				fmt.Fprint(conn, "10000\r\n")
			}
			fmt.Fprint(conn, strings.Repeat("a", 20000))
			if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
				t.Fatal(err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			conn.Close()
			if resp.StatusCode != 400 {
				t.Errorf("%s, %s: status %d", path, length, resp.StatusCode)
			}
		}
	}
	close(read)
	for err := range read {
		if err == nil {
			t.Error("a truncated body was taken for a whole one")
		}
	}
}

// A client may ask first whether its body is wanted.
func TestExpectContinue(t *testing.T) {
	d := open(t, nil, route.Route{Method: "POST", Path: "/x", Access: route.Public, Handle: func(r *route.Request) error { return r.JSON(200, len(r.Body())) }})
	if a := d.call("POST", "/x", strings.NewReader(strings.Repeat("a", 50_000)), "Expect: 100-continue"); a.text != "50000" {
		t.Errorf("%d %s", a.status, a.text)
	}
}

// A client that never ends its chunked body is refused while it still sends.
func TestEndlessBodyIsCutOff(t *testing.T) {
	d := open(t, nil, route.Route{Method: "POST", Path: "/x", Access: route.Public, Handle: say("ate it all")})
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	sent := make(chan int, 1)
	go func() {
		chunk := []byte("10000\r\n" + strings.Repeat("a", 0x10000) + "\r\n")
		n := 0
		for ; n < 1000; n++ {
			if _, err := conn.Write(chunk); err != nil {
				break
			}
		}
		sent <- n
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 413 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if n := <-sent; n == 1000 {
		t.Error("the server read everything")
	}
}

func TestJSONDepth(t *testing.T) {
	d := open(t, nil, route.Route{Method: "POST", Path: "/x", Access: route.Public, Handle: func(r *route.Request) error {
		var v any
		if err := r.Decode(&v); err != nil {
			return err
		}
		return r.NoContent()
	}})
	nested := func(n int) io.Reader { return strings.NewReader(strings.Repeat("[", n) + strings.Repeat("]", n)) }
	d.wantStatus(d.call("POST", "/x", nested(64)), 204, "")
	d.wantStatus(d.call("POST", "/x", nested(65)), 400, fault.JSONTooDeep)
	d.wantStatus(d.call("POST", "/x", strings.NewReader(`{"a":"[[`+strings.Repeat("[", 100)+`\""}`)), 204, "")
	d.wantStatus(d.call("POST", "/x", strings.NewReader(`{"a":`)), 400, fault.InvalidRequestBody)
	d.wantStatus(d.call("POST", "/x", nil), 400, fault.InvalidRequestBody)
}
