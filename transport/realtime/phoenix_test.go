package realtime

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"fluxbase/transport/budget"
	"github.com/coder/websocket"
)

// phoenixClient is a client of /realtime/v1/websocket that looks at whole frames.
type phoenixClient struct{ *client }

func (n *node) dialPhoenix(query string) phoenixClient {
	n.t.Helper()
	return phoenixClient{n.dialPath("/realtime/v1/websocket?" + query)}
}

// want reads the next frames; a star in one stands for any text.
func (c phoenixClient) want(frames ...string) {
	c.t.Helper()
	for _, want := range frames {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		_, b, err := c.conn.Read(ctx)
		cancel()
		if err != nil {
			c.t.Fatalf("want %s: %v", want, err)
		}
		if !matchesStars(string(b), want) {
			c.t.Fatalf("got  %s\nwant %s", b, want)
		}
	}
}

func matchesStars(got, pattern string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return got == pattern
	}
	last := parts[len(parts)-1]
	if !strings.HasPrefix(got, parts[0]) || !strings.HasSuffix(got, last) {
		return false
	}
	for _, part := range parts[:len(parts)-1] {
		at := strings.Index(got, part)
		if at < 0 {
			return false
		}
		got = got[at+len(part):]
	}
	return len(got) >= len(last)
}

func TestPhoenixFrontDoor(t *testing.T) {
	n := startNode(t, nodeOptions{})
	ann, ben, old := n.dialPhoenix("apikey=user:ann&vsn=2.0.0"), n.dialPhoenix("apikey=user:ben&vsn=2.0.0"), n.dialPhoenix("apikey=user:old")
	other := n.dial("?token=user:cat").admitted()

	ann.send(`[null,"1","phoenix","heartbeat",{}]`)
	ann.want(`[null,"1","phoenix","phx_reply",{"status":"ok","response":{}}]`)
	for _, c := range []phoenixClient{ann, ben} {
		c.send(`["2","2","realtime:room","phx_join",{"config":{"broadcast":{"ack":true,"self":true},"presence":{"enabled":false}}}]`)
		c.want(`["2","2","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
	}
	old.send(`{"topic":"realtime:room","event":"phx_join","payload":{"config":{"presence":{"enabled":false}}},"ref":"2","join_ref":"2"}`)
	old.want(`{"topic":"realtime:room","event":"phx_reply","ref":"2","payload":{"status":"ok","response":{"postgres_changes":[]}}}`)
	other.send(`{"type":"subscribe","channel":"room"}`)
	other.expect(`{"type":"ack"}`)
	other.expect(`{"type":"presence"}`)

	// A broadcast in either form reaches clients of every dialect, its sender when it
	// wants that, and is acknowledged.
	const said = `{"type":"broadcast","event":"say","payload":{"a":1}}`
	for ref, send := range map[string]func(){
		"3": func() {
			ann.send(`["2","3","realtime:room","broadcast",{"type":"broadcast","event":"say","payload":{"a":1}}]`)
		},
		"4": func() {
			ann.sendBinary(binaryPush("2", "4", "realtime:room", "say", "", phoenixJSON, `{"a":1}`))
		},
	} {
		send()
		ann.inAnyOrder(`[null,null,"realtime:room","broadcast",`+said+`]`, `["2","`+ref+`","realtime:room","phx_reply",{"status":"ok","response":{}}]`)
		ben.want(`[null,null,"realtime:room","broadcast",` + said + `]`)
		old.want(`{"topic":"realtime:room","event":"broadcast","ref":null,"payload":` + said + `}`)
		other.expect(`{"type":"broadcast","channel":"room","payload":{"broadcast":{"event":"say","payload":{"a":1}}}}`)
	}
	// Bytes reach those who can take them.
	ann.sendBinary(binaryPush("2", "5", "realtime:room", "raw", "", phoenixRawBytes, "\x00\xff"))
	ann.inAnyOrder("\x04\x0d\x03\x00\x00realtime:roomraw\x00\xff", `["2","5","realtime:room","phx_reply",{"status":"ok","response":{}}]`)
	ben.want("\x04\x0d\x03\x00\x00realtime:roomraw\x00\xff")
	other.expect(`{"type":"broadcast","payload":{"broadcast":{"event":"raw","payload":"AP8="}}}`)
	// What comes from elsewhere arrives here; old does not have the bytes before it.
	other.send(`{"type":"broadcast","channel":"room","event":"say","payload":{"a":1}}`)
	other.expect(`{"type":"broadcast","payload":{"broadcast":{"self":true}}}`)
	old.want(`{"topic":"realtime:room","event":"broadcast","ref":null,"payload":` + said + `}`)
	ben.want(`[null,null,"realtime:room","broadcast",` + said + `]`)

	// Leaving ends it.
	ben.send(`["2","6","realtime:room","phx_leave",{}]`)
	ben.want(`["2","6","realtime:room","phx_reply",{"status":"ok","response":{}}]`, `["2","2","realtime:room","phx_close",{}]`)
	other.send(`{"type":"broadcast","channel":"room","event":"late","payload":1}`)
	other.expect(`{"type":"broadcast"}`)
	old.want(`*"late"*`)
	ben.send(`[null,"7","phoenix","heartbeat",{}]`)
	ben.want(`[null,"7","phoenix","phx_reply",*]`)
}

// TestPhoenixPresence: a newcomer gets the state, everybody else the difference.
func TestPhoenixPresence(t *testing.T) {
	n := startNode(t, nodeOptions{})
	ann, ben := n.dialPhoenix("apikey=user:ann&vsn=2.0.0"), n.dialPhoenix("apikey=user:ben&vsn=2.0.0")
	join := func(c phoenixClient, key string) {
		c.send(`["1","1","realtime:room","phx_join",{"config":{"presence":{"key":%q,"enabled":true}}}]`, key)
		c.want(`["1","1","realtime:room","phx_reply",*]`)
	}
	join(ann, "ann")
	ann.want(`[null,null,"realtime:room","presence_state",{}]`)
	ann.send(`["1","2","realtime:room","presence",{"type":"presence","event":"track","payload":{"mood":"good"}}]`)
	ann.inAnyOrder(`["1","2","realtime:room","phx_reply",{"status":"ok","response":{}}]`,
		`[null,null,"realtime:room","presence_diff",{"joins":{"ann":{"metas":[{"mood":"good","phx_ref":"*"}]}},"leaves":{}}]`)
	join(ben, "ben")
	ben.want(`[null,null,"realtime:room","presence_state",{"ann":{"metas":[{"mood":"good","phx_ref":"*"}]}}]`)
	ann.send(`["1","3","realtime:room","presence",{"type":"presence","event":"track","payload":{"mood":"bad"}}]`)
	update := `[null,null,"realtime:room","presence_diff",{"joins":{"ann":{"metas":[{"mood":"bad","phx_ref":"*","phx_ref_prev":"*"}]}},"leaves":{"ann":{"metas":[{"mood":"good","phx_ref":"*"}]}}}]`
	ann.inAnyOrder(`["1","3","realtime:room","phx_reply",{"status":"ok","response":{}}]`, update)
	ben.want(update)
	ann.send(`["1","4","realtime:room","presence",{"type":"presence","event":"untrack"}]`)
	ben.want(`[null,null,"realtime:room","presence_diff",{"joins":{},"leaves":{"ann":{"metas":[{"mood":"bad","phx_ref":"*"}]}}}]`)
}

// TestPhoenixExpiry: with the token ends what was joined with it, not the socket.
func TestPhoenixExpiry(t *testing.T) {
	n := startNode(t, nodeOptions{})
	c := n.dialPhoenix("apikey=user:door&vsn=2.0.0")
	c.send(`["1","1","realtime:room","phx_join",{"config":{"presence":{"enabled":false}},"access_token":"user:ann@300ms"}]`)
	c.want(`["1","1","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`,
		`["1",null,"realtime:room","system",{"extension":"system","status":"error","message":"token expired","channel":"room","code":"EXPIRED_TOKEN"}]`,
		`["1","1","realtime:room","phx_close",{}]`)
	c.send(`["2","2","realtime:room","phx_join",{"config":{"presence":{"enabled":false}},"access_token":"nonsense"}]`)
	c.want(`["2","2","realtime:room","phx_reply",{"status":"error","response":{"reason":"INVALID_TOKEN: *"}}]`)
	c.send(`["3","3","realtime:room","phx_join",{"config":{"presence":{"enabled":false}},"access_token":"user:ann"}]`)
	c.want(`["3","3","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`)
	// The socket's own credential is another matter.
	short := n.dialPhoenix("apikey=user:door@300ms&vsn=2.0.0")
	if code, _ := short.closes(); code != 4001 {
		t.Errorf("closed with %d", code)
	}
}

func TestPhoenixLimits(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Limits: budget.Limits{Connection: budget.Rates{Joins: 1}}}})
	c := n.dialPhoenix("apikey=user:ann&vsn=2.0.0")
	for _, ref := range []string{"1", "2"} {
		c.send(`[%[1]q,%[1]q,"realtime:room%[1]s","phx_join",{"config":{"presence":{"enabled":false}}}]`, ref)
		c.want(`["` + ref + `","` + ref + `","realtime:room` + ref + `","phx_reply",{"status":"ok",*`)
	}
	c.send(`["3","3","realtime:room3","phx_join",{"config":{"presence":{"enabled":false}}}]`)
	c.want(`["3","3","realtime:room3","phx_reply",{"status":"error","response":{"reason":"RATE_LIMIT_EXCEEDED: *"}}]`)
}

// TestPhoenixBroadcastBudget: every message of a request counts.
func TestPhoenixBroadcastBudget(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Limits: budget.Limits{Tenant: budget.Rates{Messages: 1}}}})
	for _, messages := range []int{1, 10} {
		want := 202
		if messages > 1 {
			want = 429
		}
		body := `{"messages":[` + strings.TrimSuffix(strings.Repeat(`{"topic":"a","event":"e"},`, messages), ",") + `]}`
		res, err := http.Post("http://"+n.addr+"/realtime/v1/api/broadcast?apikey=user:ann", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != want {
			t.Errorf("%d messages: %d", messages, res.StatusCode)
		}
	}
}

// TestPhoenixHandshake: who may not open a socket is told in JSON.
func TestPhoenixHandshake(t *testing.T) {
	n := startNode(t, nodeOptions{})
	for query, status := range map[string]int{"apikey=nonsense&vsn=2.0.0": 401, "apikey=user:ann&vsn=3.0.0": 400} {
		_, res, err := websocket.Dial(t.Context(), "ws://"+n.addr+"/realtime/v1/websocket?"+query, nil)
		if err == nil || res == nil || res.StatusCode != status || !strings.HasPrefix(res.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %v %v", query, res, err)
		}
	}
}

func (c phoenixClient) sendBinary(b []byte) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.conn.Write(ctx, websocket.MessageBinary, b); err != nil {
		c.t.Fatalf("send: %v", err)
	}
}

// inAnyOrder is want for two frames whose order nobody promises.
func (c phoenixClient) inAnyOrder(a, b string) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	_, first, err := c.conn.Read(ctx)
	if err != nil {
		c.t.Fatalf("want %s: %v", a, err)
	}
	switch {
	case matchesStars(string(first), a):
		c.want(b)
	case matchesStars(string(first), b):
		c.want(a)
	default:
		c.t.Fatalf("got  %s\nwant %s\nor   %s", first, a, b)
	}
}
