package realtime

import (
	"bytes"
	"hash/fnv"
	"strconv"
	"strings"

	"fluxbase/actors/channel"
)

// places is where a stream is in what it follows: the event id of server-sent
// events. It is written as key:position pairs with commas between them. A key tells
// one of a stream's subscriptions from the others, and is the same whenever it is
// subscribed to; a position is the cursor of a table or the epoch.offset of a
// channel, empty for none any more.
type places []place

type place struct{ key, position string }

// with adds a place, unless there is none.
func (p places) with(key, position string) places {
	if position == "" {
		return p
	}
	return append(p, place{key, position})
}

func (p places) append(dst []byte) []byte {
	for i, at := range p {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(append(append(dst, at.key...), ':'), at.position...)
	}
	return dst
}

// parsePlaces reads an event id. What it does not understand counts for nothing:
// browsers repeat whatever they were sent.
func parsePlaces(id string) places {
	var p places
	for pair := range strings.SplitSeq(id, ",") {
		if key, position, ok := strings.Cut(pair, ":"); ok && key != "" {
			p = append(p, place{key, position})
		}
	}
	return p
}

// of is the position of a key, empty for none.
func (p places) of(key string) string {
	for _, at := range p {
		if at.key == key {
			return at.position
		}
	}
	return ""
}

// tableKey is the key of a table subscription, and its id.
func tableKey(schema, table, event, filter string) string {
	return "t" + digest(schema, table, event, filter)
}

// channelKey is the key of a channel.
func channelKey(name string, private bool) string {
	return "c" + digest(name, strconv.FormatBool(private))
}

func digest(parts ...string) string {
	h := fnv.New64a()
	for _, part := range parts {
		// Never fails. No part has a zero byte: PostgreSQL's names have none, and a
		// channel's name is followed by a word.
		_, _ = h.Write(append([]byte(part), 0))
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

func channelPlaces(name string, private bool, epoch, offset uint64) places {
	if epoch == 0 {
		return nil
	}
	return places{{channelKey(name, private), strconv.FormatUint(epoch, 10) + "." + strconv.FormatUint(offset, 10)}}
}

// parseRecover reads the position of a channel; nil when it is none.
func parseRecover(position string) *channel.Recover {
	epoch, offset, ok := strings.Cut(position, ".")
	if !ok {
		return nil
	}
	var r channel.Recover
	var err error
	if r.Epoch, err = strconv.ParseUint(epoch, 10, 64); err != nil {
		return nil
	}
	if r.Offset, err = strconv.ParseUint(offset, 10, 64); err != nil {
		return nil
	}
	return &r
}

// combined are the places of a stream with several subscriptions. Events that are
// shared with other streams name the places that they change; what this client
// remembers must be all of them.
type combined struct{ at places }

// rewrite gives the events with all places as of each. It is called with what is
// sent, in order.
func (c *combined) rewrite(events []byte) []byte {
	out := make([]byte, 0, len(events)+256)
	for len(events) > 0 {
		end := len(events)
		if i := bytes.Index(events, []byte("\n\n")); i >= 0 {
			end = i + 2
		}
		event := events[:end]
		events = events[end:]
		if bytes.HasPrefix(event, []byte(idPrefix)) {
			id, rest, _ := bytes.Cut(event[len(idPrefix):], []byte{'\n'})
			for _, at := range parsePlaces(string(id)) {
				c.set(at)
			}
			out = append(c.at.append(append(out, idPrefix...)), '\n')
			event = rest
		}
		out = append(out, event...)
	}
	return out
}

func (c *combined) set(changed place) {
	for i, at := range c.at {
		if at.key == changed.key {
			c.at[i] = changed
			return
		}
	}
	c.at = append(c.at, changed)
}
