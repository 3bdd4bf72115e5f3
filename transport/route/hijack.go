package route

import (
	"net"
	"strings"
	"time"
)

// Hijack takes the connection over once the response (the handshake, usually 101,
// that the handler has set) is sent. serve gets the bare connection and the bytes
// that the client sent behind its request; closing the connection is up to it.
//
// serve runs on a goroutine of its own, and nothing of the request is kept for
// it: what it needs of the Request must be taken before. The request's Context
// ends with the handshake. The connection's deadlines are cleared.
func (r *Request) Hijack(serve func(conn net.Conn, leftover []byte)) {
	r.fast.Hijack(func(wrapped net.Conn) {
		conn, leftover := unwrap(wrapped)
		// The goroutine that we are on holds the parsed request until it returns.
		go serve(conn, leftover)
	})
}

// HijackAnswer takes the connection over before the answer is sent: serve begins
// with its head, as the handler has set it, and its body ends with the connection.
// Otherwise it is Hijack. What the client sends behind its request is dropped.
func (r *Request) HijackAnswer(serve func(conn net.Conn, head []byte)) {
	h := &r.fast.Response.Header
	h.SetContentLength(identity)
	head := append([]byte(nil), h.Header()...)
	r.fast.HijackSetNoResponse(true)
	r.Hijack(func(conn net.Conn, _ []byte) { serve(conn, head) })
}

// identity is fasthttp's length of a body that ends with the connection.
const identity = -2

// unwrap gets the bare connection and what the server has read of it already.
// The server's wrapper does not say how much that is, so the wrapper is read
// under a deadline that has passed: it gives what it holds and nothing more.
func unwrap(wrapped net.Conn) (net.Conn, []byte) {
	inner, ok := wrapped.(interface{ UnsafeConn() net.Conn })
	if !ok {
		return wrapped, nil
	}
	conn := inner.UnsafeConn()
	if err := conn.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return conn, nil // closed: serve finds out with its first read
	}
	var leftover []byte
	var buf [1024]byte
	for {
		n, err := wrapped.Read(buf[:])
		leftover = append(leftover, buf[:n]...)
		if err != nil || n == 0 {
			break
		}
	}
	_ = conn.SetReadDeadline(time.Time{}) // fails on a closed connection only
	return conn, leftover
}

// Upgrading tells whether the client asks for protocol, "websocket" for instance.
func (r *Request) Upgrading(protocol string) bool {
	if !r.fast.Request.Header.ConnectionUpgrade() {
		return false
	}
	for offered := range strings.SplitSeq(r.Header("Upgrade"), ",") {
		if strings.EqualFold(strings.TrimSpace(offered), protocol) {
			return true
		}
	}
	return false
}
