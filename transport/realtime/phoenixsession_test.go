package realtime

import (
	"fmt"
	"strings"
	"testing"

	"fluxbase/actors/connection"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// phoenixPeer is a client and a connection around a session.
type phoenixPeer struct {
	t       *testing.T
	dialect phoenix
	session connection.Session
}

func newPhoenixPeer(t *testing.T, version phoenixVersion) *phoenixPeer {
	d := phoenix{phoenixCodec: phoenixCodec{version: version}}
	return &phoenixPeer{t: t, dialect: d, session: d.NewSession(caller.Caller{Tenant: "t"})}
}

// framesOf gives the payloads of text frames.
func framesOf(t *testing.T, b []byte) (payloads []string) {
	t.Helper()
	for len(b) > 0 {
		n := 2 + int(b[1])
		if b[1] == 126 {
			n = 4 + int(b[2])<<8 + int(b[3])
		}
		payloads = append(payloads, payloadOf(t, b[:n]))
		b = b[n:]
	}
	return payloads
}

// turn writes what a session did: frames, then messages.
func (p *phoenixPeer) turn(turn connection.Turn) string {
	p.t.Helper()
	out := framesOf(p.t, turn.Frames)
	if len(out) != turn.Count {
		p.t.Errorf("%d frames are counted as %d", len(out), turn.Count)
	}
	for _, m := range turn.Messages {
		switch m := m.(type) {
		case connection.SubscribeTable:
			out = append(out, fmt.Sprintf("follow %s.%s %s %s as %q", m.Schema, m.Table, m.Event, m.Filter, m.ID))
		case connection.SubscribeChannel:
			out = append(out, fmt.Sprintf("join %s private %v presences %v codec %s", m.Channel, m.Private, m.Presences == connection.PresencesWanted, m.Codec.Dialect()))
			if m.Replay != nil {
				out = append(out, fmt.Sprintf("with %d messages since %d", m.Replay.Limit, m.Replay.Since.UnixMilli()))
			}
		case connection.Unsubscribe:
			out = append(out, fmt.Sprintf("leave %s private %v", m.Channel, m.Private))
		case connection.Broadcast:
			out = append(out, fmt.Sprintf("publish %s %s %s%q as %s", m.Channel, m.Event, m.Payload, m.Raw, m.MessageID))
		case connection.Track:
			out = append(out, fmt.Sprintf("track %s %s %s as %s", m.Channel, m.Key, m.State, m.Ref))
		case connection.Untrack:
			out = append(out, fmt.Sprintf("untrack %s %s", m.Channel, m.Key))
		case connection.RefreshToken:
			out = append(out, "become "+m.Caller.UserID)
		default:
			p.t.Errorf("unexpected %T", m)
		}
	}
	return strings.Join(out, "\n")
}

// say sends a text frame. A token that it shows is the id of a user of tenant t,
// unless it is "bad" or "foreign".
func (p *phoenixPeer) say(frame string) string {
	p.t.Helper()
	msg := p.dialect.parse(opText, []byte(frame))
	if m, ok := msg.(tokenMessage); ok && m.shown() != "" {
		r := connection.RefreshToken{Caller: caller.Caller{Tenant: "t", UserID: m.shown()}}
		switch m.shown() {
		case "bad":
			r = connection.RefreshToken{Err: fault.New(fault.InvalidToken, "Invalid token")}
		case "foreign":
			r.Caller.Tenant = "u"
		}
		msg = m.judged(r)
	}
	return p.turn(p.session.Hear(msg))
}

func (p *phoenixPeer) answer(r connection.Reply) string {
	p.t.Helper()
	return p.turn(p.session.Answer(r))
}

type phoenixStep struct {
	in   any // a frame, or a reply of the connection
	want string
}

func (p *phoenixPeer) run(steps []phoenixStep) {
	p.t.Helper()
	for i, step := range steps {
		var got string
		switch in := step.in.(type) {
		case string:
			got = p.say(in)
		case connection.Reply:
			got = p.answer(in)
		}
		if got != step.want {
			p.t.Errorf("step %d: %v\n got  %s\n want %s", i, step.in, got, step.want)
		}
	}
}

func TestPhoenixSession(t *testing.T) {
	room := connection.ChannelSubscribed{Channel: "room"}
	newPhoenixPeer(t, phoenixV2).run([]phoenixStep{
		{`[null,"5","phoenix","heartbeat",{}]`, `[null,"5","phoenix","phx_reply",{"status":"ok","response":{}}]`},
		{`[null,"5","phoenix","dance",{}]`, `[null,"5","phoenix","phx_reply",{"status":"error","response":{"reason":"UNKNOWN_MESSAGE_TYPE: unknown event \"dance\""}}]`},
		{`[null,"5","realtime:room","heartbeat",{}]`, `[null,"5","realtime:room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		// A topic that is not joined.
		{`["1","2","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":1}]`, `["1","2","realtime:room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		{`["1","2","realtime:room","phx_leave",{}]`, `["1","2","realtime:room","phx_reply",{"status":"ok","response":{}}]`},
		{`["1","1","room","phx_join",{}]`, `["1","1","room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]`},
		// Join; what comes before the answer waits for it.
		{`["1","1","realtime:room","phx_join",{"config":{"broadcast":{"ack":true,"self":true},"presence":{"key":"me","enabled":true},"postgres_changes":[],"private":false}}]`,
			`join room private false presences true codec phoenix2 self`},
		{`["1","2","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":{"a":1}}]`, ``},
		{room, `["1","1","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]` + "\n" + `publish room e {"a":1}"" as 1`},
		{connection.BroadcastAccepted{Channel: "room", MessageID: "1"}, `["1","2","realtime:room","phx_reply",{"status":"ok","response":{}}]`},
		{connection.BroadcastAccepted{Channel: "room", MessageID: "1"}, ``},
		{`["0","3","realtime:room","broadcast",{"type":"broadcast","event":"e","payload":1}]`, ``}, // of an earlier join
		{`[null,3,"realtime:room","broadcast",{"event":"e"}]`, `publish room e {}"" as 2`},
		{connection.Refused{Channel: "room", MessageID: "2", Code: fault.Overloaded, Message: "busy"}, `[null,3,"realtime:room","phx_reply",{"status":"error","response":{"reason":"OVERLOADED: busy"}}]`},
		{`["1","4","realtime:room","broadcast",{"payload":1}]`, `["1","4","realtime:room","phx_reply",{"status":"error","response":{"reason":"MISSING_REQUIRED_FIELD: event is required for broadcast"}}]`},
		{`["1","4","realtime:room","broadcast",{"event":"e","persist":true}]`, `["1","4","realtime:room","phx_reply",{"status":"error","response":{"reason":"INVALID_INPUT: messages are kept when they are sent with realtime.send"}}]`},
		// Presence.
		{`["1","5","realtime:room","presence",{"type":"presence","event":"track","payload":{"x":1}}]`, `track room me {"x":1} as 3`},
		{connection.PresenceTracked{Channel: "room", Ref: "3"}, `["1","5","realtime:room","phx_reply",{"status":"ok","response":{}}]`},
		{`["1","6","realtime:room","presence",{"event":"track"}]`, `track room me {} as 4`},
		{connection.Refused{Channel: "room", Ref: "4", Code: fault.PresenceLimitReached, Message: "full"}, `["1","6","realtime:room","phx_reply",{"status":"error","response":{"reason":"PRESENCE_LIMIT_REACHED: full"}}]`},
		{`["1","7","realtime:room","presence",{"event":"UNTRACK"}]`, `["1","7","realtime:room","phx_reply",{"status":"ok","response":{}}]` + "\nuntrack room me"},
		{`["1","7","realtime:room","presence",{"event":"wave"}]`, `["1","7","realtime:room","phx_reply",{"status":"error","response":{"reason":"INVALID_INPUT: unknown presence event \"wave\""}}]`},
		// What the connection has to say by itself.
		{connection.Refused{Channel: "room", Code: fault.MessagesLost, Message: "gap"}, `["1",null,"realtime:room","system",{"extension":"system","status":"error","message":"gap","channel":"room","code":"MESSAGES_LOST"}]`},
		{connection.Refused{Channel: "room", Private: true, Code: fault.MessagesLost, Message: "gap"}, ``},
		{connection.TokenUpdated{}, ``},
		// A channel that fails can be joined again.
		{connection.Refused{Channel: "room", Ended: true, Code: fault.Timeout, Message: "late"}, `["1",null,"realtime:room","system",{"extension":"system","status":"error","message":"late","channel":"room","code":"TIMEOUT"}]` + "\n" +
			`["1","1","realtime:room","phx_error",{}]` + "\nleave room private false"},
		{`["1","1","realtime:room","phx_join",{"config":{}}]`, `join room private false presences true codec phoenix2`},
		{room, `["1","1","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		{`["7","7","realtime:past","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":5,"limit":2}}}}]`, "join past private true presences true codec phoenix2\nwith 2 messages since 5"},
		{`["7","7","realtime:past","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":5,"limit":26}}}}]`, `["7","7","realtime:past","phx_reply",{"status":"error","response":{"reason":"INVALID_INPUT: replay needs since, and a limit up to 25"}}]`},
		{`["7","7","realtime:past","phx_join",{"config":{"private":true,"broadcast":{"replay":{"since":"x"}}}}]`, `["7","7","realtime:past","phx_reply",{"status":"error","response":{"reason":"INVALID_INPUT: replay needs since, in milliseconds, and perhaps a limit"}}]`},
		// A second join closes the first.
		{`["8","8","realtime:room","phx_join",{"config":{"private":"true","presence":{"enabled":false}}}]`, `["1","1","realtime:room","phx_close",{}]` + "\nleave room private false\njoin room private true presences false codec phoenix2"},
		{room, ``},
		{connection.ChannelSubscribed{Channel: "room", Private: true}, `["8","8","realtime:room","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		{`["1","9","realtime:room","phx_leave",{}]`, ``},
		{`["8","9","realtime:room","phx_leave",{}]`, `["8","9","realtime:room","phx_reply",{"status":"ok","response":{}}]` + "\n" + `["8","8","realtime:room","phx_close",{}]` + "\nleave room private true"},
		{connection.Unsubscribed{Channel: "room"}, ``},
		// A join that fails.
		{`["10","10","realtime:room","phx_join",{"config":{}}]`, `join room private false presences true codec phoenix2`},
		{`["10","11","realtime:room","broadcast",{"event":"e"}]`, ``},
		{connection.Refused{Channel: "room", Code: fault.ChannelLimitReached, Message: "too many"},
			`["10","10","realtime:room","phx_reply",{"status":"error","response":{"reason":"CHANNEL_LIMIT_REACHED: too many"}}]` + "\n" +
				`["10","11","realtime:room","phx_reply",{"status":"error","response":{"reason":"unmatched topic"}}]` + "\nleave room private false"},
	})
}

func TestPhoenixSessionTables(t *testing.T) {
	const (
		all  = `"postgres_changes":[{"event":"*","schema":"public","table":"notes"},{"event":"UPDATE","schema":"public","table":"notes","filter":"id=eq.1","select":["id","body"]}]`
		id1  = "793381601@realtime:db"
		id2  = "457721468@realtime:db\x00id\x00body"
		fail = `["2","2","realtime:db","phx_reply",{"status":"error","response":{"reason":`
	)
	p := newPhoenixPeer(t, phoenixV2)
	follow := fmt.Sprintf("follow public.notes *  as %q\nfollow public.notes UPDATE id=eq.1 as %q", id1, id2)
	p.run([]phoenixStep{
		{`["1","1","realtime:db","phx_join",{"config":{` + all + `}}]`, follow},
		{connection.TableSubscribed{SubscriptionID: id2}, ``},
		{connection.TableSubscribed{SubscriptionID: id1}, `join db private false presences true codec phoenix2`},
		{connection.ChannelSubscribed{Channel: "db"}, `["1","1","realtime:db","phx_reply",{"status":"ok","response":{"postgres_changes":[` +
			`{"event":"*","schema":"public","table":"notes","id":793381601},{"event":"UPDATE","schema":"public","table":"notes","filter":"id=eq.1","select":["id","body"],"id":457721468}]}}]` + "\n" +
			`["1",null,"realtime:db","system",{"extension":"postgres_changes","status":"ok","message":"Subscribed to PostgreSQL","channel":"db"}]`},
		{connection.Refused{SubscriptionID: id1, Code: fault.InsufficientPermissions, Message: "no"}, `["1",null,"realtime:db","system",{"extension":"postgres_changes","status":"error","message":"no","channel":"db","code":"INSUFFICIENT_PERMISSIONS"}]`},
		// A table that cannot be followed fails the join.
		{`["2","2","realtime:db","phx_join",{"config":{` + all + `}}]`, `["1","1","realtime:db","phx_close",{}]` + "\nleave db private false\n" + follow},
		{connection.Refused{SubscriptionID: id2, Code: fault.RealtimeNotEnabled, Message: "off"}, fail + `"REALTIME_NOT_ENABLED: off"}}]` + "\nleave db private false"},
		{connection.TableSubscribed{SubscriptionID: id1}, ``},
		// What is not understood is not followed.
		{`["2","2","realtime:db","phx_join",{"config":{"postgres_changes":[{"table":"notes","event":"TRUNCATE"}]}}]`, fail + `"INVALID_INPUT: event must be INSERT, UPDATE, DELETE or *"}}]`},
		{`["2","2","realtime:db","phx_join",{"config":{"postgres_changes":[{"table":"notes","filter":"id"}]}}]`, fail + `"INVALID_QUERY: invalid filter: invalid filter format: id (expected: column=operator.value)"}}]`},
		{`["2","2","realtime:db","phx_join",{"config":{"postgres_changes":[{"schema":"public","filter":"id=eq.1"}]}}]`, fail + `"INVALID_INPUT: a filter needs a table"}}]`},
		{`["2","2","realtime:db","phx_join",{"config":{"postgres_changes":[{"table":5}]}}]`, fail + `"INVALID_INPUT: postgres_changes must be objects of texts, with a list of texts as select"}}]`},
		{`["2","2","realtime:db","phx_join",{"config":{"postgres_changes":[{"table":"notes","select":[]}]}}]`, fail + `"INVALID_INPUT: select must name a column"}}]`},
		// Wildcards, and equal bindings under one number.
		{`["3","3","realtime:db","phx_join",{"config":{"postgres_changes":[{"event":"*","schema":"public"},{},{"schema":"*"}]}}]`,
			`follow public.* *  as "1899429472@realtime:db"` + "\n" + `follow *.* *  as "157009236@realtime:db"`},
	})
}

func TestPhoenixLegacyJoin(t *testing.T) {
	id := "0@realtime:public:notes:id=eq.1"
	newPhoenixPeer(t, phoenixV1).run([]phoenixStep{
		{`{"topic":"realtime:public:notes:id=eq.1","event":"phx_join","payload":{},"ref":"1","join_ref":"1"}`, fmt.Sprintf("follow public.notes * id=eq.1 as %q", id)},
		{connection.TableSubscribed{SubscriptionID: id}, `join public:notes:id=eq.1 private false presences true codec phoenix1`},
		{connection.ChannelSubscribed{Channel: "public:notes:id=eq.1"}, `{"topic":"realtime:public:notes:id=eq.1","event":"phx_reply","ref":"1","payload":{"status":"ok","response":{}}}` + "\n" +
			`{"topic":"realtime:public:notes:id=eq.1","event":"system","ref":null,"payload":{"extension":"postgres_changes","status":"ok","message":"Subscribed to PostgreSQL","channel":"public:notes:id=eq.1"}}`},
		{`{"topic":"realtime:lobby","event":"phx_join","payload":{"config":7},"ref":2}`, `join lobby private false presences true codec phoenix1`},
	})
}

func TestPhoenixTokens(t *testing.T) {
	p := newPhoenixPeer(t, phoenixV2)
	const end = `["1",null,"realtime:a","system",{"extension":"system","status":"error","message":`
	p.run([]phoenixStep{
		{`["1","1","realtime:a","phx_join",{"config":{},"access_token":"bad"}]`, `["1","1","realtime:a","phx_reply",{"status":"error","response":{"reason":"INVALID_TOKEN: Invalid token"}}]`},
		{`["1","1","realtime:a","phx_join",{"config":{},"access_token":"foreign"}]`, `["1","1","realtime:a","phx_reply",{"status":"error","response":{"reason":"INVALID_TOKEN: the token is for another tenant"}}]`},
		{`["1","1","realtime:a","phx_join",{"config":{},"user_token":"ann"}]`, "become ann\njoin a private false presences true codec phoenix2"},
		{connection.ChannelSubscribed{Channel: "a"}, `["1","1","realtime:a","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		// The same token, a publishable key and nothing at all are no news.
		{`["1","2","realtime:a","access_token",{"access_token":"ann"}]`, ``},
		{`["1","2","realtime:a","access_token",{"access_token":"sb_publishable_x"}]`, ``},
		{`["1","2","realtime:a","access_token",{"access_token":null}]`, ``},
		{`["1","2","realtime:a","access_token",{"access_token":"ben"}]`, `become ben`},
		{`["1","2","realtime:a","access_token",{"access_token":"bad"}]`, end + `"Invalid token","channel":"a","code":"INVALID_TOKEN"}]` + "\n" + `["1","1","realtime:a","phx_close",{}]` + "\nleave a private false"},
		// The end of the token is the end of what was joined with it.
		{`["1","1","realtime:a","phx_join",{"config":{}}]`, "join a private false presences true codec phoenix2"},
		{connection.ChannelSubscribed{Channel: "a"}, `["1","1","realtime:a","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		{connection.TokenExpired{}, end + `"token expired","channel":"a","code":"EXPIRED_TOKEN"}]` + "\n" + `["1","1","realtime:a","phx_close",{}]` + "\nleave a private false"},
		{`["1","1","realtime:a","phx_join",{"config":{},"access_token":"ben"}]`, "become ben\njoin a private false presences true codec phoenix2"},
		{connection.ChannelSubscribed{Channel: "a"}, `["1","1","realtime:a","phx_reply",{"status":"ok","response":{"postgres_changes":[]}}]`},
		// So is a channel that the caller may not read any more, and the connection's end.
		{connection.Refused{Channel: "a", Ended: true, Code: fault.AccessDenied, Message: "no"}, end + `"no","channel":"a","code":"ACCESS_DENIED"}]` + "\n" + `["1","1","realtime:a","phx_close",{}]` + "\nleave a private false"},
		{`["1","1","realtime:a","phx_join",{"config":{}}]`, "join a private false presences true codec phoenix2"},
		{connection.Refused{Code: fault.RevokedToken, Message: "access revoked"}, `["1","1","realtime:a","phx_reply",{"status":"error","response":{"reason":"REVOKED_TOKEN: access revoked"}}]` + "\nleave a private false"},
	})
}

// TestPhoenixBounds: what waits for a join, or for answers, is bounded.
func TestPhoenixBounds(t *testing.T) {
	p := newPhoenixPeer(t, phoenixV2)
	push := `["1","2","realtime:a","broadcast",{"event":"e"}]`
	p.say(`["1","1","realtime:a","phx_join",{"config":{}}]`)
	for range maxPhoenixWaiting {
		if got := p.say(push); got != "" {
			t.Fatalf("got %s", got)
		}
	}
	if got := p.say(push); !strings.Contains(got, "OVERLOADED") {
		t.Errorf("got %s", got)
	}
	p.answer(connection.ChannelSubscribed{Channel: "a"})
	for range maxPhoenixPushes - maxPhoenixWaiting {
		if got := p.say(push); !strings.HasPrefix(got, "publish") {
			t.Fatalf("got %s", got)
		}
	}
	if got := p.say(push); !strings.Contains(got, "OVERLOADED") {
		t.Errorf("got %s", got)
	}
}
