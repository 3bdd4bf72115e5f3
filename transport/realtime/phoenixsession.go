package realtime

import (
	"crypto/sha256"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"fluxbase/actors/connection"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Bounds of one topic: messages that wait for its join, and messages whose answers
// are expected.
const (
	maxPhoenixWaiting = 64
	maxPhoenixPushes  = 1024
)

// phoenixSession is what one socket has joined. It translates between topics with
// their references and the channels and tables of the connection.
type phoenixSession struct {
	version phoenixVersion
	tenant  string
	topics  map[string]*phoenixTopic
	// token is the digest of the token in force; zero for none.
	token  [sha256.Size]byte
	serial uint64
	turn   connection.Turn
}

// phoenixTopic is a topic that is joined or being joined. Its tables are subscribed
// to first and its channel last: when the client hears of events, it knows the
// numbers that come with them.
type phoenixTopic struct {
	// join is what the client asked for; its tables are forgotten when it is answered.
	join   phoenixJoin
	joined bool
	// open are the ids of table subscriptions that are not answered yet.
	open []string
	// asked: the channel is subscribed to, and not answered yet.
	asked bool
	// waiting are messages that came before the join was answered.
	waiting []any
	// pushes are the messages whose answers are expected, by message id and ref.
	pushes map[string]phoenixHead
}

// Hear takes a message of the client.
func (s *phoenixSession) Hear(msg any) connection.Turn {
	s.hear(msg)
	return s.taken()
}

// taken gives what was done since the last call.
func (s *phoenixSession) taken() connection.Turn {
	t := s.turn
	s.turn = connection.Turn{}
	return t
}

func (s *phoenixSession) hear(msg any) {
	switch m := msg.(type) {
	case phoenixHeartbeat:
		if m.topic != phoenixControl {
			s.fail(m.phoenixHead, "unmatched topic")
			return
		}
		s.ok(m.phoenixHead, `{}`)
	case phoenixRefusal:
		s.refuse(m.phoenixHead, m.code, m.message)
	case phoenixJoin:
		s.join(m)
	case phoenixLeave:
		s.leave(m)
	case phoenixToken:
		s.onTopic(m.phoenixHead, m, func(t *phoenixTopic) { s.refresh(t, m) })
	case phoenixBroadcast:
		s.onTopic(m.phoenixHead, m, func(t *phoenixTopic) { s.broadcast(t, m) })
	case phoenixPresence:
		s.onTopic(m.phoenixHead, m, func(t *phoenixTopic) { s.presence(t, m) })
	}
}

func (s *phoenixSession) do(messages ...any) { s.turn.Messages = append(s.turn.Messages, messages...) }

// send sends a message; payload is JSON.
func (s *phoenixSession) send(joinRef, ref phoenixRef, topic, event, payload string) {
	frames, start := s.version.begin(s.turn.Frames, joinRef, ref, topic, event)
	s.turn.Frames = s.version.end(append(frames, payload...), start)
	s.turn.Count++
}

func (s *phoenixSession) ok(h phoenixHead, response string) {
	s.send(h.joinRef, h.ref, h.topic, phoenixReplyEvent, `{"status":"ok","response":`+response+`}`)
}

func (s *phoenixSession) fail(h phoenixHead, reason string) {
	response := appendString([]byte(`{"status":"error","response":{"reason":`), reason)
	s.send(h.joinRef, h.ref, h.topic, phoenixReplyEvent, string(response)+`}}`)
}

// refuse answers with a reason that begins with its code.
func (s *phoenixSession) refuse(h phoenixHead, code fault.Code, message string) {
	if message == "unmatched topic" {
		s.fail(h, message) // the words that clients know
		return
	}
	s.fail(h, string(code)+": "+message)
}

func (s *phoenixSession) system(t *phoenixTopic, extension string, code fault.Code, message string) {
	m := phoenixSystem{joinRef: t.join.joinRef, extension: extension, topic: t.join.topic, failed: code != "", code: string(code), message: message}
	s.turn.Frames = m.append(s.turn.Frames, s.version)
	s.turn.Count++
}

func (s *phoenixSession) closed(t *phoenixTopic) {
	s.send(t.join.joinRef, t.join.joinRef, t.join.topic, phoenixCloseEvent, `{}`)
}

// failed lets the client join again.
func (s *phoenixSession) failed(t *phoenixTopic) {
	s.send(t.join.joinRef, t.join.joinRef, t.join.topic, phoenixErrorEvent, `{}`)
}

// onTopic does something that only a joined topic can do. What comes too early waits;
// what was meant for an earlier join is dropped, as its sender expects.
func (s *phoenixSession) onTopic(h phoenixHead, msg any, do func(*phoenixTopic)) {
	t := s.topics[h.topic]
	switch {
	case t == nil:
		s.fail(h, "unmatched topic")
	case h.joinRef != "" && h.joinRef != t.join.joinRef:
	case t.joined:
		do(t)
	case len(t.waiting) < maxPhoenixWaiting:
		t.waiting = append(t.waiting, msg)
	default:
		s.refuse(h, fault.Overloaded, "too many messages wait for the join")
	}
}

// authenticated begins to act for who a message's token stands for. It fails when the
// token is not good; a message without one changes nothing.
func (s *phoenixSession) authenticated(c phoenixCredential) error {
	if c.caller == nil {
		return nil
	}
	if c.caller.Err != nil {
		return c.caller.Err
	}
	if c.caller.Caller.Tenant != s.tenant {
		return fault.New(fault.InvalidToken, "the token is for another tenant")
	}
	digest := sha256.Sum256([]byte(c.token))
	if digest != s.token {
		s.token = digest
		s.do(*c.caller)
	}
	return nil
}

func (s *phoenixSession) join(m phoenixJoin) {
	if old := s.topics[m.topic]; old != nil {
		s.closed(old)
		s.drop(old)
	}
	if m.joinRef == "" {
		m.joinRef = m.ref
	}
	if err := s.authenticated(m.phoenixCredential); err != nil {
		f := fault.From(err)
		s.refuse(m.phoenixHead, f.Code, f.Message)
		return
	}
	m.phoenixCredential = phoenixCredential{} // not to be kept
	if m.key == "" {
		m.key = uuid.NewString()
	}
	t := &phoenixTopic{join: m}
	s.topics[m.topic] = t
	for _, b := range m.bindings {
		id := b.id(m.topic)
		if slices.Contains(t.open, id) {
			continue
		}
		t.open = append(t.open, id)
		s.do(connection.SubscribeTable{
			ID: id, Channel: m.channel, Schema: b.schema, Table: b.table, Event: b.event, Filter: b.filter, Condition: b.condition, Columns: b.columns,
		})
	}
	s.advance(t)
}

// advance subscribes to the channel when the tables are subscribed to.
func (s *phoenixSession) advance(t *phoenixTopic) {
	if len(t.open) > 0 || t.joined || t.asked {
		return
	}
	t.asked = true
	m := connection.SubscribeChannel{
		Channel: t.join.channel, Private: t.join.private, Presences: connection.PresencesUnwanted, Replay: t.join.replay,
		Codec: phoenixCodec{version: s.version, self: t.join.self},
	}
	if t.join.presence {
		m.Presences = connection.PresencesWanted
	}
	s.do(m)
}

// complete answers a join, and does what waited for it.
func (s *phoenixSession) complete(t *phoenixTopic) {
	t.joined, t.asked = true, false
	response := []byte(`{}`)
	if !t.join.legacy {
		response = append(response[:0], `{"postgres_changes":[`...)
		for i, b := range t.join.bindings {
			if i > 0 {
				response = append(response, ',')
			}
			response = b.appendReply(response)
		}
		response = append(response, `]}`...)
	}
	s.ok(t.join.phoenixHead, string(response))
	if len(t.join.bindings) > 0 {
		s.system(t, "postgres_changes", "", "Subscribed to PostgreSQL")
	}
	t.join.bindings = nil
	waiting := t.waiting
	t.waiting = nil
	for _, msg := range waiting {
		s.hear(msg)
	}
}

// appendReply repeats what the client wrote, with the number behind it.
func (b phoenixBinding) appendReply(dst []byte) []byte {
	text := b.text[:len(b.text)-1]
	dst = append(dst, text...)
	if len(text) > 1 {
		dst = append(dst, ',')
	}
	return append(strconv.AppendInt(append(dst, `"id":`...), int64(b.number), 10), '}')
}

// abandon answers a join that failed.
func (s *phoenixSession) abandon(t *phoenixTopic, code fault.Code, message string) {
	s.refuse(t.join.phoenixHead, code, message)
	waiting := t.waiting
	s.drop(t)
	for _, msg := range waiting {
		s.hear(msg)
	}
}

// end tells the client that a topic is over, and why. It joins again unless it may
// not.
func (s *phoenixSession) end(t *phoenixTopic, code fault.Code, message string) {
	if !t.joined {
		s.abandon(t, code, message)
		return
	}
	s.system(t, "system", code, message)
	if status := route.Status(code); status == 401 || status == 403 {
		s.closed(t)
	} else {
		s.failed(t)
	}
	s.drop(t)
}

// drop forgets a topic and ends what it follows.
func (s *phoenixSession) drop(t *phoenixTopic) {
	delete(s.topics, t.join.topic)
	s.do(connection.Unsubscribe{Channel: t.join.channel, Private: t.join.private})
}

func (s *phoenixSession) leave(m phoenixLeave) {
	t := s.topics[m.topic]
	switch {
	case t == nil:
		s.ok(m.phoenixHead, `{}`)
	case m.joinRef != "" && m.joinRef != t.join.joinRef:
	default:
		s.ok(m.phoenixHead, `{}`)
		s.closed(t)
		s.drop(t)
	}
}

// refresh takes another token for the topic, and with it for the socket. There is no
// answer unless the token is not good.
func (s *phoenixSession) refresh(t *phoenixTopic, m phoenixToken) {
	if err := s.authenticated(m.phoenixCredential); err != nil {
		f := fault.From(err)
		s.end(t, f.Code, f.Message)
	}
}

// expect remembers a message that will be answered, under a new id.
func (s *phoenixSession) expect(t *phoenixTopic, h phoenixHead) (id string, ok bool) {
	if len(t.pushes) >= maxPhoenixPushes {
		s.refuse(h, fault.Overloaded, "too many messages are unanswered")
		return "", false
	}
	s.serial++
	id = strconv.FormatUint(s.serial, 36)
	if t.pushes == nil {
		t.pushes = map[string]phoenixHead{}
	}
	t.pushes[id] = h
	return id, true
}

// settled gives the message that an answer is for.
func (t *phoenixTopic) settled(id string) (phoenixHead, bool) {
	h, ok := t.pushes[id]
	delete(t.pushes, id)
	return h, ok
}

func (s *phoenixSession) broadcast(t *phoenixTopic, m phoenixBroadcast) {
	if m.persist {
		s.refuse(m.phoenixHead, fault.InvalidInput, "messages are kept when they are sent with realtime.send")
		return
	}
	id, ok := s.expect(t, m.phoenixHead)
	if !ok {
		return
	}
	s.do(connection.Broadcast{
		Channel: t.join.channel, Private: t.join.private, Event: m.name, Payload: m.payload, Raw: m.raw, MessageID: id,
	})
}

func (s *phoenixSession) presence(t *phoenixTopic, m phoenixPresence) {
	if !m.track {
		s.do(connection.Untrack{Channel: t.join.channel, Private: t.join.private, Key: t.join.key})
		s.ok(m.phoenixHead, `{}`)
		return
	}
	ref, ok := s.expect(t, m.phoenixHead)
	if !ok {
		return
	}
	s.do(connection.Track{Channel: t.join.channel, Private: t.join.private, Key: t.join.key, State: m.state, Ref: ref})
}

// Answer takes a reply of the connection.
func (s *phoenixSession) Answer(r connection.Reply) connection.Turn {
	switch r := r.(type) {
	case connection.TableSubscribed:
		s.tableSubscribed(r.SubscriptionID)
	case connection.ChannelSubscribed:
		if t := s.topicOf(r.Channel, r.Private); t != nil && t.asked {
			s.complete(t)
		}
	case connection.BroadcastAccepted:
		if t := s.topicOf(r.Channel, r.Private); t != nil {
			if h, ok := t.settled(r.MessageID); ok && t.join.ack {
				s.ok(h, `{}`)
			}
		}
	case connection.PresenceTracked:
		if t := s.topicOf(r.Channel, r.Private); t != nil {
			if h, ok := t.settled(r.Ref); ok {
				s.ok(h, `{}`)
			}
		}
	case connection.TokenExpired:
		s.token = [sha256.Size]byte{}
		s.endAll(fault.ExpiredToken, "token expired")
	case connection.Refused:
		s.refused(r)
	}
	return s.taken()
}

// topicOf finds the topic of a channel; nil when it was left meanwhile.
func (s *phoenixSession) topicOf(channel string, private bool) *phoenixTopic {
	if t := s.topics[phoenixTopicPrefix+channel]; t != nil && t.join.private == private {
		return t
	}
	return nil
}

func (s *phoenixSession) tableSubscribed(id string) {
	t := s.topics[parsePhoenixID(id).topic]
	if t == nil {
		return
	}
	if at := slices.Index(t.open, id); at >= 0 {
		t.open = slices.Delete(t.open, at, at+1)
		s.advance(t)
	}
}

func (s *phoenixSession) refused(r connection.Refused) {
	if r.SubscriptionID != "" {
		s.tableRefused(r)
		return
	}
	if r.Channel == "" {
		s.endAll(r.Code, r.Message) // the connection ends
		return
	}
	t := s.topicOf(r.Channel, r.Private)
	if t == nil {
		return
	}
	id := r.MessageID
	if id == "" {
		id = r.Ref
	}
	h, pushed := t.settled(id)
	switch {
	case pushed:
		s.refuse(h, r.Code, r.Message)
	case t.asked:
		s.abandon(t, r.Code, r.Message)
	case r.Ended:
		s.end(t, r.Code, r.Message)
	default:
		s.system(t, "system", r.Code, r.Message)
	}
}

func (s *phoenixSession) tableRefused(r connection.Refused) {
	t := s.topics[parsePhoenixID(r.SubscriptionID).topic]
	switch {
	case t == nil:
	case t.joined:
		s.system(t, "postgres_changes", r.Code, r.Message)
	case slices.Contains(t.open, r.SubscriptionID):
		s.abandon(t, r.Code, r.Message)
	}
}

// endAll ends every topic.
func (s *phoenixSession) endAll(code fault.Code, message string) {
	for _, t := range s.topics {
		s.end(t, code, message)
	}
}
