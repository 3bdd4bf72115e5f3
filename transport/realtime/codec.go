package realtime

import (
	"encoding/base64"
	"strconv"
	"time"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
)

// native is the dialect that the public SDK speaks at /realtime: one JSON object
// per text frame.
type native struct{ webSocket }

var _ parser = native{}

var heartbeatFrame = &delivery.Frame{Bytes: appendFrame(nil, opText, []byte(`{"type":"heartbeat"}`)), Messages: 1}

// Dialect names the codec.
func (native) Dialect() string { return "native" }

func (native) heartbeat() *delivery.Frame { return heartbeatFrame }

// AppendChange appends a postgres_changes message.
func (native) AppendChange(dst []byte, c *delivery.Change, ids []string) []byte {
	dst, start := beginFrame(dst)
	dst = append(dst, `{"type":"postgres_changes","payload":{"type":`...)
	dst = appendString(dst, string(c.Type))
	dst = append(dst, `,"schema":`...)
	dst = appendString(dst, c.Schema)
	dst = append(dst, `,"table":`...)
	dst = appendString(dst, c.Table)
	dst = appendRaw(dst, "record", c.Record)
	if c.OldRecord != nil {
		dst = appendRaw(dst, "old_record", c.OldRecord)
	}
	dst = append(dst, `,"commit_timestamp":`...)
	dst = appendTime(dst, c.CommitTimestamp)
	dst = append(dst, `,"errors":null`...)
	dst = appendColumns(dst, c.Columns)
	dst = append(dst, `,"subscription_ids":[`...)
	for i, id := range ids {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendString(dst, id)
	}
	dst = append(dst, ']')
	if c.Entered {
		dst = append(dst, `,"entered":true`...)
	}
	if c.Left {
		dst = append(dst, `,"left":true`...)
	}
	if c.Truncated {
		dst = append(dst, `,"truncated":true`...)
	}
	dst = appendMember(dst, "cursor", c.Position)
	return endFrame(append(dst, '}', '}'), start, opText)
}

// appendColumns appends the member columns.
func appendColumns(dst []byte, columns []delivery.Column) []byte {
	dst = append(dst, `,"columns":[`...)
	for i, col := range columns {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, `{"name":`...)
		dst = appendString(dst, col.Name)
		dst = append(dst, `,"type":`...)
		dst = appendString(dst, col.Type)
		dst = append(dst, '}')
	}
	return append(dst, ']')
}

// AppendSnapshot appends a snapshot message.
func (native) AppendSnapshot(dst []byte, s *delivery.Snapshot, id string) []byte {
	dst, start := beginFrame(dst)
	dst = append(dst, `{"type":"snapshot"`...)
	dst = appendMember(dst, "subscription_id", id)
	dst = append(dst, `,"payload":{"schema":`...)
	dst = appendString(dst, s.Schema)
	dst = append(dst, `,"table":`...)
	dst = appendString(dst, s.Table)
	dst = append(dst, `,"records":[`...)
	for i, record := range s.Records {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(dst, record...)
	}
	dst = append(dst, ']')
	dst = appendColumns(dst, s.Columns)
	if s.Begin {
		dst = append(dst, `,"begin":true`...)
	}
	if s.Done {
		dst = append(dst, `,"done":true`...)
	}
	dst = appendMember(dst, "cursor", s.Position)
	return endFrame(append(dst, '}', '}'), start, opText)
}

// AppendBroadcast appends a broadcast message. A payload that is not JSON is sent
// as base64, and the message says so.
func (native) AppendBroadcast(dst []byte, b *delivery.Broadcast, self bool) []byte {
	dst, start := beginFrame(dst)
	dst = append(dst, `{"type":"broadcast","channel":`...)
	dst = appendString(dst, b.Channel)
	dst = appendFlag(dst, "private", b.Private)
	if b.Offset > 0 {
		dst = appendNumber(dst, "offset", b.Offset)
		dst = appendNumber(dst, "epoch", b.Epoch)
	}
	dst = append(dst, `,"payload":{"broadcast":{"event":`...)
	dst = appendString(dst, b.Event)
	if b.Raw != nil {
		dst = append(dst, `,"encoding":"base64","payload":"`...)
		dst = append(base64.StdEncoding.AppendEncode(dst, b.Raw), '"')
	} else {
		dst = appendRaw(dst, "payload", b.Payload)
	}
	dst = appendMember(dst, "messageId", b.MessageID)
	dst = appendMember(dst, "id", b.ID)
	dst = appendFlag(dst, "replayed", b.Replayed)
	dst = appendFlag(dst, "self", self)
	return endFrame(append(dst, "}}}"...), start, opText)
}

// AppendNotice appends a message about a subscription or channel.
func (native) AppendNotice(dst []byte, n *delivery.Notice) []byte {
	dst, start := beginFrame(dst)
	dst = append(dst, `{"type":`...)
	dst = appendString(dst, n.Type)
	if n.Type == "error" {
		dst = appendMember(dst, "error", n.Message)
	} else {
		dst = appendMember(dst, "message", n.Message)
	}
	dst = appendMember(dst, "code", n.Code)
	dst = appendMember(dst, "channel", n.Channel)
	dst = appendFlag(dst, "private", n.Private)
	dst = appendMember(dst, "subscription_id", n.SubscriptionID)
	switch {
	case n.Position != "":
		dst = append(dst, `,"payload":{"cursor":`...)
		dst = append(appendString(dst, n.Position), '}')
	case n.Payload != nil:
		dst = appendRaw(dst, "payload", n.Payload)
	}
	return endFrame(append(dst, '}'), start, opText)
}

// AppendReply appends the answer to a request.
func (native) AppendReply(dst []byte, r connection.Reply) []byte {
	switch r.(type) {
	case connection.PresenceTracked, connection.TokenExpired:
		return dst // neither is asked for in this dialect
	}
	dst, start := beginFrame(dst)
	switch r := r.(type) {
	case connection.Refused:
		dst = appendError(dst, r)
	case connection.TableSubscribed:
		dst = append(dst, `{"type":"ack"`...)
		dst = appendMember(dst, "channel", r.Channel)
		dst = appendMember(dst, "subscription_id", r.SubscriptionID)
		dst = append(dst, `,"payload":{"subscribed":true`...)
		dst = appendMember(dst, "subscription_id", r.SubscriptionID)
		dst = appendMember(dst, "schema", r.Schema)
		dst = appendMember(dst, "table", r.Table)
		dst = appendMember(dst, "event", r.Event)
		dst = appendMember(dst, "filter", r.Filter)
		if r.Snapshot {
			dst = append(dst, `,"snapshot":true`...)
		}
		dst = appendMember(dst, "resume_failed", r.Unresumed)
		dst = append(appendMember(dst, "cursor", r.Cursor), "}}"...)
	case connection.ResumeFailed:
		dst = append(dst, `{"type":"resume_failed"`...)
		dst = appendMember(dst, "message", r.Message)
		dst = appendMember(dst, "code", r.Reason)
		dst = appendMember(dst, "channel", r.Channel)
		dst = append(appendMember(dst, "subscription_id", r.SubscriptionID), '}')
	case connection.ChannelSubscribed:
		dst = append(dst, `{"type":"ack"`...)
		dst = appendMember(dst, "channel", r.Channel)
		dst = appendFlag(dst, "private", r.Private)
		if r.Epoch > 0 {
			dst = appendNumber(dst, "offset", r.Offset)
			dst = appendNumber(dst, "epoch", r.Epoch)
		}
		if r.Recovering {
			dst = append(dst, `,"recovered":`...)
			dst = strconv.AppendBool(dst, r.Recovered)
		}
		dst = append(dst, `,"payload":{"subscribed":true`...)
		dst = append(appendMember(dst, "channel", r.Channel), "}}"...)
	case connection.Unsubscribed:
		dst = append(dst, `{"type":"ack"`...)
		dst = appendMember(dst, "channel", r.Channel)
		dst = appendFlag(dst, "private", r.Private)
		dst = appendMember(dst, "subscription_id", r.SubscriptionID)
		dst = append(dst, `,"payload":{"unsubscribed":true`...)
		dst = append(appendMember(dst, "subscription_id", r.SubscriptionID), "}}"...)
	case connection.BroadcastAccepted:
		dst = append(dst, `{"type":"ack"`...)
		dst = appendMember(dst, "channel", r.Channel)
		dst = appendFlag(dst, "private", r.Private)
		dst = appendMember(dst, "messageId", r.MessageID)
		dst = append(dst, `,"status":"ok"`...)
		dst = appendNumber(dst, "offset", r.Offset)
		dst = appendNumber(dst, "epoch", r.Epoch)
		dst = append(dst, `,"payload":{"messageId":`...)
		dst = append(appendString(dst, r.MessageID), `,"status":"ok"}}`...)
	case connection.LogSubscribed:
		dst = append(dst, `{"type":"ack"`...)
		dst = appendMember(dst, "subscription_id", r.SubscriptionID)
		dst = append(dst, `,"payload":{"subscribed":true`...)
		dst = appendMember(dst, "subscription_id", r.SubscriptionID)
		dst = appendMember(dst, "execution_id", r.ExecutionID)
		dst = append(appendMember(dst, "type", r.ExecutionType), "}}"...)
	case connection.ExecutionLogged:
		dst = appendLine(dst, r)
	case connection.TokenUpdated:
		dst = append(dst, `{"type":"ack","payload":{"type":"access_token","updated":true}}`...)
	}
	return endFrame(dst, start, opText)
}

// appendLine appends a line of an execution's log.
func appendLine(dst []byte, r connection.ExecutionLogged) []byte {
	dst = append(dst, `{"type":"execution_log","payload":{"execution_id":`...)
	dst = appendString(dst, r.ExecutionID)
	dst = appendMember(dst, "execution_type", r.Line.Kind)
	dst = appendNumber(dst, "line_number", uint64(r.Line.Number))
	dst = appendMember(dst, "level", r.Line.Level)
	dst = append(dst, `,"message":`...)
	dst = appendString(dst, r.Line.Message)
	dst = appendMember(dst, "timestamp", r.Line.At.UTC().Format(time.RFC3339Nano))
	if r.Line.Fields != nil {
		dst = appendRaw(dst, "fields", r.Line.Fields)
	}
	return append(dst, "}}"...)
}

// appendError appends an error message. Clients that wait for the ack of a
// message look for its id and a status at the top.
func appendError(dst []byte, r connection.Refused) []byte {
	dst = append(dst, `{"type":"error"`...)
	dst = appendMember(dst, "error", r.Message)
	dst = appendMember(dst, "code", string(r.Code))
	dst = appendMember(dst, "channel", r.Channel)
	dst = appendFlag(dst, "private", r.Private)
	if r.MessageID != "" {
		dst = appendMember(dst, "messageId", r.MessageID)
		dst = appendMember(dst, "status", "error")
	}
	dst = appendMember(dst, "subscription_id", r.SubscriptionID)
	if r.Payload != nil {
		dst = appendRaw(dst, "payload", r.Payload)
	}
	return append(dst, '}')
}
