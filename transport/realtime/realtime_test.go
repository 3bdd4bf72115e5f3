package realtime

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"go.uber.org/goleak"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/transport/budget"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The HTTP server's clock and the test client's pool live as long as the
		// process.
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).readLoop"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
	)
}

func TestBroadcast(t *testing.T) {
	n := startNode(t, nodeOptions{})
	a, b := n.dial("?token=user:a"), n.dial("")
	b.send(`{"type":"subscribe","channel":"broadcast:room"}`)
	b.expect(`{"type":"ack","channel":"broadcast:room","payload":{"subscribed":true,"channel":"broadcast:room"}}`)

	// Sending joins; the sender gets its own copy, marked, and an ack.
	a.send(`{"type":"broadcast","channel":"broadcast:room","event":"say","payload":{"n":1},"messageId":"m1"}`)
	seen := map[any]map[string]any{}
	for range 2 {
		m := a.next()
		seen[m["type"]] = m
	}
	if !holds(seen["ack"], map[string]any{"messageId": "m1", "status": "ok", "payload": map[string]any{"messageId": "m1", "status": "ok"}}) {
		t.Errorf("ack: %v", seen["ack"])
	}
	own := map[string]any{"channel": "broadcast:room", "payload": map[string]any{"broadcast": map[string]any{"event": "say", "self": true, "payload": map[string]any{"n": 1.0}}}}
	if !holds(seen["broadcast"], own) {
		t.Errorf("own copy: %v", seen["broadcast"])
	}
	m := b.expect(`{"type":"broadcast","payload":{"broadcast":{"event":"say","payload":{"n":1}}},"offset":1}`)
	if _, marked := m["payload"].(map[string]any)["broadcast"].(map[string]any)["self"]; marked {
		t.Error("a receiver's copy is marked as its own")
	}

	// The same id again is acknowledged again and not sent again.
	a.send(`{"type":"broadcast","channel":"broadcast:room","event":"say","payload":{"n":1},"messageId":"m1"}`)
	a.expect(`{"type":"ack","messageId":"m1","offset":1}`)
	a.send(`{"type":"broadcast","channel":"broadcast:room","event":"say","payload":{"n":2}}`)
	b.expect(`{"type":"broadcast","payload":{"broadcast":{"payload":{"n":2}}},"offset":2}`)

	b.send(`{"type":"unsubscribe","channel":"broadcast:room"}`)
	b.expect(`{"type":"ack","payload":{"unsubscribed":true}}`)
	a.send(`{"type":"broadcast","channel":"broadcast:room","event":"say","payload":{"n":3}}`)
	b.silent(200 * time.Millisecond)
}

// TestOrder: what one client sends arrives in its order, everywhere.
func TestOrder(t *testing.T) {
	n := startNode(t, nodeOptions{})
	a, b := n.dial(""), n.dial("")
	b.send(`{"type":"subscribe","channel":"room"}`)
	b.expect(`{"type":"ack"}`)
	b.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
	const count = 2000
	go func() {
		for i := range count {
			a.send(`{"type":"broadcast","channel":"room","event":"e","payload":%d}`, i)
		}
	}()
	for i := range count {
		b.expect(fmt.Sprintf(`{"type":"broadcast","offset":%d,"payload":{"broadcast":{"payload":%d}}}`, i+1, i))
	}
}

func TestTenantsAreApart(t *testing.T) {
	n := startNode(t, nodeOptions{})
	a, b := n.dial("?tenant=one"), n.dial("?tenant=two")
	for _, c := range []*client{a, b} {
		c.send(`{"type":"subscribe","channel":"broadcast:room"}`)
		c.expect(`{"type":"ack"}`)
	}
	a.send(`{"type":"broadcast","channel":"broadcast:room","event":"e"}`)
	a.expect(`{"type":"broadcast"}`)
	b.silent(200 * time.Millisecond)
}

func TestPresence(t *testing.T) {
	n := startNode(t, nodeOptions{})
	a, b := n.dial(""), n.dial("")
	a.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ann","state":{"at":1}}}`)
	a.expect(`{"type":"presence","channel":"presence:lobby","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
	a.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ann","newPresences":[{"at":1}],"currentPresences":{"ann":[{"at":1}]}}}}`)
	a.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"at":1}]}}}}`)

	// A newcomer is told who is there; a second meta under the same key is kept.
	b.send(`{"type":"subscribe","channel":"presence:lobby"}`)
	b.expect(`{"type":"ack","payload":{"subscribed":true,"channel":"presence:lobby"}}`)
	b.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"at":1}]}}}}`)
	b.send(`{"type":"presence","channel":"presence:lobby","payload":{"event":"track","key":"ann","state":{"at":2}}}`)
	for _, c := range []*client{a, b} {
		c.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ann","newPresences":[{"at":2}]}}}`)
		c.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"at":1},{"at":2}]}}}}`)
	}
	// Tracked again: a sync. Untracking another's key does nothing.
	a.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ann","state":{"at":3}}}`)
	for _, c := range []*client{a, b} {
		c.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"at":3},{"at":2}]}}}}`)
	}
	a.send(`{"type":"presence","channel":"presence:lobby","event":"untrack","payload":{"key":"ben"}}`)
	if err := b.conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	a.expect(`{"type":"presence","payload":{"presence":{"event":"leave","key":"ann","leftPresences":[{"at":2}],"currentPresences":{"ann":[{"at":3}]}}}}`)
	a.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	a.send(`{"type":"presence","channel":"presence:lobby","event":"untrack","payload":{"key":"ann"}}`)
	a.expect(`{"type":"presence","payload":{"presence":{"event":"leave","key":"ann","currentPresences":{}}}}`)
}

func TestTables(t *testing.T) {
	n := startNode(t, nodeOptions{})
	c := n.dial("?token=user:a")
	c.send(`{"type":"subscribe","channel":"table:notes","event":"insert"}`)
	id := c.expect(`{"type":"ack","payload":{"subscribed":true,"schema":"public","table":"notes","event":"INSERT"}}`)["subscription_id"]
	subs := n.tables.list()
	if len(subs) != 1 || subs[0].ID != id || subs[0].Subscriber.Caller.UserID != "a" {
		t.Fatalf("subscriptions: %+v", subs)
	}
	frame := &delivery.Frame{Reliable: true, Messages: 1, Bytes: subs[0].Subscriber.Codec.AppendChange(nil,
		&delivery.Change{Schema: "public", Table: "notes", Type: delivery.Insert, Record: []byte(`{"id":1}`)}, []string{subs[0].ID})}
	if err := subs[0].Subscriber.Ref.Tell(frame); err != nil {
		t.Fatal(err)
	}
	c.expect(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":1}}}`)

	c.send(`{"type":"access_token","token":"user:b"}`)
	c.expect(`{"type":"ack","payload":{"type":"access_token","updated":true}}`)
	eventually(t, "the subscription acts for b", func() bool {
		subs := n.tables.list()
		return len(subs) == 1 && subs[0].Subscriber.Caller.UserID == "b"
	})
	c.send(`{"type":"access_token","token":"forged"}`)
	c.expect(`{"type":"error","error":"invalid token","code":"INVALID_TOKEN"}`)
	c.send(`{"type":"unsubscribe","subscription_id":%q}`, id)
	c.expect(`{"type":"ack","payload":{"unsubscribed":true}}`)
	if subs := n.tables.list(); len(subs) != 0 {
		t.Fatalf("subscriptions: %+v", subs)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for start := time.Now(); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Since(start) > 5*time.Second {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestErrors(t *testing.T) {
	n := startNode(t, nodeOptions{})
	anonymous, user := n.dial(""), n.dial("?token=user:a")
	tests := []struct {
		from       *client
		send, want string
	}{
		{anonymous, `{"type":"subscribe","channel":"table:notes"}`, `{"error":"authentication required for subscriptions","channel":"table:notes"}`},
		{anonymous, `{"type":"subscribe"}`, `{"error":"table is required for subscribe"}`},
		{anonymous, `{"type":"subscribe","channel":"realtime:admin:connections"}`, `{"error":"admin access required to subscribe to admin channels","code":"ADMIN_REQUIRED"}`},
		{anonymous, `{"type":"subscribe","channel":"fluxbase:logs"}`, `{"code":"ADMIN_REQUIRED","channel":"fluxbase:logs"}`},
		{anonymous, `{"type":"broadcast","messageId":"m"}`, `{"error":"channel is required for broadcast","messageId":"m","status":"error"}`},
		{anonymous, `{"type":"presence","channel":"c","event":"track","payload":{}}`, `{"error":"key is required for presence track","channel":"c"}`},
		{anonymous, `{"type":"presence","channel":"c","event":"untrack","payload":{}}`, `{"error":"key is required for presence untrack"}`},
		{anonymous, `{"type":"subscribe_logs","config":{"execution_id":"x"}}`, `{"error":"authentication required"}`},
		{user, `{"type":"subscribe","channel":"table:public.other"}`, `{"error":"table public.other not enabled for realtime"}`},
		{user, `{"type":"subscribe","config":{"table":"notes","filter":"x"}}`, `{"error":"invalid filter: invalid filter format: x (expected: column=operator.value)"}`},
		{user, `{"type":"subscribe_logs"}`, `{"error":"execution_id is required for subscribe_logs"}`},
		{user, `{"type":"subscribe_logs","config":{"execution_id":"x"}}`, `{"error":"execution not found"}`},
		{user, `{"type":"subscribe_all_logs"}`, `{"error":"admin role required for all-logs subscription"}`},
		{user, `nonsense`, `{"code":"INVALID_MESSAGE"}`},
		{user, `{"type":"what"}`, `{"error":"unknown message type"}`},
	}
	for _, test := range tests {
		test.from.send("%s", test.send)
		m := test.from.expect(test.want)
		if m["type"] != "error" || m["code"] == nil {
			t.Errorf("%s: %v", test.send, m)
		}
	}
}

func TestExpiryAndRevocation(t *testing.T) {
	n := startNode(t, nodeOptions{})
	short := n.dial("?token=user:a@300ms")
	short.expect(`{"type":"error","error":"token expired","code":"EXPIRED_TOKEN"}`)
	if code, reason := short.closes(); code != 4001 || reason != "token expired" {
		t.Errorf("closed %d %q", code, reason)
	}
	renewed := n.dial("?token=user:a@300ms")
	renewed.send(`{"type":"access_token","token":"user:a@1h"}`)
	renewed.expect(`{"type":"ack"}`)
	time.Sleep(400 * time.Millisecond)
	renewed.send(`{"type":"subscribe","channel":"broadcast:x"}`)
	renewed.expect(`{"type":"ack"}`)

	n.revoked.Store("a", true)
	if err := n.dir.Tell(connection.Recheck{}); err != nil {
		t.Fatal(err)
	}
	renewed.expect(`{"type":"error","code":"REVOKED_TOKEN"}`)
	if code, _ := renewed.closes(); code != 4003 {
		t.Errorf("closed %d", code)
	}
}

func TestLimits(t *testing.T) {
	n := startNode(t, nodeOptions{
		admission: connection.Admission{Total: 4, PerUser: 1, PerIP: 2},
		limits:    connection.Limits{Channels: 2, Presences: 1, Subscriptions: 1},
	})
	c := n.dial("?token=user:a").admitted()
	refused := n.dial("?token=user:a")
	refused.expect(`{"type":"error","error":"max_connections_reached","payload":{"message":"Server connection limit reached. Please try again later."}}`)
	if code, _ := refused.closes(); code != 1008 {
		t.Errorf("closed %d", code)
	}
	first := n.dial("").admitted()
	n.dial("").admitted()
	n.dial("").expect(`{"error":"max_connections_reached"}`)
	// A connection that goes makes room for another.
	if err := first.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	eventually(t, "room for another", func() bool {
		totals, err := n.gateway.Totals(context.Background(), "")
		return err == nil && totals.Connections == 2
	})
	n.dial("").admitted()

	for i := range 2 {
		c.send(`{"type":"subscribe","channel":"broadcast:%d"}`, i)
		c.expect(`{"type":"ack"}`)
	}
	c.send(`{"type":"subscribe","channel":"broadcast:2"}`)
	c.expect(`{"type":"error","code":"CHANNEL_LIMIT_REACHED","channel":"broadcast:2"}`)
	c.send(`{"type":"subscribe","channel":"table:notes"}`)
	c.expect(`{"type":"ack"}`)
	c.send(`{"type":"subscribe","channel":"table:notes"}`)
	c.expect(`{"type":"error","code":"SUBSCRIPTION_LIMIT_REACHED"}`)
	c.send(`{"type":"presence","channel":"broadcast:0","event":"track","payload":{"key":"k","state":{}}}`)
	for range 3 {
		c.expect(`{"type":"presence"}`)
	}
	c.send(`{"type":"presence","channel":"broadcast:1","event":"track","payload":{"key":"k","state":{}}}`)
	c.expect(`{"type":"error","code":"PRESENCE_LIMIT_REACHED","channel":"broadcast:1"}`)
}

func TestRates(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Limits: budget.Limits{Connection: budget.Rates{Messages: 1, MessageBurst: 3, Joins: 1}}}})
	c := n.dial("")
	for i := range 2 {
		c.send(`{"type":"subscribe","channel":"broadcast:%d"}`, i)
		c.expect(`{"type":"ack"}`)
	}
	c.send(`{"type":"subscribe","channel":"broadcast:2"}`)
	c.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","error":"too many subscriptions at once on this connection","channel":"broadcast:2","payload":{"limit":"realtime.limits.joins_per_second"}}`)
	c.send(`{"type":"broadcast","channel":"broadcast:0","messageId":"m"}`)
	c.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","error":"too many messages on this connection","channel":"broadcast:0","messageId":"m","status":"error"}`)
	// The socket stays open and serves again when the time has come.
	time.Sleep(1100 * time.Millisecond)
	c.send(`{"type":"broadcast","channel":"broadcast:0","messageId":"m"}`)
	c.await(`{"type":"ack","messageId":"m","status":"ok"}`)
}

// TestSharedRates: what several sockets and requests share is bound for all of them
// together, and no other is.
func TestSharedRates(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Limits: budget.Limits{
		User: budget.Rates{Messages: 0.001}, Tenant: budget.Rates{Presences: 0.001, Bytes: 0.001},
	}}})
	ann, again, ben := n.dial("?token=user:ann"), n.dial("?token=user:ann"), n.dial("?token=user:ben")
	ann.send(`{"type":"heartbeat"}`)
	ann.send(`{"type":"subscribe","channel":"broadcast:a"}`)
	ann.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","error":"too many messages of this user","payload":{"limit":"realtime.limits.user.messages_per_second"}}`)
	again.send(`{"type":"subscribe","channel":"broadcast:a"}`)
	again.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED"}`)
	ben.send(`{"type":"subscribe","channel":"broadcast:a"}`)
	ben.expect(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","error":"too many bytes of this tenant","payload":{"limit":"realtime.limits.tenant.bytes_per_second"}}`)
}

// TestPresenceRate: a client may set its states up at once, and change them as often
// as the rate says.
func TestPresenceRate(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Limits: budget.Limits{Connection: budget.Rates{Presences: 5. / 30}}}})
	c := n.dial("")
	for range 5 {
		c.send(`{"type":"presence","channel":"presence:r","event":"track","payload":{"key":"k","state":1}}`)
	}
	c.send(`{"type":"presence","channel":"presence:r","event":"untrack","payload":{"key":"k"}}`)
	c.await(`{"type":"error","code":"RATE_LIMIT_EXCEEDED","error":"too many presence messages on this connection","channel":"presence:r"}`)
}

func TestAdminsSeeConnections(t *testing.T) {
	n := startNode(t, nodeOptions{})
	admin := n.dial("?token=admin:root")
	admin.send(`{"type":"subscribe","channel":"realtime:admin:connections"}`)
	admin.await(`{"type":"ack","payload":{"subscribed":true}}`)
	c := n.dial("?token=user:a")
	admin.await(`{"type":"broadcast","payload":{"broadcast":{"event":"connected","payload":{"type":"connected","user_id":"a"}}}}`)
	if err := c.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	admin.await(`{"type":"broadcast","payload":{"broadcast":{"event":"disconnected","payload":{"user_id":"a"}}}}`)
}

func TestDrain(t *testing.T) {
	n := startNode(t, nodeOptions{})
	var clients []*client
	for range 10 {
		clients = append(clients, n.dial(""))
	}
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := n.gateway.Drain(ctx, 100*time.Millisecond); err != nil {
			t.Errorf("drain: %v", err)
		}
	}()
	for _, c := range clients {
		if code, reason := c.closes(); code != 1012 {
			t.Errorf("closed %d %q", code, reason)
		}
	}
	late := n.dial("")
	if code, _ := late.closes(); code != 1012 {
		t.Errorf("a newcomer was closed with %d", code)
	}
}

func TestHTTPEndpoints(t *testing.T) {
	n := startNode(t, nodeOptions{})
	c := n.dial("?token=user:a")
	c.send(`{"type":"subscribe","channel":"news"}`)
	c.expect(`{"type":"ack"}`)
	c.expect(`{"type":"presence"}`)
	tests := []struct {
		name, method, path, token, body string
		status                          int
		want                            string
	}{
		{"no upgrade", "GET", "/realtime", "", "", 426, `UPGRADE_REQUIRED`},
		{"bad token", "GET", "/realtime", "forged", "", 401, `INVALID_TOKEN`},
		{"message", "POST", "/api/v1/realtime/broadcast", "user:b", `{"channel":"news","message":{"n":1}}`, 200, `{"success":true,"channel":"news","recipients":1,"epoch":`},
		{"event", "POST", "/api/v1/realtime/broadcast", "user:b", `{"channel":"news","event":"flash","payload":2}`, 200, `{"success":true,"channel":"news","recipients":1,"epoch":`},
		{"nobody there", "POST", "/api/v1/realtime/broadcast", "user:b", `{"channel":"empty","message":1}`, 200, `"recipients":0`},
		{"no channel", "POST", "/api/v1/realtime/broadcast", "user:b", `{"message":1}`, 400, `Channel is required`},
		{"server channel", "POST", "/api/v1/realtime/broadcast", "user:b", `{"channel":"fluxbase:x","message":1}`, 403, `ADMIN_REQUIRED`},
		{"stats", "GET", "/api/v1/realtime/stats", "admin:root", "", 200, `"total_connections":1,"connections":[{"id":`},
		{"stats of nobody", "GET", "/api/v1/realtime/stats?search=zzz", "admin:root", "", 200, `{"total_connections":0,"connections":[],"limit":25,"offset":0,"slow_connections":[]}`},
		{"stats beyond", "GET", "/api/v1/realtime/stats?limit=1000&offset=5&search=127.0", "admin:root", "", 200, `{"total_connections":1,"connections":[],"limit":100,"offset":5,`},
		{"stats for users", "GET", "/api/v1/realtime/stats", "user:a", "", 403, `Admin access required to view realtime stats`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			req, err := http.NewRequest(test.method, "http://"+n.addr+test.path, bytes.NewBufferString(test.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			if test.token != "" {
				req.Header.Set("Authorization", "Bearer "+test.token)
			}
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			b, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != test.status || !strings.Contains(string(b), test.want) {
				t.Errorf("got %d %s\nwant %d %s", res.StatusCode, b, test.status, test.want)
			}
		})
	}
	c.expect(`{"type":"broadcast","payload":{"broadcast":{"event":"broadcast","payload":{"n":1}}}}`)
	c.expect(`{"type":"broadcast","payload":{"broadcast":{"event":"flash","payload":2}}}`)
	totals, err := n.gateway.Totals(context.Background(), "main")
	if err != nil || totals.Connections != 1 || totals.Subscriptions != 1 || totals.Channels < 1 {
		t.Errorf("totals %+v, %v", totals, err)
	}
}

// TestConnectionCrash: a connection whose actor dies is closed, not left open.
func TestConnectionEndsWithItsActor(t *testing.T) {
	n := startNode(t, nodeOptions{})
	c := n.dial("?token=user:a")
	c.send(`{"type":"subscribe","channel":"table:notes"}`)
	c.expect(`{"type":"ack"}`)
	var ref kernel.Ref
	for _, s := range n.tables.list() {
		ref = s.Subscriber.Ref
	}
	ref.Stop()
	if code, _ := c.closes(); code != 1011 {
		t.Errorf("closed %d", code)
	}
	eventually(t, "subscriptions end", func() bool { return len(n.tables.list()) == 0 })
}
