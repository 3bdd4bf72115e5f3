package realtime

import (
	"encoding/json"
	"testing"
	"time"
	"unicode/utf8"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/execution"
)

// payloadOf checks that b is one whole text frame and gives its payload.
func payloadOf(t *testing.T, b []byte) string {
	t.Helper()
	head, n := 2, int(b[1])
	switch n {
	case 126:
		head, n = 4, int(b[2])<<8|int(b[3])
	case 127:
		head, n = 10, int(b[6])<<24|int(b[7])<<16|int(b[8])<<8|int(b[9])
	}
	if b[0] != 0x81 || len(b) != head+n {
		t.Fatalf("frame % x… of %d bytes announces %d", b[:head], len(b), n)
	}
	payload := b[head:]
	if !json.Valid(payload) || !utf8.Valid(payload) {
		t.Fatalf("no JSON: %s", payload)
	}
	return string(payload)
}

func TestNativeFrames(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_900_000, time.FixedZone("", 3600))
	var n native
	tests := []struct {
		name, want string
		got        []byte
	}{
		{"insert", `{"type":"postgres_changes","payload":{"type":"INSERT","schema":"public","table":"notes","record":{"id":1},"commit_timestamp":"2026-03-04T04:06:07.008Z","errors":null,"columns":[{"name":"id","type":"int4"}],"subscription_ids":["a","b"]}}`,
			n.AppendChange(nil, &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Insert, Record: []byte(`{"id":1}`),
				Columns: []delivery.Column{{Name: "id", Type: "int4"}}, CommitTimestamp: at}, []string{"a", "b"})},
		{"delete that left the view", `{"type":"postgres_changes","payload":{"type":"DELETE","schema":"public","table":"notes","record":null,"old_record":{"id":1},"commit_timestamp":"2026-03-04T04:06:07.008Z","errors":null,"columns":[],"subscription_ids":["a"],"left":true,"cursor":"p"}}`,
			n.AppendChange(nil, &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Delete, OldRecord: []byte(`{"id":1}`),
				Left: true, Position: "p", CommitTimestamp: at}, []string{"a"})},
		{"rows", `{"type":"snapshot","subscription_id":"s","payload":{"schema":"public","table":"notes","records":[{"id":1},{"id":2}],"columns":[{"name":"id","type":"int4"}],"begin":true}}`,
			n.AppendSnapshot(nil, &delivery.Snapshot{Schema: "public", Table: "notes", Records: []json.RawMessage{[]byte(`{"id":1}`), []byte(`{"id":2}`)},
				Columns: []delivery.Column{{Name: "id", Type: "int4"}}, Begin: true}, "s")},
		{"last rows", `{"type":"snapshot","subscription_id":"s","payload":{"schema":"public","table":"notes","records":[],"columns":[],"done":true,"cursor":"p"}}`,
			n.AppendSnapshot(nil, &delivery.Snapshot{Schema: "public", Table: "notes", Done: true, Position: "p"}, "s")},
		{"position", `{"type":"position","subscription_id":"s","payload":{"cursor":"p"}}`,
			n.AppendNotice(nil, &delivery.Notice{Type: "position", SubscriptionID: "s", Position: "p"})},
		{"table ack with a cursor", `{"type":"ack","subscription_id":"s","payload":{"subscribed":true,"subscription_id":"s","snapshot":true,"resume_failed":"too_old","cursor":"p"}}`,
			n.AppendReply(nil, connection.TableSubscribed{SubscriptionID: "s", Snapshot: true, Cursor: "p", Unresumed: delivery.TooOld})},
		{"failed resume", `{"type":"resume_failed","message":"gone","code":"too_old","channel":"c","subscription_id":"s"}`,
			n.AppendReply(nil, connection.ResumeFailed{Channel: "c", SubscriptionID: "s", Reason: delivery.TooOld, Message: "gone"})},
		{"broadcast", `{"type":"broadcast","channel":"room","offset":7,"epoch":2,"payload":{"broadcast":{"event":"say","payload":"hi","messageId":"m1"}}}`,
			n.AppendBroadcast(nil, &delivery.Broadcast{Channel: "room", Event: "say", Payload: []byte(`"hi"`), MessageID: "m1", Offset: 7, Epoch: 2}, false)},
		{"private broadcast of bytes", `{"type":"broadcast","channel":"room","private":true,"payload":{"broadcast":{"event":"say","encoding":"base64","payload":"AP8=","id":"u","replayed":true}}}`,
			n.AppendBroadcast(nil, &delivery.Broadcast{Channel: "room", Private: true, Event: "say", Raw: []byte{0, 255}, ID: "u", Replayed: true}, false)},
		{"own broadcast", `{"type":"broadcast","channel":"a\"b","payload":{"broadcast":{"event":"say","payload":null,"self":true}}}`,
			n.AppendBroadcast(nil, &delivery.Broadcast{Channel: `a"b`, Event: "say"}, true)},
		{"notice", `{"type":"messages_lost","message":"some","code":"MESSAGES_LOST","channel":"room"}`,
			n.AppendNotice(nil, &delivery.Notice{Type: "messages_lost", Channel: "room", Code: "MESSAGES_LOST", Message: "some"})},
		{"error notice", `{"type":"error","error":"gone","code":"X","subscription_id":"s","payload":{"a":1}}`,
			n.AppendNotice(nil, &delivery.Notice{Type: "error", SubscriptionID: "s", Code: "X", Message: "gone", Payload: []byte(`{"a":1}`)})},
		{"table ack", `{"type":"ack","channel":"c","subscription_id":"s","payload":{"subscribed":true,"subscription_id":"s","schema":"public","table":"notes","event":"*","filter":"id=eq.1"}}`,
			n.AppendReply(nil, connection.TableSubscribed{Channel: "c", SubscriptionID: "s", Schema: "public", Table: "notes", Event: "*", Filter: "id=eq.1"})},
		{"channel ack", `{"type":"ack","channel":"c","payload":{"subscribed":true,"channel":"c"}}`,
			n.AppendReply(nil, connection.ChannelSubscribed{Channel: "c"})},
		{"unsubscribe ack", `{"type":"ack","subscription_id":"s","payload":{"unsubscribed":true,"subscription_id":"s"}}`,
			n.AppendReply(nil, connection.Unsubscribed{SubscriptionID: "s"})},
		{"broadcast ack", `{"type":"ack","channel":"c","messageId":"m","status":"ok","offset":1,"epoch":2,"payload":{"messageId":"m","status":"ok"}}`,
			n.AppendReply(nil, connection.BroadcastAccepted{Channel: "c", MessageID: "m", Offset: 1, Epoch: 2})},
		{"log ack", `{"type":"ack","subscription_id":"s","payload":{"subscribed":true,"subscription_id":"s","execution_id":"x","type":"rpc"}}`,
			n.AppendReply(nil, connection.LogSubscribed{SubscriptionID: "s", ExecutionID: "x", ExecutionType: "rpc"})},
		{"line of a log", `{"type":"execution_log","payload":{"execution_id":"x","execution_type":"rpc","line_number":3,"level":"info","message":"","timestamp":"2026-03-04T04:06:07.0089Z","fields":{"a":1}}}`,
			n.AppendReply(nil, connection.ExecutionLogged{ExecutionID: "x", Line: execution.Line{Number: 3, Kind: "rpc", Level: "info", At: at, Fields: []byte(`{"a":1}`)}})},
		{"token ack", `{"type":"ack","payload":{"type":"access_token","updated":true}}`,
			n.AppendReply(nil, connection.TokenUpdated{})},
		{"error", `{"type":"error","error":"no","code":"C","channel":"c","messageId":"m","status":"error"}`,
			n.AppendReply(nil, connection.Refused{Code: "C", Message: "no", Channel: "c", MessageID: "m"})},
		{"limit", `{"type":"error","error":"max_connections_reached","code":"MAX_CONNECTIONS_REACHED","payload":{"message":"x"}}`,
			n.AppendReply(nil, connection.Refused{Code: "MAX_CONNECTIONS_REACHED", Message: "max_connections_reached", Payload: []byte(`{"message":"x"}`)})},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := payloadOf(t, test.got); got != test.want {
				t.Errorf("got  %s\nwant %s", got, test.want)
			}
		})
	}
}

// TestFramesFollowEachOther: a frame appended behind others leaves them alone,
// whatever the length of its header.
func TestFramesFollowEachOther(t *testing.T) {
	for _, n := range []int{0, 10, 125, 126, 300, 65535, 65536, 100_000} {
		payload, err := json.Marshal(string(make([]byte, 0)) + string(jsonFiller(n)))
		if err != nil {
			t.Fatal(err)
		}
		b := native{}.AppendBroadcast([]byte("before"), &delivery.Broadcast{Channel: "c", Event: "e", Payload: payload}, false)
		if string(b[:6]) != "before" {
			t.Fatalf("overwrote what was there: %q", b[:6])
		}
		payloadOf(t, b[6:])
	}
}

func jsonFiller(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func FuzzAppendString(f *testing.F) {
	f.Add("plain")
	f.Add("\x00\x1f\"\\/\u2028\xff€")
	f.Fuzz(func(t *testing.T, s string) {
		b := appendString(nil, s)
		var back string
		if err := json.Unmarshal(b, &back); err != nil || !utf8.Valid(b) {
			t.Fatalf("%q → %q: %v", s, b, err)
		}
		if utf8.ValidString(s) && back != s {
			t.Fatalf("%q came back as %q", s, back)
		}
	})
}

func BenchmarkAppendBroadcast(b *testing.B) {
	m := &delivery.Broadcast{Channel: "broadcast:bench", Event: "e", Payload: jsonFiller(128), Offset: 1, Epoch: 1}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = native{}.AppendBroadcast(buf[:0], m, false)
	}
}
