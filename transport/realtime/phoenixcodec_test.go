package realtime

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/persistence/fault"
)

func TestPhoenixFrames(t *testing.T) {
	at := time.Date(2026, 3, 4, 5, 6, 7, 8_900_000, time.FixedZone("", 3600))
	columns := []delivery.Column{{Name: "id", Type: "int8"}, {Name: "tags", Type: "_text"}}
	v2, self, v1 := phoenixCodec{version: phoenixV2}, phoenixCodec{version: phoenixV2, self: true}, phoenixCodec{version: phoenixV1}
	id := func(number int, columns string) string {
		return phoenixSubscription{number: number, topic: "realtime:a", columns: columns}.id()
	}
	inserted := &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Insert, Record: []byte(`{"id": 1, "tags": ["x"]}`), Columns: columns, CommitTimestamp: at}
	deleted := &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Delete, OldRecord: []byte(`{"id":1}`), Left: true, CommitTimestamp: at}
	cut := &delivery.Change{Schema: "public", Table: "notes", Type: delivery.Update, Record: []byte(`{"id":1}`), Truncated: true, Entered: true, CommitTimestamp: at}
	ann := delivery.Meta{Key: "ann", Ref: "r2", PrevRef: "r1", State: []byte(` { "mood": "good" } `)}
	presence := func(c phoenixCodec, p delivery.Presence) []byte {
		frames, n := c.AppendPresence(nil, &p)
		if n != 1 {
			t.Errorf("%d messages", n)
		}
		return frames
	}
	const (
		columnsText = `"columns":[{"name":"id","type":"int8"},{"name":"tags","type":"_text"}]`
		data        = `{"schema":"public","table":"notes","type":"INSERT","commit_timestamp":"2026-03-04T04:06:07.008Z",` + columnsText + `,"record":{"id": 1, "tags": ["x"]},"errors":null}`
		onlyID      = `{"schema":"public","table":"notes","type":"INSERT","commit_timestamp":"2026-03-04T04:06:07.008Z","columns":[{"name":"id","type":"int8"}],"record":{"id":1},"errors":null}`
	)
	for _, test := range []struct {
		name string
		got  []byte
		want string
	}{
		{"insert", v2.AppendChange(nil, inserted, []string{id(7, "")}), `[null,null,"realtime:a","postgres_changes",{"ids":[7],"data":` + data + `}]`},
		{"insert, version 1", v1.AppendChange(nil, inserted, []string{id(7, "")}), `{"topic":"realtime:a","event":"postgres_changes","ref":null,"payload":{"ids":[7],"data":` + data + `}}`},
		{"one frame per topic and choice of columns", v2.AppendChange(nil, inserted, []string{id(7, ""), id(8, "id"), "9@realtime:b@c", id(6, ""), id(0, "")}),
			`[null,null,"realtime:a","postgres_changes",{"ids":[7,6],"data":` + data + `}]` +
				`[null,null,"realtime:a","postgres_changes",{"ids":[8],"data":` + onlyID + `}]` +
				`[null,null,"realtime:b@c","postgres_changes",{"ids":[9],"data":` + data + `}]` +
				`[null,null,"realtime:a","INSERT",` + data + `]`},
		{"delete", v2.AppendChange(nil, deleted, []string{id(7, "")}), `[null,null,"realtime:a","postgres_changes",{"ids":[7],"data":{"schema":"public","table":"notes","type":"DELETE","commit_timestamp":"2026-03-04T04:06:07.008Z","columns":[],"old_record":{"id":1},"left":true,"errors":null}}]`},
		{"row too large", v2.AppendChange(nil, cut, []string{id(7, "")}), `[null,null,"realtime:a","postgres_changes",{"ids":[7],"data":{"schema":"public","table":"notes","type":"UPDATE","commit_timestamp":"2026-03-04T04:06:07.008Z","columns":[],"record":{"id":1},"entered":true,"errors":["Error 413: Payload Too Large"]}}]`},
		{"broadcast", v2.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Payload: []byte(`"hi"`), MessageID: "m", Offset: 3, Epoch: 1}, false), `[null,null,"realtime:a","broadcast",{"type":"broadcast","event":"say","payload":"hi"}]`},
		{"kept broadcast", v1.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Payload: []byte(`1`), ID: "u", Replayed: true}, false), `{"topic":"realtime:a","event":"broadcast","ref":null,"payload":{"type":"broadcast","event":"say","payload":1,"meta":{"id":"u","replayed":true}}}`},
		{"own broadcast, not wanted", v2.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Payload: []byte(`1`)}, true), ``},
		{"own broadcast, wanted", self.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Payload: []byte(`1`)}, true), `[null,null,"realtime:a","broadcast",{"type":"broadcast","event":"say","payload":1}]`},
		{"bytes, version 1", v1.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Raw: []byte{1}}, false), ``},
		{"presence state", presence(v2, delivery.Presence{Channel: "a", Initial: true, State: func() []delivery.KeyMetas {
			return []delivery.KeyMetas{{Key: "ann", Metas: []delivery.Meta{ann, {Key: "ann", Ref: "r3", State: []byte(`{}`)}}}, {Key: "ben", Metas: []delivery.Meta{{Key: "ben", Ref: "r4", State: []byte(`7`)}}}}
		}}), `[null,null,"realtime:a","presence_state",{"ann":{"metas":[{"mood": "good","phx_ref":"r2","phx_ref_prev":"r1"},{"phx_ref":"r3"}]},"ben":{"metas":[{"state":7,"phx_ref":"r4"}]}}]`},
		{"presence difference", presence(v2, delivery.Presence{Channel: "a", Joins: []delivery.Meta{ann}, Leaves: []delivery.Meta{{Key: "ann", Ref: "r1", State: []byte(`{}`)}, {Key: "ben", Ref: "r4", State: []byte(`{}`)}}}),
			`[null,null,"realtime:a","presence_diff",{"joins":{"ann":{"metas":[{"mood": "good","phx_ref":"r2","phx_ref_prev":"r1"}]}},"leaves":{"ann":{"metas":[{"phx_ref":"r1"}]},"ben":{"metas":[{"phx_ref":"r4"}]}}}]`},
		{"notice of a table", v2.AppendNotice(nil, &delivery.Notice{Type: "view_changed", SubscriptionID: id(7, ""), Code: "not_judged", Message: "read again"}), `[null,null,"realtime:a","system",{"extension":"postgres_changes","status":"error","message":"read again","channel":"a","code":"not_judged"}]`},
		{"notice of a channel", v1.AppendNotice(nil, &delivery.Notice{Type: "messages_lost", Channel: "a", Message: "gap"}), `{"topic":"realtime:a","event":"system","ref":null,"payload":{"extension":"system","status":"error","message":"gap","channel":"a"}}`},
		{"position", v2.AppendNotice(nil, &delivery.Notice{Type: "position", SubscriptionID: id(7, "")}), ``},
	} {
		if got := strings.Join(framesOf(t, test.got), ""); got != test.want {
			t.Errorf("%s:\n got  %s\n want %s", test.name, got, test.want)
		}
	}
	raw := v2.AppendBroadcast(nil, &delivery.Broadcast{Channel: "a", Event: "say", Raw: []byte{0, 255}, ID: "u"}, false)
	if want := "\x82\x1e\x04\x0a\x03\x0a\x00" + `realtime:asay{"id":"u"}` + "\x00\xff"; string(raw) != want {
		t.Errorf("bytes:\n got  %q\n want %q", raw, want)
	}
}

// binaryPush is a push of kind 3.
func binaryPush(joinRef, ref, topic, event, meta string, encoding byte, contents string) []byte {
	b := []byte{phoenixUserPush, byte(len(joinRef)), byte(len(ref)), byte(len(topic)), byte(len(event)), byte(len(meta)), encoding}
	return append(b, joinRef+ref+topic+event+meta+contents...)
}

func TestPhoenixBinaryPush(t *testing.T) {
	p := phoenix{phoenixCodec: phoenixCodec{version: phoenixV2}}
	whole := binaryPush("1", "2", "realtime:a", "säy", "", phoenixJSON, `{"a":1}`)
	for _, test := range []struct {
		name string
		in   []byte
		want string
	}{
		{"JSON", whole, `broadcast "1" "2" realtime:a säy {"a":1} ""`},
		{"bytes", binaryPush("", "", "realtime:a", "e", "", phoenixRawBytes, "\x00\xff"), "broadcast   realtime:a e  \"\\x00\\xff\""},
		{"no bytes", binaryPush("", "", "realtime:a", "e", `{"persist":false}`, phoenixRawBytes, ""), `broadcast   realtime:a e  ""`},
		{"to be kept", binaryPush("", "", "realtime:a", "e", `{"persist":{"ttl":5}}`, phoenixJSON, "1"), `broadcast   realtime:a e 1 "" kept`},
		{"no JSON", binaryPush("1", "2", "realtime:a", "e", "", phoenixJSON, "{"), `refused "1" "2" realtime:a INVALID_MESSAGE`},
		{"no event", binaryPush("1", "2", "realtime:a", "", "", phoenixJSON, "1"), `refused "1" "2" realtime:a MISSING_REQUIRED_FIELD`},
		{"encoding", binaryPush("1", "2", "realtime:a", "e", "", 2, "1"), `refused "1" "2" realtime:a INVALID_MESSAGE`},
		{"too deep", binaryPush("1", "2", "realtime:a", "e", "", phoenixJSON, strings.Repeat("[", 70)+strings.Repeat("]", 70)), `refused "1" "2" realtime:a JSON_TOO_DEEP`},
		{"no UTF-8", binaryPush("1", "2", "realtime:\xff", "e", "", phoenixJSON, "1"), `refused    INVALID_MESSAGE`},
		{"cut short", whole[:20], `refused    INVALID_MESSAGE`},
		{"another kind", append([]byte{0}, whole[1:]...), `refused    INVALID_MESSAGE`},
		{"nothing", nil, `refused    INVALID_MESSAGE`},
	} {
		if got := showPhoenix(p.parse(opBinary, test.in)); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
	v1 := phoenix{phoenixCodec: phoenixCodec{version: phoenixV1}}
	if got, want := showPhoenix(v1.parse(opBinary, whole)), `refused    INVALID_MESSAGE`; got != want {
		t.Errorf("version 1: got %s, want %s", got, want)
	}
}

// TestPhoenixUnreadable: what cannot be read is refused under the references that
// can.
func TestPhoenixUnreadable(t *testing.T) {
	p := phoenix{phoenixCodec: phoenixCodec{version: phoenixV2}}
	for in, want := range map[string]string{
		`{`:                                   `refused    INVALID_MESSAGE`,
		`{"topic":"realtime:a"}`:              `refused    INVALID_MESSAGE`,
		`["1","2","realtime:a","phx_join"]`:   `refused    INVALID_MESSAGE`,
		`["1",2,3,"phx_join",{}]`:             `refused "1" 2  INVALID_MESSAGE`,
		`["1",["2"],"realtime:a",[],{}]`:      `refused "1"  realtime:a INVALID_MESSAGE`,
		`["1","2","realtime:a","phx_join",7]`: `join "1" "2" realtime:a`,
		`["1","2","realtime:","phx_join",{}]`: `refused "1" "2" realtime: INVALID_INPUT`,
		`["1","2","realtime:` + strings.Repeat("x", 260) + `","phx_join",{}]`: `refused "1" "2" realtime:` + strings.Repeat("x", 260) + ` INVALID_INPUT`,
		strings.Repeat("[", 70): `refused    JSON_TOO_DEEP`,
	} {
		if got := showPhoenix(p.parse(opText, []byte(in))); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func showPhoenix(msg any) string {
	head := func(kind string, h phoenixHead) string {
		return strings.Join([]string{kind, string(h.joinRef), string(h.ref), h.topic}, " ")
	}
	switch m := msg.(type) {
	case phoenixBroadcast:
		text := head("broadcast", m.phoenixHead) + " " + m.name + " " + string(m.payload) + " " + strconv.Quote(string(m.raw))
		if m.persist {
			text += " kept"
		}
		return text
	case phoenixRefusal:
		return head("refused", m.phoenixHead) + " " + string(m.code)
	case phoenixJoin:
		return head("join", m.phoenixHead)
	}
	return "other"
}

// FuzzPhoenix: whatever a client sends is a message or a refusal, and the answer to
// it is well-formed.
func FuzzPhoenix(f *testing.F) {
	for _, seed := range []string{
		`["1","1","realtime:a","phx_join",{"config":{"broadcast":{"ack":true,"replay":{"since":1}},"postgres_changes":[{"table":"notes","filter":"id=eq.1","select":["id"]}]},"access_token":"x"}]`,
		`{"topic":"realtime:a","event":"presence","payload":{"event":"track","payload":{}},"ref":"1"}`,
		`[null,"1","phoenix","heartbeat",{}]`, `["1","2","realtime:a","broadcast",{"event":"e","payload":1}]`,
		string(binaryPush("1", "2", "realtime:a", "e", "{}", phoenixJSON, "1")),
	} {
		f.Add(seed, false, byte(2))
		f.Add(seed, true, byte(1))
	}
	f.Fuzz(func(t *testing.T, in string, binary bool, version byte) {
		opcode := byte(opText)
		if binary {
			opcode = opBinary
		} else if !json.Valid([]byte(in)) && strings.ToValidUTF8(in, "") != in {
			return // the decoder refuses such text
		}
		p := newPhoenixPeer(t, phoenixVersion(version%2+1))
		msg := p.dialect.parse(opcode, []byte(in))
		if msg == nil {
			t.Fatal("no message")
		}
		p.turn(p.session.Hear(msg))
		p.turn(p.session.Hear(p.dialect.refuse(opcode, []byte(in), fault.New("X", "y"))))
	})
}
