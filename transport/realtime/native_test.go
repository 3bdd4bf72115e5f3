package realtime

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/connection"
)

func TestNativeMessages(t *testing.T) {
	tests := []struct{ in, want string }{
		{`{"type":"heartbeat"}`, `<nil>`},
		{`{"type":"subscribe","channel":"table:public.notes"}`, `SubscribeTable{table:public.notes public notes * }`},
		{`{"type":"subscribe","channel":"table:notes"}`, `SubscribeTable{table:notes public notes * }`},
		{`{"type":"subscribe","channel":"c","config":{"event":"insert","schema":"app","table":"notes"}}`, `SubscribeTable{c app notes INSERT }`},
		{`{"type":"subscribe","table":"notes","event":"DELETE"}`, `SubscribeTable{ public notes DELETE }`},
		{`{"type":"subscribe","config":{"table":"notes","filter":"id=eq.5"}}`, `SubscribeTable{ public notes * id=eq.5}`},
		{`{"type":"subscribe","config":{"table":"notes","filter":"nonsense"}}`, `Refuse INVALID_QUERY invalid filter: invalid filter format: nonsense (expected: column=operator.value)`},
		{`{"type":"subscribe","config":{"table":"notes","event":"TRUNCATE"}}`, `Refuse INVALID_INPUT event must be INSERT, UPDATE, DELETE or *`},
		{`{"type":"subscribe","config":{}}`, `SubscribeChannel{ false}`},
		{`{"type":"subscribe","config":{"table":"notes","cursor":"abc"}}`, `SubscribeTable{ public notes *  from abc}`},
		{`{"type":"subscribe","channel":"table:notes","cursor":"abc"}`, `SubscribeTable{table:notes public notes *  from abc}`},
		{`{"type":"subscribe","config":{"table":"notes","snapshot":true}}`, `SubscribeTable{ public notes *  rows {[] 0}}`},
		{`{"type":"subscribe","config":{"table":"notes","snapshot":true,"order":"id.desc","limit":5}}`, `SubscribeTable{ public notes *  rows {[{id  [] <nil> true 0}] 5}}`},
		{`{"type":"subscribe","config":{"table":"notes","snapshot":true,"order":"id.up"}}`, `Refuse INVALID_QUERY invalid snapshot: Invalid query parameters: "up" is no direction of the order by id`},
		{`{"type":"subscribe","config":{"table":"notes","snapshot":true,"limit":-1}}`, `Refuse INVALID_INPUT invalid snapshot: limit must not be negative`},
		{`{"type":"subscribe","config":{"event":"*"}}`, `SubscribeTable{ public  * }`},
		{`{"type":"subscribe","channel":"table:app.notes","config":{"event":"INSERT","filter":"id=eq.5"}}`, `SubscribeTable{table:app.notes app notes INSERT id=eq.5}`},
		{`{"type":"subscribe","channel":"table:x","config":{"schema":"app","table":"notes"}}`, `SubscribeTable{table:x app notes * }`},
		{`{"type":"subscribe","channel":"table:notes","config":{"schema":"app"}}`, `SubscribeTable{table:notes app notes * }`},
		{`{"type":"subscribe","channel":"room","config":{}}`, `SubscribeChannel{room false}`},
		{`{"type":"subscribe","channel":"room","config":{"private":true}}`, `SubscribeChannel{room true}`},
		{`{"type":"subscribe","channel":"room","config":{"recover":{"epoch":3,"offset":9}}}`, `SubscribeChannel{room false} after 3/9`},
		{`{"type":"subscribe","channel":"room","config":{"private":true,"replay":{"since":1700000000000}}}`, `SubscribeChannel{room true} and 25 since 2023-11-14T22:13:20Z`},
		{`{"type":"subscribe","channel":"room","config":{"private":true,"replay":{"since":1,"limit":26}}}`, `Refuse INVALID_INPUT replay needs since, and a limit up to 25`},
		{`{"type":"unsubscribe","channel":"room","config":{"private":true}}`, `Unsubscribe{ room true}`},
		{`{"type":"subscribe","channel":"presence:lobby"}`, `SubscribeChannel{presence:lobby false}`},
		{`{"type":"unsubscribe","subscription_id":"x"}`, `Unsubscribe{x  false}`},
		{`{"type":"unsubscribe"}`, `Unsubscribe{  false}`},
		{`{"type":"broadcast","channel":"c","event":"e","payload":[1],"messageId":"m"}`, `Broadcast{c e [1] m}`},
		{`{"type":"broadcast","channel":"c"}`, `Broadcast{c broadcast null }`},
		{`{"type":"presence","channel":"c","event":"track","payload":{"key":"k","state":{"a":1}}}`, `Track{c k {"a":1}}`},
		{`{"type":"presence","channel":"c","payload":{"event":"track","key":"k"}}`, `Track{c k {}}`},
		{`{"type":"presence","channel":"c","payload":{"event":"untrack","key":"k"}}`, `Untrack{c k false}`},
		{`{"type":"presence","channel":"c","event":"wave","payload":{}}`, `Refuse INVALID_INPUT unknown presence event`},
		{`{"type":"presence","channel":"c","payload":7}`, `Refuse INVALID_INPUT invalid presence payload`},
		{`{"type":"presence","event":"track"}`, `Refuse MISSING_REQUIRED_FIELD channel is required for presence`},
		{`{"type":"access_token","token":"t"}`, `accessToken t`},
		{`{"type":"access_token"}`, `Refuse MISSING_REQUIRED_FIELD token is required for access_token message`},
		{`{"type":"subscribe_logs","config":{"execution_id":"x","type":"job"}}`, `SubscribeLogs{x job}`},
		{`{"type":"subscribe_logs","config":{"schema":"x","table":"job"}}`, `SubscribeLogs{x job}`},
		{`{"type":"subscribe_logs","payload":{"execution_id":"x"}}`, `SubscribeLogs{x }`},
		{`{"type":"subscribe_all_logs"}`, `SubscribeAllLogs{}`},
		{`{"type":"dance"}`, `Refuse UNKNOWN_MESSAGE_TYPE unknown message type`},
		{`{}`, `Refuse UNKNOWN_MESSAGE_TYPE unknown message type`},
		{`{"type":`, `Refuse INVALID_MESSAGE invalid message: not valid JSON`},
		{`[1]`, `Refuse INVALID_MESSAGE invalid message: a JSON object is expected`},
		{`{"type":"subscribe","channel":5}`, `Refuse INVALID_MESSAGE invalid message: channel must not be a number`},
		{`{"type":"broadcast","payload":` + strings.Repeat("[", 70) + strings.Repeat("]", 70) + `}`, `Refuse JSON_TOO_DEEP message nests deeper than 64 levels`},
	}
	for _, test := range tests {
		if got := show(native{}.parse(opText, []byte(test.in))); got != test.want {
			t.Errorf("%s\n got  %s\n want %s", test.in, got, test.want)
		}
	}
}

func show(msg any) string {
	switch m := msg.(type) {
	case connection.Refuse:
		return fmt.Sprintf("Refuse %s %s", m.Refused.Code, m.Refused.Message)
	case connection.SubscribeChannel:
		text := fmt.Sprintf("SubscribeChannel{%s %t}", m.Channel, m.Private)
		if m.Recover != nil {
			text += fmt.Sprintf(" after %d/%d", m.Recover.Epoch, m.Recover.Offset)
		}
		if m.Replay != nil {
			text += fmt.Sprintf(" and %d since %s", m.Replay.Limit, m.Replay.Since.UTC().Format(time.RFC3339))
		}
		return text
	case connection.SubscribeTable:
		from := ""
		if m.Cursor != "" {
			from += " from " + m.Cursor
		}
		if m.Snapshot != nil {
			from += fmt.Sprintf(" rows %v", *m.Snapshot)
		}
		return fmt.Sprintf("SubscribeTable{%s %s %s %s %s%s}", m.Channel, m.Schema, m.Table, m.Event, m.Filter, from)
	case connection.Broadcast:
		return fmt.Sprintf("Broadcast{%s %s %s %s}", m.Channel, m.Event, m.Payload, m.MessageID)
	case connection.Track:
		return fmt.Sprintf("Track{%s %s %s}", m.Channel, m.Key, m.State)
	case accessToken:
		return "accessToken " + m.token
	case nil:
		return "<nil>"
	default:
		return strings.TrimPrefix(fmt.Sprintf("%T%v", m, m), "connection.")
	}
}

// TestErrorsNameTheRequest: an error says which request it answers.
func TestErrorsNameTheRequest(t *testing.T) {
	r := native{}.parse(opText, []byte(`{"type":"subscribe","channel":"c","messageId":"m","config":{"table":"t","filter":"x"}}`)).(connection.Refuse)
	if r.Refused.Channel != "c" || r.Refused.MessageID != "m" {
		t.Errorf("got %+v", r.Refused)
	}
}

func FuzzNativeParse(f *testing.F) {
	f.Add([]byte(`{"type":"subscribe","channel":"table:a.b","config":{"table":"t","filter":"a=in.(1,2)"}}`))
	f.Add([]byte(`{"type":"presence","channel":"c","event":"track","payload":{"key":"k","state":{}}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		switch m := (native{}).parse(opText, b).(type) {
		case connection.Refuse:
			if m.Refused.Code == "" || m.Refused.Message == "" {
				t.Fatalf("%q refused without saying why", b)
			}
			payloadOf(t, native{}.AppendReply(nil, m.Refused))
		case connection.Broadcast:
			if len(m.Payload) == 0 || m.Event == "" {
				t.Fatalf("%q → %+v", b, m)
			}
		}
	})
}
