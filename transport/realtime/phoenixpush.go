package realtime

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"fluxbase/actors/connection"
	"fluxbase/persistence/fault"
	"fluxbase/transport/budget"
)

// Kinds of binary frames, and the encodings of the contents of the last two.
const (
	phoenixUserPush      = 3 // of a client's broadcast
	phoenixUserBroadcast = 4 // of a broadcast to clients

	phoenixRawBytes = 0
	phoenixJSON     = 1
)

// phoenixHead is what every message of a client begins with.
type phoenixHead struct {
	joinRef, ref phoenixRef
	topic, event string
}

// The messages of a client, as its session hears them.
type (
	// phoenixHeartbeat asks for a sign of life.
	phoenixHeartbeat struct{ phoenixHead }
	// phoenixLeave leaves a topic.
	phoenixLeave struct{ phoenixHead }
	// phoenixToken replaces the token under which topics were joined.
	phoenixToken struct {
		phoenixHead
		phoenixCredential
	}
	// phoenixBroadcast publishes. raw is not nil for bytes that are not JSON.
	phoenixBroadcast struct {
		phoenixHead
		name    string // of the client's own event
		payload json.RawMessage
		raw     []byte
		persist bool
	}
	// phoenixPresence shows a state, or takes it back.
	phoenixPresence struct {
		phoenixHead
		track bool
		state json.RawMessage
	}
	// phoenixRefusal is a message that cannot be done.
	phoenixRefusal struct {
		phoenixHead
		code    fault.Code
		message string
	}
)

// phoenixCredential is the token that a message shows, and who it stands for.
type phoenixCredential struct {
	token string
	// caller is nil until the token was checked, or when there is none.
	caller *connection.RefreshToken
}

func (c phoenixCredential) shown() string { return c.token }

func (m phoenixToken) judged(r connection.RefreshToken) any {
	m.caller = &r
	return m
}

func (m phoenixJoin) judged(r connection.RefreshToken) any {
	m.caller = &r
	return m
}

func (phoenixJoin) counts() budget.Resource { return budget.Joins }

func (phoenixPresence) counts() budget.Resource { return budget.Presences }

func (h phoenixHead) refusal(code fault.Code, format string, args ...any) phoenixRefusal {
	return phoenixRefusal{phoenixHead: h, code: code, message: fmt.Sprintf(format, args...)}
}

func (p phoenix) refuse(opcode byte, payload []byte, f *fault.Fault) any {
	// What cannot be read has no references to repeat.
	head, _, _ := p.head(opcode, payload)
	if f.RetryAfter > 0 {
		return head.refusal(f.Code, "%s, try again in %v", f.Message, f.RetryAfter.Round(time.Millisecond))
	}
	return head.refusal(f.Code, "%s", f.Message)
}

// parse turns a client's message into one for its session.
func (p phoenix) parse(opcode byte, payload []byte) any {
	head, body, err := p.head(opcode, payload)
	if err != nil {
		return head.refusal(fault.CodeOf(err), "%s", fault.From(err).Message)
	}
	if opcode == opBinary {
		return body.broadcast(head)
	}
	switch head.event {
	case phoenixHeartbeatEvent:
		return phoenixHeartbeat{head}
	case phoenixJoinEvent:
		return parsePhoenixJoin(head, body.payload)
	case phoenixLeaveEvent:
		return phoenixLeave{head}
	case phoenixTokenEvent:
		return parsePhoenixToken(head, body.payload)
	case phoenixBroadcastEvent:
		return parsePhoenixBroadcast(head, body.payload)
	case phoenixPresenceEvent:
		return parsePhoenixPresence(head, body.payload)
	}
	return head.refusal(fault.UnknownMessageType, "unknown event %q", head.event)
}

// phoenixBody is what stands behind a head: payload of a text frame, the other
// members of a binary one.
type phoenixBody struct {
	payload   json.RawMessage
	name      string
	meta, raw []byte
	encoding  byte
}

// head reads the head of a message and gives its body. When it fails with
// INVALID_MESSAGE or JSON_TOO_DEEP, the head holds what could be read.
func (p phoenix) head(opcode byte, b []byte) (phoenixHead, phoenixBody, error) {
	if opcode == opBinary {
		if p.version == phoenixV1 {
			return phoenixHead{}, phoenixBody{}, fault.New(fault.InvalidMessage, "version 1.0.0 has no binary messages")
		}
		return parsePhoenixBinary(b)
	}
	if tooDeep(b, maxDepth) {
		return phoenixHead{}, phoenixBody{}, fault.Newf(fault.JSONTooDeep, "message nests deeper than %d levels", maxDepth)
	}
	var joinRef, ref, topic, event json.RawMessage
	var body phoenixBody
	if p.version == phoenixV1 {
		var m struct {
			Topic   json.RawMessage `json:"topic"`
			Event   json.RawMessage `json:"event"`
			Payload json.RawMessage `json:"payload"`
			Ref     json.RawMessage `json:"ref"`
			JoinRef json.RawMessage `json:"join_ref"`
		}
		if json.Unmarshal(b, &m) != nil {
			return phoenixHead{}, body, fault.New(fault.InvalidMessage, "a JSON object is expected")
		}
		joinRef, ref, topic, event, body.payload = m.JoinRef, m.Ref, m.Topic, m.Event, m.Payload
	} else {
		var m []json.RawMessage
		if json.Unmarshal(b, &m) != nil || len(m) != 5 {
			return phoenixHead{}, body, fault.New(fault.InvalidMessage, "a JSON array [join_ref, ref, topic, event, payload] is expected")
		}
		joinRef, ref, topic, event, body.payload = m[0], m[1], m[2], m[3], m[4]
	}
	h := phoenixHead{joinRef: phoenixRefOf(joinRef), ref: phoenixRefOf(ref)}
	if json.Unmarshal(topic, &h.topic) != nil || json.Unmarshal(event, &h.event) != nil {
		return h, body, fault.New(fault.InvalidMessage, "topic and event must be strings")
	}
	return h, body, nil
}

// phoenixRefOf keeps a reference as it was written, so that its sender recognises
// it. What is neither text nor number, or too long, is none.
func phoenixRefOf(raw json.RawMessage) phoenixRef {
	if len(raw) == 0 || len(raw) > maxPhoenixName {
		return ""
	}
	switch c := raw[0]; {
	case c == '"', c == '-', c >= '0' && c <= '9':
		return phoenixRef(raw)
	}
	return ""
}

// errPhoenixBinary is the failure of a binary message that is no broadcast.
var errPhoenixBinary = errors.New("not a user broadcast push")

// parsePhoenixBinary takes apart a binary push: kind, the lengths of join_ref, ref,
// topic, event and meta, the encoding, then the parts in that order and the contents.
func parsePhoenixBinary(b []byte) (phoenixHead, phoenixBody, error) {
	invalid := func() (phoenixHead, phoenixBody, error) {
		return phoenixHead{}, phoenixBody{}, fault.New(fault.InvalidMessage, "binary messages are pushes of broadcasts (kind 3)").WithCause(errPhoenixBinary)
	}
	const header = 7
	if len(b) < header || b[0] != phoenixUserPush {
		return invalid()
	}
	rest := b[header:]
	var parts [5][]byte
	for i := range parts {
		n := int(b[1+i])
		if n > len(rest) {
			return invalid()
		}
		parts[i], rest = rest[:n], rest[n:]
		if !utf8.Valid(parts[i]) {
			return invalid()
		}
	}
	quoted := func(part []byte) phoenixRef {
		if len(part) == 0 {
			return ""
		}
		return phoenixRef(appendString(nil, string(part)))
	}
	head := phoenixHead{joinRef: quoted(parts[0]), ref: quoted(parts[1]), topic: string(parts[2]), event: phoenixBroadcastEvent}
	return head, phoenixBody{name: string(parts[3]), meta: parts[4], raw: rest, encoding: b[6]}, nil
}

// broadcast is the message of a binary push. The body is the socket's: what is kept
// of it is copied.
func (b phoenixBody) broadcast(head phoenixHead) any {
	m := phoenixBroadcast{phoenixHead: head, name: b.name, persist: wantsPersistence(b.meta)}
	switch {
	case m.name == "":
		return head.refusal(fault.MissingRequiredField, "event is required for broadcast")
	case b.encoding == phoenixRawBytes:
		m.raw = append([]byte{}, b.raw...)
	case b.encoding != phoenixJSON:
		return head.refusal(fault.InvalidMessage, "unknown encoding %d", b.encoding)
	case !utf8.Valid(b.raw) || !json.Valid(b.raw):
		return head.refusal(fault.InvalidMessage, "the payload is not valid JSON")
	case tooDeep(b.raw, maxDepth):
		return head.refusal(fault.JSONTooDeep, "message nests deeper than %d levels", maxDepth)
	default:
		m.payload = append(json.RawMessage{}, b.raw...)
	}
	return m
}

// wantsPersistence tells whether meta asks that the message be kept.
func wantsPersistence(meta []byte) bool {
	var m struct {
		Persist json.RawMessage `json:"persist"`
	}
	if len(meta) == 0 || json.Unmarshal(meta, &m) != nil {
		return false
	}
	return len(m.Persist) > 0 && string(m.Persist) != "false" && string(m.Persist) != "null"
}

func parsePhoenixBroadcast(head phoenixHead, payload json.RawMessage) any {
	var p struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return head.refusal(fault.InvalidMessage, "invalid broadcast: %s", describe(err))
	}
	if p.Event == "" {
		return head.refusal(fault.MissingRequiredField, "event is required for broadcast")
	}
	if p.Payload == nil {
		p.Payload = json.RawMessage("{}")
	}
	return phoenixBroadcast{phoenixHead: head, name: p.Event, payload: p.Payload, persist: wantsPersistence(payload)}
}

func parsePhoenixPresence(head phoenixHead, payload json.RawMessage) any {
	var p struct {
		Event   string          `json:"event"`
		Payload json.RawMessage `json:"payload"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return head.refusal(fault.InvalidMessage, "invalid presence: %s", describe(err))
	}
	switch strings.ToLower(p.Event) {
	case "track":
		if len(p.Payload) == 0 || string(p.Payload) == "null" {
			p.Payload = json.RawMessage("{}")
		}
		return phoenixPresence{phoenixHead: head, track: true, state: p.Payload}
	case "untrack":
		return phoenixPresence{phoenixHead: head}
	}
	return head.refusal(fault.InvalidInput, "unknown presence event %q", p.Event)
}

func parsePhoenixToken(head phoenixHead, payload json.RawMessage) any {
	var p struct {
		AccessToken string `json:"access_token"`
	}
	// A token of another type is none, and the client knows no answer to it.
	_ = json.Unmarshal(payload, &p)
	return phoenixToken{phoenixHead: head, phoenixCredential: phoenixCredential{token: tokenOrNone(p.AccessToken)}}
}

// tokenOrNone is the token that a client shows, unless it is a publishable key of
// the SDK's own kind: that says nothing about who the user is.
func tokenOrNone(token string) string {
	if strings.HasPrefix(token, "sb_") {
		return ""
	}
	return token
}
