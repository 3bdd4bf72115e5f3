package realtime

import (
	"strings"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// phoenix is the dialect that supabase-js speaks at /realtime/v1/websocket: many
// topics on one socket, each with its own join, replies and end. The topic
// realtime:X is the channel X of the other dialects.
type phoenix struct {
	webSocket
	phoenixCodec
}

var (
	_ parser                    = phoenix{}
	_ connection.SessionDialect = phoenix{}
)

// phoenixVersion is a version of the serializer: how a message becomes a frame.
type phoenixVersion uint8

// The versions: JSON objects, and JSON arrays or binary frames.
const (
	phoenixV1 phoenixVersion = 1
	phoenixV2 phoenixVersion = 2
)

// phoenixVersionOf reads the query parameter vsn, by default 1.0.0 as Phoenix has
// it. It fails with INVALID_INPUT.
func phoenixVersionOf(vsn string) (phoenixVersion, error) {
	switch vsn {
	case "", "1.0.0":
		return phoenixV1, nil
	case "2.0.0":
		return phoenixV2, nil
	}
	return 0, fault.Newf(fault.InvalidInput, "unknown serializer version %q", vsn).
		WithHint("vsn is 1.0.0 or 2.0.0.")
}

// phoenixTopicPrefix begins the topics that can be joined; the rest is the channel.
const phoenixTopicPrefix = "realtime:"

// phoenixControl is the topic of heartbeats.
const phoenixControl = "phoenix"

// maxPhoenixName bounds topics, references and presence keys in bytes; binary frames
// have one byte for the length of each name in them.
const maxPhoenixName = 255

// phoenixChannel is the channel of a topic; ok is false for topics that nobody can
// join.
func phoenixChannel(topic string) (channel string, ok bool) {
	channel, ok = strings.CutPrefix(topic, phoenixTopicPrefix)
	return channel, ok && channel != "" && len(topic) <= maxPhoenixName && strings.IndexByte(topic, 0) < 0
}

// The events that mean something whatever the topic.
const (
	phoenixJoinEvent      = "phx_join"
	phoenixLeaveEvent     = "phx_leave"
	phoenixReplyEvent     = "phx_reply"
	phoenixCloseEvent     = "phx_close"
	phoenixErrorEvent     = "phx_error"
	phoenixHeartbeatEvent = "heartbeat"
	phoenixTokenEvent     = "access_token"
	phoenixBroadcastEvent = "broadcast"
	phoenixPresenceEvent  = "presence"
	phoenixSystemEvent    = "system"
)

func (phoenix) heartbeat() *delivery.Frame { return nil }

// AppendReply appends nothing: without a session there is no topic to speak about.
func (phoenix) AppendReply(dst []byte, _ connection.Reply) []byte { return dst }

// NewSession makes the session of one socket.
func (p phoenix) NewSession(c caller.Caller) connection.Session {
	return &phoenixSession{version: p.version, tenant: c.Tenant, topics: map[string]*phoenixTopic{}}
}
