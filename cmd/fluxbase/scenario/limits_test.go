package scenario

import (
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// TestRealtimeLimitsAreShared: what a tenant and a user may send counts over all of
// their sockets and requests, and a refusal says whose limit it was.
func TestRealtimeLimitsAreShared(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t,
		"REALTIME_LIMITS_TENANT_PRESENCE_PER_SECOND=0.001",
		"REALTIME_LIMITS_USER_MESSAGES_PER_SECOND=0.001",
		"REALTIME_LIMITS_IP_JOINS_PER_SECOND=0.001",
	)
	user := n.SignUp("ann@example.com")
	body := `{"channel":"broadcast:news","message":"hello"}`
	n.Want(200, "POST", "/api/v1/realtime/broadcast", user.AccessToken, body)
	refused := n.Do("POST", "/api/v1/realtime/broadcast", user.AccessToken, body)
	wantFailure(t, refused, 429, "RATE_LIMIT_EXCEEDED")
	if after := refused.Header.Get("Retry-After"); after == "" || after == "0" {
		t.Errorf("Retry-After is %q", after)
	}
	mine := openSocket(t, n.SocketURL(user.AccessToken))
	mine.send(`{"type":"broadcast","channel":"broadcast:news","messageId":"m"}`)
	mine.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","messageId":"m","payload":{"limit":"realtime.limits.user.messages_per_second"}}`)

	// Others go on, within what they share.
	ben, cat := openSocket(t, n.SocketURL("")), openSocket(t, n.SocketURL(""))
	ben.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	ben.expect(`{"type":"ack","channel":"broadcast:news"}`)
	cat.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	cat.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","channel":"broadcast:news","payload":{"limit":"realtime.limits.ip.joins_per_second"}}`)
	for range 5 {
		ben.send(`{"type":"presence","channel":"broadcast:news","event":"untrack","payload":{"key":"k"}}`)
	}
	ben.send(`{"type":"heartbeat"}`)
	ben.send(`{"type":"broadcast","channel":"broadcast:news","messageId":"done"}`)
	ben.expect(`{"type":"ack","messageId":"done"}`)
	cat.send(`{"type":"presence","channel":"broadcast:news","event":"track","payload":{"key":"k","state":1}}`)
	cat.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","payload":{"limit":"realtime.limits.tenant.presence_per_second"}}`)
}
