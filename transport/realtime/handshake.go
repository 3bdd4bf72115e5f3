package realtime

import (
	"crypto/sha1" // RFC 6455 asks for it; it protects nothing.
	"encoding/base64"
	"net"
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

const handshakeGUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"

// acceptKey answers a client's Sec-WebSocket-Key.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + handshakeGUID))
	return base64.StdEncoding.EncodeToString(sum[:])
}

// upgradeKey checks a handshake (RFC 6455 §4.2.1) and gives the client's key.
// Requests that are no handshake are a fault UPGRADE_REQUIRED, malformed ones
// INVALID_INPUT.
func upgradeKey(r *route.Request) (string, error) {
	if !r.Upgrading("websocket") {
		return "", fault.New(fault.UpgradeRequired, "Upgrade Required").
			WithHint("This endpoint speaks WebSocket.")
	}
	if r.Header("Sec-WebSocket-Version") != "13" {
		r.SetHeader("Sec-WebSocket-Version", "13")
		return "", fault.New(fault.UpgradeRequired, "Upgrade Required").
			WithHint("Sec-WebSocket-Version must be 13.")
	}
	key := strings.TrimSpace(r.Header("Sec-WebSocket-Key"))
	if nonce, err := base64.StdEncoding.DecodeString(key); err != nil || len(nonce) != 16 {
		return "", fault.New(fault.InvalidInput, "Sec-WebSocket-Key must be 16 bytes in base64")
	}
	return key, nil
}

// upgrade answers 101 and hands the connection to the gateway.
func (g *Gateway) upgrade(r *route.Request, key string, p peer) {
	r.Fast().SetStatusCode(101)
	r.SetHeader("Upgrade", "websocket")
	r.SetHeader("Connection", "Upgrade")
	r.SetHeader("Sec-WebSocket-Accept", acceptKey(key))
	if g.o.Compression && offersDeflate(r.Header("Sec-WebSocket-Extensions")) {
		p.deflate = true
		r.SetHeader("Sec-WebSocket-Extensions", acceptDeflate)
	}
	r.Hijack(func(conn net.Conn, leftover []byte) { g.serve(conn, leftover, p) })
}
