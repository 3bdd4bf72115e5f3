package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// socket is a client of /realtime.
type socket struct {
	t    *testing.T
	conn *websocket.Conn
}

func openSocket(t *testing.T, url string) *socket {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, url, nil)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	conn.SetReadLimit(-1)
	t.Cleanup(func() { _ = conn.CloseNow() })
	return &socket{t: t, conn: conn}
}

func (s *socket) send(format string, args ...any) {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := s.conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		s.t.Fatalf("send: %v", err)
	}
}

// read is the next message that is no heartbeat, or the error that ended the
// socket.
func (s *socket) read() (map[string]any, error) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		_, text, err := s.conn.Read(ctx)
		cancel()
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		if m["type"] != "heartbeat" {
			return m, nil
		}
	}
}

// expect reads until a message that holds all members of want; others of another
// type may come before.
func (s *socket) expect(want string) map[string]any {
	s.t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		s.t.Fatalf("%s: %v", want, err)
	}
	for {
		got, err := s.read()
		if err != nil {
			s.t.Fatalf("want %s: %v", want, err)
		}
		if contains(got, w) {
			return got
		}
		if got["type"] == w["type"] {
			text, _ := json.Marshal(got)
			s.t.Fatalf("got  %s\nwant %s", text, want)
		}
	}
}

func contains(got, want any) bool {
	w, ok := want.(map[string]any)
	if !ok {
		return fmt.Sprint(got) == fmt.Sprint(want)
	}
	g, ok := got.(map[string]any)
	for k, v := range w {
		if !ok || !contains(g[k], v) {
			return false
		}
	}
	return true
}

// closes reads until the server closes and gives the code.
func (s *socket) closes() int {
	s.t.Helper()
	for {
		if _, err := s.read(); err != nil {
			var closed websocket.CloseError
			if !errors.As(err, &closed) {
				s.t.Fatalf("ended without a close frame: %v", err)
			}
			return int(closed.Code)
		}
	}
}

func TestSocketBroadcast(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	user := n.SignUp("ann@example.com")
	sender, receiver := openSocket(t, n.SocketURL(user.AccessToken)), openSocket(t, n.SocketURL(""))
	receiver.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	receiver.expect(`{"type":"ack","payload":{"subscribed":true,"channel":"broadcast:news"}}`)

	sender.send(`{"type":"broadcast","channel":"broadcast:news","event":"flash","payload":{"a":1},"messageId":"m1"}`)
	sender.expect(`{"type":"ack","messageId":"m1","status":"ok","payload":{"messageId":"m1","status":"ok"}}`)
	m := receiver.expect(`{"type":"broadcast","channel":"broadcast:news","payload":{"broadcast":{"event":"flash","payload":{"a":1}}}}`)
	if contains(m, map[string]any{"payload": map[string]any{"broadcast": map[string]any{"self": true}}}) {
		t.Error("a receiver's copy is marked as its own")
	}
	// Both the endpoint's forms, as a user and with the service key.
	for token, body := range map[string]string{
		user.AccessToken: `{"channel":"broadcast:news","message":"x"}`,
		n.ServiceKey:     `{"channel":"broadcast:news","event":"broadcast","payload":"x"}`,
	} {
		r := n.Want(200, "POST", "/api/v1/realtime/broadcast", token, body)
		var answer map[string]any
		r.Decode(t, &answer)
		if !contains(answer, map[string]any{"success": true, "channel": "broadcast:news", "recipients": 2.0}) {
			t.Errorf("answer %s", r.Body)
		}
		receiver.expect(`{"type":"broadcast","payload":{"broadcast":{"event":"broadcast","payload":"x"}}}`)
	}
	wantFailure(t, n.Do("POST", "/api/v1/realtime/broadcast", user.AccessToken, `{}`), 400, "MISSING_REQUIRED_FIELD")
	wantFailure(t, n.Do("GET", "/realtime", "", nil), 426, "UPGRADE_REQUIRED")
	wantFailure(t, n.Do("GET", "/realtime?token=nonsense", "", nil), 401, "INVALID_TOKEN")
}

func TestSocketPresence(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	ann, ben := openSocket(t, n.SocketURL("")), openSocket(t, n.SocketURL(""))
	ann.send(`{"type":"subscribe","channel":"presence:lobby"}`)
	ann.expect(`{"type":"ack"}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
	// As the public SDK writes it, and as the older form.
	ann.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ann","state":{"mood":"good"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ann","currentPresences":{"ann":[{"mood":"good"}]}}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	ben.send(`{"type":"presence","channel":"presence:lobby","payload":{"event":"track","key":"ben","state":{}}}`)
	ben.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"mood":"good"}]}}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ben"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	if err := ben.conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"leave","key":"ben","leftPresences":"[map[]]","currentPresences":{"ann":[{"mood":"good"}]}}}}`)
}

func TestSocketTokenLife(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "AUTH_JWT_EXPIRY=6s")
	user := n.SignUp("ann@example.com")
	left, renewed := openSocket(t, n.SocketURL(user.AccessToken)), openSocket(t, n.SocketURL(user.AccessToken))
	renewed.send(`{"type":"access_token","token":"nonsense"}`)
	renewed.expect(`{"type":"error","error":"invalid token"}`)
	time.Sleep(1200 * time.Millisecond)
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	n.Want(200, "POST", "/api/v1/auth/refresh", "", map[string]string{"refresh_token": user.RefreshToken}).Decode(t, &granted)
	renewed.send(`{"type":"access_token","token":%q}`, granted.AccessToken)
	renewed.expect(`{"type":"ack","payload":{"type":"access_token","updated":true}}`)

	left.expect(`{"type":"error","error":"token expired","code":"EXPIRED_TOKEN"}`)
	if code := left.closes(); code != 4001 {
		t.Errorf("an expired token closed with %d", code)
	}
	// The renewed one outlives the first token.
	renewed.send(`{"type":"subscribe","channel":"broadcast:x"}`)
	renewed.expect(`{"type":"ack","payload":{"subscribed":true}}`)
	if code := renewed.closes(); code != 4001 {
		t.Errorf("an expired token closed with %d", code)
	}
}

func TestSocketRevocation(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	user := n.SignUp("ann@example.com")
	s, other := openSocket(t, n.SocketURL(user.AccessToken)), openSocket(t, n.SocketURL(""))
	s.send(`{"type":"subscribe","channel":"broadcast:x"}`)
	s.expect(`{"type":"ack"}`)
	start := time.Now()
	if r := n.Do("POST", "/api/v1/auth/signout", user.AccessToken, `{}`); r.Status/100 != 2 {
		t.Fatalf("sign out: %d %s", r.Status, r.Body)
	}
	s.expect(`{"type":"error","code":"REVOKED_TOKEN"}`)
	if code, took := s.closes(), time.Since(start); code != 4003 || took > time.Second {
		t.Errorf("closed with %d after %v", code, took)
	}
	other.send(`{"type":"subscribe","channel":"broadcast:x"}`)
	other.expect(`{"type":"ack"}`)
}

func TestSocketLimits(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "REALTIME_MAX_CONNECTIONS_PER_USER=1", "REALTIME_MAX_CONNECTIONS_PER_IP=1", "REALTIME_LIMITS_MAX_CHANNELS=1", "REALTIME_MAX_FRAME_BYTES=64KB")
	user := n.SignUp("ann@example.com")
	for _, token := range []string{user.AccessToken, "", n.AnonKey} {
		s := openSocket(t, n.SocketURL(token))
		if token != n.AnonKey { // which is anonymous, too
			s.send(`{"type":"subscribe","channel":"broadcast:x"}`)
			s.expect(`{"type":"ack"}`)
			s.send(`{"type":"subscribe","channel":"broadcast:y"}`)
			s.expect(`{"type":"error","code":"CHANNEL_LIMIT_REACHED","channel":"broadcast:y"}`)
			s = openSocket(t, n.SocketURL(token))
		}
		s.expect(`{"type":"error","error":"max_connections_reached","payload":{"message":"Server connection limit reached. Please try again later."}}`)
		if code := s.closes(); code != 1008 {
			t.Errorf("closed with %d", code)
		}
	}
	big := openSocket(t, n.SocketURL(n.ServiceKey))
	big.send(`{"type":"broadcast","channel":"broadcast:x","payload":"%070000d"}`, 0)
	if code := big.closes(); code != 1009 {
		t.Errorf("closed with %d", code)
	}
}

func TestSocketErrors(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	user := n.SignUp("ann@example.com")
	nobody, ann, service := openSocket(t, n.SocketURL("")), openSocket(t, n.SocketURL(user.AccessToken)), openSocket(t, n.SocketURL(n.ServiceKey))
	for _, test := range []struct {
		from       *socket
		send, want string
	}{
		{nobody, `{"type":"subscribe","channel":"table:notes"}`, `{"type":"error","error":"authentication required for subscriptions"}`},
		{ann, `{"type":"subscribe","channel":"table:public.nowhere"}`, `{"type":"error","error":"table public.nowhere not enabled for realtime"}`},
		{service, `{"type":"subscribe","config":{"schema":"app","table":"nowhere"}}`, `{"type":"error","error":"table app.nowhere not enabled for realtime"}`},
		{ann, `{"type":"subscribe","config":{"table":"notes","filter":"a:b"}}`, `{"type":"error","error":"invalid filter: invalid filter format: a:b (expected: column=operator.value)"}`},
		{ann, `{"type":"subscribe","channel":"realtime:admin:connections"}`, `{"type":"error","error":"admin access required to subscribe to admin channels"}`},
		{service, `{"type":"subscribe","channel":"realtime:admin:connections"}`, `{"type":"ack"}`},
		{ann, `{"type":`, `{"type":"error","code":"INVALID_MESSAGE"}`},
		{ann, `{"type":"sing"}`, `{"type":"error","error":"unknown message type"}`},
		{ann, `{"type":"unsubscribe","subscription_id":"no such"}`, `{"type":"ack","payload":{"unsubscribed":true,"subscription_id":"no such"}}`},
	} {
		test.from.send("%s", test.send)
		test.from.expect(test.want)
	}
	var stats map[string]any
	n.Want(200, "GET", "/api/v1/realtime/stats?search="+user.ID, n.ServiceKey, nil).Decode(t, &stats)
	if !contains(stats, map[string]any{"total_connections": 1.0, "limit": 25.0, "offset": 0.0}) {
		t.Errorf("stats %v", stats)
	}
	wantFailure(t, n.Do("GET", "/api/v1/realtime/stats", user.AccessToken, nil), 403, "ADMIN_REQUIRED")
}

// TestSocketsAreSentElsewhere: a node that stops closes its sockets with 1012.
func TestSocketsAreSentElsewhere(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	var all []*socket
	for range 5 {
		s := openSocket(t, n.SocketURL(""))
		s.send(`{"type":"unsubscribe"}`)
		s.expect(`{"type":"ack"}`)
		all = append(all, s)
	}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		n.Stop()
	}()
	for _, s := range all {
		if code := s.closes(); code != 1012 {
			t.Errorf("closed with %d", code)
		}
	}
	<-stopped
}
