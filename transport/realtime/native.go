package realtime

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/fault"
	"fluxbase/transport/filter"
)

// maxDepth is how deep a client's message may nest.
const maxDepth = 64

// incoming is a client's message in the native dialect.
type incoming struct {
	Type           string          `json:"type"`
	Channel        string          `json:"channel"`
	Event          string          `json:"event"`
	Schema         string          `json:"schema"`
	Table          string          `json:"table"`
	Filter         string          `json:"filter"`
	Payload        json.RawMessage `json:"payload"`
	Config         *config         `json:"config"`
	SubscriptionID string          `json:"subscription_id"`
	MessageID      string          `json:"messageId"`
	Cursor         string          `json:"cursor"`
	Token          string          `json:"token"`
}

// config is the config member: of a table subscription; of anything about a
// channel, which is the private one of its name then; or of a log subscription,
// which may also use schema and table for its two ids.
type config struct {
	Private bool `json:"private"`
	// Recover goes on from a place in a channel's order, Replay begins with messages
	// of a private channel.
	Recover     *recoverConfig `json:"recover"`
	Replay      *replayConfig  `json:"replay"`
	Event       string         `json:"event"`
	Schema      string         `json:"schema"`
	Table       string         `json:"table"`
	Filter      string         `json:"filter"`
	ExecutionID string         `json:"execution_id"`
	Type        string         `json:"type"`
	// Cursor resumes; Snapshot begins with the rows, Limit of them in an Order.
	Cursor   string `json:"cursor"`
	Snapshot bool   `json:"snapshot"`
	Order    string `json:"order"`
	Limit    int64  `json:"limit"`
}

type recoverConfig struct {
	Epoch  uint64 `json:"epoch"`
	Offset uint64 `json:"offset"`
}

// replayConfig asks for the newest Limit messages since a time in milliseconds.
type replayConfig struct {
	Since int64 `json:"since"`
	Limit int   `json:"limit"`
}

// maxReplay is the number of messages that a client may ask to have repeated.
const maxReplay = 25

func (r replayConfig) parse() (*connection.Replay, error) {
	if r.Limit < 0 || r.Limit > maxReplay || r.Since < 0 {
		return nil, fault.Newf(fault.InvalidInput, "replay needs since, and a limit up to %d", maxReplay)
	}
	return &connection.Replay{Since: time.UnixMilli(r.Since), Limit: cmp.Or(r.Limit, maxReplay)}, nil
}

// presencePayload is what a presence message says, at the top or in its payload.
type presencePayload struct {
	Event string          `json:"event"`
	Key   string          `json:"key"`
	State json.RawMessage `json:"state"`
}

// private tells whether the message is about the private channel of its name.
func (m *incoming) private() bool { return m.Config != nil && m.Config.Private }

func refuse(code fault.Code, message string, m *incoming) connection.Refuse {
	r := connection.Refused{Code: code, Message: message}
	if m != nil {
		r.Channel, r.Private, r.MessageID, r.SubscriptionID = m.Channel, m.private(), m.MessageID, m.SubscriptionID
	}
	return connection.Refuse{Refused: r}
}

func (native) refuse(_ byte, payload []byte, f *fault.Fault) any {
	var m incoming
	// What cannot be read has no ids to repeat.
	_ = json.Unmarshal(payload, &m)
	r := refuse(f.Code, f.Message, &m)
	if len(f.Fields) > 0 {
		// Fields that are no JSON are left out: the code says what matters.
		r.Refused.Payload, _ = json.Marshal(f.Fields)
	}
	return r
}

// parse turns a client's message into one for its connection actor; nil for
// messages that need no answer.
func (native) parse(opcode byte, payload []byte) any {
	if opcode == opBinary && !utf8.Valid(payload) {
		// It would reach others in a text frame, and they would close for it.
		return refuse(fault.InvalidMessage, "invalid message: not UTF-8", nil)
	}
	if tooDeep(payload, maxDepth) {
		return refuse(fault.JSONTooDeep, fmt.Sprintf("message nests deeper than %d levels", maxDepth), nil)
	}
	var m incoming
	if err := json.Unmarshal(payload, &m); err != nil {
		// What could be read says which request failed.
		return refuse(fault.InvalidMessage, "invalid message: "+describe(err), &m)
	}
	switch m.Type {
	case "heartbeat":
		return nil
	case "subscribe":
		return subscribe(&m)
	case "unsubscribe":
		return connection.Unsubscribe{SubscriptionID: m.SubscriptionID, Channel: m.Channel, Private: m.private()}
	case "broadcast":
		return broadcast(&m)
	case "presence":
		return presenceMessage(&m)
	case "access_token":
		if m.Token == "" {
			return refuse(fault.MissingRequiredField, "token is required for access_token message", &m)
		}
		return accessToken{token: m.Token}
	case "subscribe_logs":
		return subscribeLogs(&m)
	case "subscribe_all_logs":
		return connection.SubscribeAllLogs{}
	default:
		return refuse(fault.UnknownMessageType, "unknown message type", &m)
	}
}

// describe says what is wrong with a message in words for its sender.
func describe(err error) string {
	switch e := err.(type) {
	case *json.UnmarshalTypeError:
		if e.Field == "" {
			return "a JSON object is expected"
		}
		return fmt.Sprintf("%s must not be a %s", e.Field, e.Value)
	default:
		return "not valid JSON"
	}
}

// subscribe reads both forms of a table subscription; a channel that is called
// after a table says which one, unless the form does.
func subscribe(m *incoming) any {
	c := config{Event: m.Event, Schema: m.Schema, Table: m.Table, Filter: m.Filter}
	if m.Config != nil {
		c = *m.Config
	}
	if c.Cursor == "" {
		c.Cursor = m.Cursor
	}
	name, ofTable := strings.CutPrefix(m.Channel, "table:")
	switch {
	case c.Table != "":
	case ofTable:
		schema, table, qualified := strings.Cut(name, ".")
		if !qualified {
			schema, table = c.Schema, name
		}
		c.Schema, c.Table = schema, table
	case m.Config == nil || *m.Config == (config{Private: m.Config.Private, Recover: m.Config.Recover, Replay: m.Config.Replay}):
		return subscribeChannel(m, c)
	}
	return subscribeTable(m, c)
}

func subscribeChannel(m *incoming, c config) any {
	s := connection.SubscribeChannel{Channel: m.Channel, Private: c.Private}
	if r := c.Recover; r != nil {
		s.Recover = &channel.Recover{Epoch: r.Epoch, Offset: r.Offset}
	}
	if r := c.Replay; r != nil {
		replay, err := r.parse()
		if err != nil {
			return refuse(fault.CodeOf(err), fault.From(err).Message, m)
		}
		s.Replay = replay
	}
	return s
}

func subscribeTable(m *incoming, c config) any {
	if c.Schema == "" {
		c.Schema = "public"
	}
	if c.Event == "" {
		c.Event = "*"
	}
	c.Event = strings.ToUpper(c.Event)
	if !slices.Contains([]string{"*", "INSERT", "UPDATE", "DELETE"}, c.Event) {
		return refuse(fault.InvalidInput, "event must be INSERT, UPDATE, DELETE or *", m)
	}
	condition, err := filter.ParseRealtime(c.Filter)
	if err != nil {
		f := fault.From(err)
		return refuse(f.Code, "invalid filter: "+f.Message, m)
	}
	s := connection.SubscribeTable{
		Channel: m.Channel, Schema: c.Schema, Table: c.Table, Event: c.Event, Filter: c.Filter, Condition: condition, Cursor: c.Cursor,
	}
	if c.Snapshot {
		if s.Snapshot, err = snapshotRequest(c); err != nil {
			f := fault.From(err)
			return refuse(f.Code, "invalid snapshot: "+f.Message, m)
		}
	}
	return s
}

func snapshotRequest(c config) (*delivery.SnapshotRequest, error) {
	if c.Limit < 0 {
		return nil, fault.New(fault.InvalidInput, "limit must not be negative")
	}
	r := &delivery.SnapshotRequest{Limit: c.Limit}
	if c.Order == "" {
		return r, nil
	}
	var err error
	r.Order, err = filter.ParseOrder(c.Order)
	return r, err
}

func broadcast(m *incoming) any {
	if m.Event == "" {
		m.Event = "broadcast"
	}
	if m.Payload == nil {
		m.Payload = json.RawMessage("null")
	}
	return connection.Broadcast{
		Channel: m.Channel, Private: m.private(), Event: m.Event, Payload: m.Payload, MessageID: m.MessageID,
	}
}

// presenceMessage reads the event at the top, where the public SDK writes it, or
// in the payload.
func presenceMessage(m *incoming) any {
	if m.Channel == "" {
		return refuse(fault.MissingRequiredField, "channel is required for presence", m)
	}
	p := presencePayload{Event: m.Event}
	if len(m.Payload) > 0 && string(m.Payload) != "null" {
		if err := json.Unmarshal(m.Payload, &p); err != nil {
			return refuse(fault.InvalidInput, "invalid presence payload", m)
		}
	} else if m.Event == "" {
		return refuse(fault.InvalidInput, "invalid presence payload", m)
	}
	switch p.Event {
	case "track":
		if p.State == nil {
			p.State = json.RawMessage("{}")
		}
		return connection.Track{Channel: m.Channel, Private: m.private(), Key: p.Key, State: p.State}
	case "untrack":
		return connection.Untrack{Channel: m.Channel, Private: m.private(), Key: p.Key}
	default:
		return refuse(fault.InvalidInput, "unknown presence event", m)
	}
}

func subscribeLogs(m *incoming) any {
	var l connection.SubscribeLogs
	if c := m.Config; c != nil {
		l.ExecutionID, l.ExecutionType = c.ExecutionID, c.Type
		if l.ExecutionID == "" {
			l.ExecutionID, l.ExecutionType = c.Schema, c.Table
		}
	}
	if l.ExecutionID == "" && len(m.Payload) > 0 {
		var c config
		if err := json.Unmarshal(m.Payload, &c); err != nil {
			return refuse(fault.MissingRequiredField, "execution_id is required for subscribe_logs", m)
		}
		l.ExecutionID, l.ExecutionType = c.ExecutionID, c.Type
	}
	return l
}
