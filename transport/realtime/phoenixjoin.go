package realtime

import (
	"encoding/json"
	"errors"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"

	"fluxbase/actors/connection"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/filter"
)

// phoenixJoin joins a topic.
type phoenixJoin struct {
	phoenixHead
	phoenixCredential
	channel  string
	private  bool
	ack      bool // broadcasts are acknowledged
	self     bool // the sender gets its own broadcasts
	presence bool // presences are wanted
	key      string
	replay   *connection.Replay
	bindings []phoenixBinding
	// legacy: the topic itself names the table.
	legacy bool
}

// phoenixBinding is one table subscription of a join.
type phoenixBinding struct {
	number                       int
	schema, table, event, filter string
	condition                    query.Condition
	columns                      []string
	// text is what the client wrote; it must be repeated.
	text json.RawMessage
}

func (b phoenixBinding) id(topic string) string {
	return phoenixSubscription{number: b.number, topic: topic, columns: strings.Join(b.columns, "\x00")}.id()
}

// looseBool is a boolean that clients also write as text; anything else is false.
type looseBool bool

// UnmarshalJSON never fails.
func (l *looseBool) UnmarshalJSON(b []byte) error {
	*l = string(b) == "true" || string(b) == `"true"`
	return nil
}

// parsePhoenixJoin reads what a client wants of a topic. What is of the wrong type is
// taken for absent, except for table subscriptions and replays: one that is not
// understood must not become something else.
func parsePhoenixJoin(head phoenixHead, payload json.RawMessage) any {
	channel, ok := phoenixChannel(head.topic)
	if !ok {
		return head.refusal(fault.InvalidInput, "unmatched topic")
	}
	var p struct {
		Config *struct {
			Broadcast struct {
				Ack    looseBool       `json:"ack"`
				Self   looseBool       `json:"self"`
				Replay json.RawMessage `json:"replay"`
			} `json:"broadcast"`
			Presence struct {
				Key     string     `json:"key"`
				Enabled *looseBool `json:"enabled"`
			} `json:"presence"`
			PostgresChanges []json.RawMessage `json:"postgres_changes"`
			Private         looseBool         `json:"private"`
		} `json:"config"`
		AccessToken string `json:"access_token"`
		UserToken   string `json:"user_token"`
	}
	var shape *json.UnmarshalTypeError
	if err := json.Unmarshal(payload, &p); err != nil && !errors.As(err, &shape) {
		return head.refusal(fault.InvalidMessage, "invalid join: not valid JSON")
	}
	j := phoenixJoin{phoenixHead: head, channel: channel, presence: true}
	if j.token = tokenOrNone(p.AccessToken); j.token == "" {
		j.token = tokenOrNone(p.UserToken)
	}
	if p.Config == nil {
		return j.ofTopic()
	}
	c := p.Config
	j.private, j.ack, j.self = bool(c.Private), bool(c.Broadcast.Ack), bool(c.Broadcast.Self)
	// Clients that are older than the member want presences without saying so.
	j.presence, j.key = c.Presence.Enabled == nil || bool(*c.Presence.Enabled), c.Presence.Key
	if len(j.key) > maxPhoenixName {
		return head.refusal(fault.InvalidInput, "the presence key is too long")
	}
	if text := c.Broadcast.Replay; len(text) > 0 && string(text) != "null" {
		var r replayConfig
		if err := json.Unmarshal(text, &r); err != nil {
			return head.refusal(fault.InvalidInput, "replay needs since, in milliseconds, and perhaps a limit")
		}
		replay, err := r.parse()
		if err != nil {
			return head.refusal(fault.CodeOf(err), "%s", fault.From(err).Message)
		}
		j.replay = replay
	}
	for _, text := range c.PostgresChanges {
		b, err := parsePhoenixBinding(text)
		if err != nil {
			return head.refusal(fault.CodeOf(err), "%s", fault.From(err).Message)
		}
		j.bind(b)
	}
	return j
}

// ofTopic is a join without a config: a topic of the form schema:table[:filter], or
// *, is a table subscription.
func (j phoenixJoin) ofTopic() any {
	schema, rest, ok := strings.Cut(j.channel, ":")
	if j.channel == "*" {
		schema, rest, ok = "*", "*", true
	}
	if !ok {
		return j
	}
	table, filterText, _ := strings.Cut(rest, ":")
	b := phoenixBinding{schema: schema, table: table, event: "*", filter: filterText}
	if err := b.parseFilter(); err != nil {
		return j.refusal(fault.CodeOf(err), "%s", fault.From(err).Message)
	}
	j.legacy, j.bindings = true, []phoenixBinding{b}
	return j
}

func parsePhoenixBinding(text json.RawMessage) (phoenixBinding, error) {
	var p struct {
		Event  string   `json:"event"`
		Schema string   `json:"schema"`
		Table  string   `json:"table"`
		Filter string   `json:"filter"`
		Select []string `json:"select"`
	}
	if err := json.Unmarshal(text, &p); err != nil || len(text) == 0 || text[0] != '{' {
		return phoenixBinding{}, fault.New(fault.InvalidInput, "postgres_changes must be objects of texts, with a list of texts as select")
	}
	b := phoenixBinding{
		schema: p.Schema, table: p.Table, event: strings.ToUpper(p.Event), filter: p.Filter, columns: p.Select, text: text,
	}
	if b.schema == "" {
		b.schema = "public"
	}
	if b.table == "" {
		b.table = "*"
	}
	if b.event == "" {
		b.event = "*"
	}
	switch {
	case !slices.Contains([]string{"*", "INSERT", "UPDATE", "DELETE"}, b.event):
		return b, fault.New(fault.InvalidInput, "event must be INSERT, UPDATE, DELETE or *")
	case p.Select != nil && len(p.Select) == 0:
		return b, fault.New(fault.InvalidInput, "select must name a column")
	case slices.ContainsFunc(p.Select, func(c string) bool { return c == "" || strings.IndexByte(c, 0) >= 0 }):
		return b, fault.New(fault.InvalidInput, "select must hold names of columns")
	}
	return b, b.parseFilter()
}

func (b *phoenixBinding) parseFilter() error {
	if b.filter == "" {
		return nil
	}
	if b.table == "*" || b.schema == "*" {
		return fault.New(fault.InvalidInput, "a filter needs a table")
	}
	condition, err := filter.ParseRealtime(b.filter)
	if err != nil {
		f := fault.From(err)
		return fault.Newf(f.Code, "invalid filter: %s", f.Message)
	}
	b.condition = condition
	return nil
}

// bind adds a binding under a number that it has in every join, so that connections
// that want the same get the same frames; equal bindings of one join share theirs.
func (j *phoenixJoin) bind(b phoenixBinding) {
	h := fnv.New32a()
	parts := append([]string{b.schema, b.table, b.event, b.filter}, b.columns...)
	for _, part := range parts {
		_, _ = h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // never fails
	}
	b.number = max(int(h.Sum32()&0x7fffffff), 1)
	for {
		at := slices.IndexFunc(j.bindings, func(o phoenixBinding) bool { return o.number == b.number })
		if at < 0 || j.bindings[at].equal(b) {
			break
		}
		b.number = b.number%0x7fffffff + 1
	}
	j.bindings = append(j.bindings, b)
}

func (b phoenixBinding) equal(o phoenixBinding) bool {
	return b.schema == o.schema && b.table == o.table && b.event == o.event && b.filter == o.filter && slices.Equal(b.columns, o.columns)
}
