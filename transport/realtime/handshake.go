package realtime

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it; it protects nothing.
	"encoding/base64"
	"errors"
	"net"
	"os"
	"strings"
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/fault"
)

const handshakeGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// acceptKey answers a client's Sec-WebSocket-Key.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + handshakeGUID)) //nolint:gosec // see above
	return base64.StdEncoding.EncodeToString(sum[:])
}

// upgradeKey checks a handshake and gives the client's key. Requests that are no
// handshake are a fault UPGRADE_REQUIRED, malformed ones INVALID_INPUT.
func upgradeKey(r *fasthttp.RequestCtx) (string, error) {
	h := &r.Request.Header
	switch {
	case !r.IsGet() || !hasToken(string(h.Peek("Connection")), "upgrade") || !hasToken(string(h.Peek("Upgrade")), "websocket"):
		return "", fault.New(fault.UpgradeRequired, "Upgrade Required")
	case string(h.Peek("Sec-WebSocket-Version")) != "13":
		return "", fault.New(fault.UpgradeRequired, "Sec-WebSocket-Version must be 13")
	}
	key := strings.TrimSpace(string(h.Peek("Sec-WebSocket-Key")))
	if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
		return "", fault.New(fault.InvalidInput, "Sec-WebSocket-Key is not valid")
	}
	return key, nil
}

// hasToken tells whether a comma list holds a token, in any case of letters.
func hasToken(list, token string) bool {
	for item := range strings.SplitSeq(list, ",") {
		if strings.EqualFold(strings.TrimSpace(item), token) {
			return true
		}
	}
	return false
}

// upgrade answers 101 and hands the connection to the gateway. The server must
// keep hijacked connections (fasthttp.Server.KeepHijackedConns): the request and
// its buffers are released as soon as the handshake is answered.
func (g *Gateway) upgrade(r *fasthttp.RequestCtx, key string, p peer) {
	r.Response.SetStatusCode(fasthttp.StatusSwitchingProtocols)
	r.Response.Header.Set("Upgrade", "websocket")
	r.Response.Header.Set("Connection", "Upgrade")
	r.Response.Header.Set("Sec-WebSocket-Accept", acceptKey(key))
	r.Hijack(func(hijacked net.Conn) {
		early, err := buffered(hijacked)
		if err != nil {
			_ = hijacked.Close() // gone before it began
			return
		}
		conn := hijacked
		if u, ok := hijacked.(interface{ UnsafeConn() net.Conn }); ok {
			conn = u.UnsafeConn()
		}
		g.serve(conn, early, p)
	})
}

// buffered takes what the server has read from the client already. A deadline in
// the past makes the connection itself give nothing.
func buffered(c net.Conn) ([]byte, error) {
	if err := c.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return nil, err
	}
	var early []byte
	chunk := make([]byte, 512)
	for {
		n, err := c.Read(chunk)
		early = append(early, chunk[:n]...)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return early, nil
		case err != nil:
			return nil, err
		}
	}
}
