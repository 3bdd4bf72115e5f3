package realtime

import (
	"bytes"
	"encoding/json"
	"slices"
	"strconv"
	"strings"

	"fluxbase/actors/delivery"
)

// phoenixCodec makes the frames of events. self tells that the topic was joined with
// the wish to get one's own broadcasts.
type phoenixCodec struct {
	version phoenixVersion
	self    bool
}

// Dialect names the codec.
func (c phoenixCodec) Dialect() string {
	switch {
	case c.version == phoenixV1 && c.self:
		return "phoenix1 self"
	case c.version == phoenixV1:
		return "phoenix1"
	case c.self:
		return "phoenix2 self"
	default:
		return "phoenix2"
	}
}

// phoenixRef is a reference as it stands in a frame: JSON, empty for null.
type phoenixRef string

func (r phoenixRef) append(dst []byte) []byte {
	if r == "" {
		return append(dst, "null"...)
	}
	return append(dst, r...)
}

// begin appends a message up to its payload, end what comes behind it.
func (v phoenixVersion) begin(dst []byte, joinRef, ref phoenixRef, topic, event string) (grown []byte, start int) {
	dst, start = beginFrame(dst)
	if v == phoenixV1 {
		dst = appendString(append(dst, `{"topic":`...), topic)
		dst = appendString(append(dst, `,"event":`...), event)
		dst = ref.append(append(dst, `,"ref":`...))
		return append(dst, `,"payload":`...), start
	}
	dst = append(joinRef.append(append(dst, '[')), ',')
	dst = append(ref.append(dst), ',')
	dst = append(appendString(dst, topic), ',')
	return append(appendString(dst, event), ','), start
}

func (v phoenixVersion) end(dst []byte, start int) []byte {
	if v == phoenixV1 {
		return endFrame(append(dst, '}'), start, opText)
	}
	return endFrame(append(dst, ']'), start, opText)
}

// phoenixSubscription is what the id of a table subscription says: for which topic
// and under which number the client knows it, and which columns it wants.
type phoenixSubscription struct {
	// number is that of the join's reply; 0 for topics that name a table themselves.
	number int
	topic  string
	// columns are parted by NULs; empty for all.
	columns string
}

// id writes a subscription as an id; parsePhoenixID reads it.
func (s phoenixSubscription) id() string {
	id := strconv.Itoa(s.number) + "@" + s.topic
	if s.columns != "" {
		id += "\x00" + s.columns
	}
	return id
}

func parsePhoenixID(id string) phoenixSubscription {
	number, rest, _ := strings.Cut(id, "@")
	topic, columns, _ := strings.Cut(rest, "\x00")
	n, _ := strconv.Atoi(number) // ids are of our own making
	return phoenixSubscription{number: n, topic: topic, columns: columns}
}

// AppendChange appends a frame for every topic that the ids name, and for every
// choice of columns.
func (c phoenixCodec) AppendChange(dst []byte, change *delivery.Change, ids []string) []byte {
	if len(ids) == 1 {
		s := parsePhoenixID(ids[0])
		return c.appendChange(dst, change, s, []int{s.number})
	}
	type target struct {
		phoenixSubscription
		numbers []int
	}
	var targets []target
	for _, id := range ids {
		s := parsePhoenixID(id)
		at := slices.IndexFunc(targets, func(t target) bool {
			return t.topic == s.topic && t.columns == s.columns && (t.number == 0) == (s.number == 0)
		})
		if at < 0 {
			targets = append(targets, target{phoenixSubscription: s})
			at = len(targets) - 1
		}
		targets[at].numbers = append(targets[at].numbers, s.number)
	}
	for _, t := range targets {
		dst = c.appendChange(dst, change, t.phoenixSubscription, t.numbers)
	}
	return dst
}

func (c phoenixCodec) appendChange(dst []byte, change *delivery.Change, s phoenixSubscription, numbers []int) []byte {
	var start int
	if s.number == 0 {
		dst, start = c.version.begin(dst, "", "", s.topic, string(change.Type))
		return c.version.end(appendPhoenixData(dst, change, s.columns), start)
	}
	dst, start = c.version.begin(dst, "", "", s.topic, "postgres_changes")
	dst = append(dst, `{"ids":[`...)
	for i, n := range numbers {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = strconv.AppendInt(dst, int64(n), 10)
	}
	dst = append(dst, `],"data":`...)
	return c.version.end(append(appendPhoenixData(dst, change, s.columns), '}'), start)
}

// AppendSnapshot appends nothing: clients of this dialect read rows over REST.
func (phoenixCodec) AppendSnapshot(dst []byte, _ *delivery.Snapshot, _ string) []byte { return dst }

// appendPhoenixData appends the change itself, with the columns that are wanted.
func appendPhoenixData(dst []byte, c *delivery.Change, columns string) []byte {
	wanted := func(string) bool { return true }
	record, old := c.Record, c.OldRecord
	if columns != "" {
		names := strings.Split(columns, "\x00")
		wanted = func(name string) bool { return slices.Contains(names, name) }
		record, old = pick(record, wanted), pick(old, wanted)
	}
	dst = append(dst, `{"schema":`...)
	dst = appendString(dst, c.Schema)
	dst = append(dst, `,"table":`...)
	dst = appendString(dst, c.Table)
	dst = append(dst, `,"type":`...)
	dst = appendString(dst, string(c.Type))
	dst = append(dst, `,"commit_timestamp":`...)
	dst = appendTime(dst, c.CommitTimestamp)
	dst = append(dst, `,"columns":[`...)
	first := true
	for _, col := range c.Columns {
		if !wanted(col.Name) {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(dst, `{"name":`...)
		dst = appendString(dst, col.Name)
		dst = append(dst, `,"type":`...)
		dst = append(appendString(dst, col.Type), '}')
	}
	dst = append(dst, ']')
	if record != nil {
		dst = appendRaw(dst, "record", record)
	}
	if old != nil {
		dst = appendRaw(dst, "old_record", old)
	}
	if c.Entered {
		dst = append(dst, `,"entered":true`...)
	}
	if c.Left {
		dst = append(dst, `,"left":true`...)
	}
	if c.Truncated {
		return append(dst, `,"errors":["Error 413: Payload Too Large"]}`...)
	}
	return append(dst, `,"errors":null}`...)
}

// pick keeps the members of a JSON object whose names are wanted, in their order.
// nil stays nil.
func pick(object json.RawMessage, wanted func(string) bool) json.RawMessage {
	if object == nil {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(object))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return object // records are objects
	}
	out := []byte{'{'}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return object
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return object
		}
		if text, ok := name.(string); ok && wanted(text) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(append(appendString(out, text), ':'), value...)
		}
	}
	return append(out, '}')
}

// AppendBroadcast appends a broadcast: JSON as text, bytes as a binary frame, which
// version 1 does not have.
func (c phoenixCodec) AppendBroadcast(dst []byte, b *delivery.Broadcast, self bool) []byte {
	topic := phoenixTopicPrefix + b.Channel
	switch {
	case self && !c.self:
		return dst
	case b.Raw == nil:
		dst, start := c.version.begin(dst, "", "", topic, phoenixBroadcastEvent)
		dst = append(dst, `{"type":"broadcast","event":`...)
		dst = appendString(dst, b.Event)
		dst = appendRaw(dst, "payload", b.Payload)
		if meta := phoenixMeta(b); meta != nil {
			dst = appendRaw(dst, "meta", meta)
		}
		return c.version.end(append(dst, '}'), start)
	case c.version == phoenixV1, len(topic) > maxPhoenixName, len(b.Event) > maxPhoenixName:
		return dst
	}
	meta := phoenixMeta(b)
	dst, start := beginFrame(dst)
	dst = append(dst, phoenixUserBroadcast, byte(len(topic)), byte(len(b.Event)), byte(len(meta)), phoenixRawBytes)
	dst = append(append(append(append(dst, topic...), b.Event...), meta...), b.Raw...)
	return endFrame(dst, start, opBinary)
}

// phoenixMeta is what is told of a message that is kept in the database; nil for
// others.
func phoenixMeta(b *delivery.Broadcast) []byte {
	if b.ID == "" {
		return nil
	}
	meta := appendString([]byte(`{"id":`), b.ID)
	if b.Replayed {
		meta = append(meta, `,"replayed":true`...)
	}
	return append(meta, '}')
}

// AppendPresence appends the whole state for a newcomer, the difference for others.
func (c phoenixCodec) AppendPresence(dst []byte, p *delivery.Presence) ([]byte, int) {
	topic := phoenixTopicPrefix + p.Channel
	if p.Initial {
		dst, start := c.version.begin(dst, "", "", topic, "presence_state")
		dst = append(dst, '{')
		for i, k := range p.State() {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendPhoenixMetas(dst, k.Key, k.Metas)
		}
		return c.version.end(append(dst, '}'), start), 1
	}
	dst, start := c.version.begin(dst, "", "", topic, "presence_diff")
	dst = appendPhoenixPresences(append(dst, `{"joins":`...), p.Joins)
	dst = appendPhoenixPresences(append(dst, `,"leaves":`...), p.Leaves)
	return c.version.end(append(dst, '}'), start), 1
}

// appendPhoenixPresences appends metas by their keys.
func appendPhoenixPresences(dst []byte, metas []delivery.Meta) []byte {
	byKey := make(map[string][]delivery.Meta, len(metas))
	keys := make([]string, 0, len(metas))
	for _, m := range metas {
		if byKey[m.Key] == nil {
			keys = append(keys, m.Key)
		}
		byKey[m.Key] = append(byKey[m.Key], m)
	}
	dst = append(dst, '{')
	for i, key := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPhoenixMetas(dst, key, byKey[key])
	}
	return append(dst, '}')
}

func appendPhoenixMetas(dst []byte, key string, metas []delivery.Meta) []byte {
	dst = append(appendString(dst, key), `:{"metas":[`...)
	for i, m := range metas {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = appendPhoenixMeta(dst, m)
	}
	return append(dst, `]}`...)
}

// appendPhoenixMeta appends a state with its references in it, behind what the
// client wrote: the last one of two members of a name counts. A state that is no
// object becomes the member state of one.
func appendPhoenixMeta(dst []byte, m delivery.Meta) []byte {
	state := bytes.TrimSpace(m.State)
	if len(state) > 1 && state[0] == '{' {
		inner := bytes.TrimSpace(state[1 : len(state)-1])
		dst = append(append(dst, '{'), inner...)
		if len(inner) > 0 {
			dst = append(dst, ',')
		}
	} else {
		dst = append(append(append(dst, `{"state":`...), state...), ',')
	}
	dst = appendString(append(dst, `"phx_ref":`...), m.Ref)
	return append(appendMember(dst, "phx_ref_prev", m.PrevRef), '}')
}

// AppendNotice appends a system message to the topic that the notice is about.
func (c phoenixCodec) AppendNotice(dst []byte, n *delivery.Notice) []byte {
	if n.Type == "position" {
		return dst // of no use to clients that cannot resume
	}
	s := phoenixSystem{extension: "system", topic: phoenixTopicPrefix + n.Channel, failed: true, code: n.Code, message: n.Message}
	switch {
	case n.SubscriptionID != "":
		s.extension, s.topic = "postgres_changes", parsePhoenixID(n.SubscriptionID).topic
	case n.Channel == "":
		s.topic = phoenixControl
	}
	return s.append(dst, c.version)
}

// phoenixSystem is a system message: what a client is told about a topic that is
// neither an event nor an answer.
type phoenixSystem struct {
	joinRef          phoenixRef
	extension, topic string
	failed           bool
	code, message    string
}

func (s phoenixSystem) append(dst []byte, v phoenixVersion) []byte {
	dst, start := v.begin(dst, s.joinRef, "", s.topic, phoenixSystemEvent)
	dst = appendString(append(dst, `{"extension":`...), s.extension)
	if s.failed {
		dst = append(dst, `,"status":"error"`...)
	} else {
		dst = append(dst, `,"status":"ok"`...)
	}
	dst = appendString(append(dst, `,"message":`...), s.message)
	dst = appendString(append(dst, `,"channel":`...), strings.TrimPrefix(s.topic, phoenixTopicPrefix))
	return v.end(append(appendMember(dst, "code", s.code), '}'), start)
}
