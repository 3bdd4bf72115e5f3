package realtime

import (
	"bytes"
	"strconv"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/fault"
)

// sse is the dialect of server-sent events: each message of the native dialect as
// an event of its type, and with it, where there is one, the place from which a
// client goes on after it. A stream is subscribed by its URL; its client says
// nothing.
type sse struct{}

var _ parser = sse{}

// Dialect names the codec.
func (sse) Dialect() string { return "sse" }

func (sse) parse(byte, []byte) any { return nil }

func (sse) refuse(byte, []byte, *fault.Fault) any { return nil }

var commentFrame = &delivery.Frame{Bytes: []byte(":\n\n")}

// ping is a comment: it keeps what is between us and the client from giving up.
func (sse) ping() *delivery.Frame { return commentFrame }

func (sse) heartbeat() *delivery.Frame { return nil }

// Closing is an event that says why the stream ends.
func (sse) Closing(code int, reason string) []byte {
	dst := append([]byte("event: close\ndata: {\"type\":\"close\",\"code\":"), strconv.Itoa(code)...)
	return append(appendMember(dst, "reason", reason), "}\n\n"...)
}

// AppendChange appends a postgres_changes event.
func (sse) AppendChange(dst []byte, c *delivery.Change, ids []string) []byte {
	var place places
	for _, id := range ids {
		place = place.with(id, c.Position)
	}
	return appendEvents(dst, place, native{}.AppendChange(nil, c, ids))
}

// AppendSnapshot appends a snapshot event.
func (sse) AppendSnapshot(dst []byte, s *delivery.Snapshot, id string) []byte {
	return appendEvents(dst, places{}.with(id, s.Position), native{}.AppendSnapshot(nil, s, id))
}

// AppendBroadcast appends a broadcast event.
func (sse) AppendBroadcast(dst []byte, b *delivery.Broadcast, self bool) []byte {
	place := channelPlaces(b.Channel, b.Private, b.Epoch, b.Offset)
	return appendEvents(dst, place, native{}.AppendBroadcast(nil, b, self))
}

// AppendPresence appends the events of the native messages.
func (sse) AppendPresence(dst []byte, p *delivery.Presence) ([]byte, int) {
	frames, n := native{}.AppendPresence(nil, p)
	return appendEvents(dst, nil, frames), n
}

// AppendNotice appends an event of the notice's type.
func (sse) AppendNotice(dst []byte, n *delivery.Notice) []byte {
	return appendEvents(dst, places{}.with(n.SubscriptionID, n.Position), native{}.AppendNotice(nil, n))
}

// AppendReply appends an ack or an error. A subscription whose rows follow, or
// which goes on from a place of its client's, is not at its beginning yet.
func (sse) AppendReply(dst []byte, r connection.Reply) []byte {
	var place places
	switch r := r.(type) {
	case connection.TableSubscribed:
		if !r.Snapshot {
			place = place.with(r.SubscriptionID, r.Cursor)
		}
	case connection.ChannelSubscribed:
		if !r.Recovered {
			place = channelPlaces(r.Channel, r.Private, r.Epoch, r.Offset)
		}
	case connection.ResumeFailed:
		// The client is to begin anew, not to come back with the same place.
		place = places{{key: r.SubscriptionID}}
	}
	return appendEvents(dst, place, native{}.AppendReply(nil, r))
}

// idPrefix begins the line with the places; it is the first of an event.
const idPrefix = "id: "

// appendEvents appends native messages, which are frames, as events.
func appendEvents(dst []byte, place places, frames []byte) []byte {
	for len(frames) > 0 {
		head, length := frameSize(frames)
		message := frames[head : head+length]
		frames = frames[head+length:]
		if len(place) > 0 {
			dst = append(place.append(append(dst, idPrefix...)), '\n')
		}
		dst = append(dst, "event: "...)
		dst = append(dst, messageType(message)...)
		dst = append(dst, "\ndata: "...)
		start := len(dst)
		dst = append(dst, message...)
		// A line break ends the data. In JSON it can only be white space.
		for i := start; i < len(dst); i++ {
			if dst[i] == '\n' || dst[i] == '\r' {
				dst[i] = ' '
			}
		}
		dst = append(dst, "\n\n"...)
	}
	return dst
}

// messageType is the type of a native message, which is its first member.
func messageType(message []byte) []byte {
	rest, _ := bytes.CutPrefix(message, []byte(`{"type":"`))
	name, _, _ := bytes.Cut(rest, []byte{'"'})
	return name
}
