package realtime

import (
	"encoding/json"
	"mime"
	"strings"
	"unicode/utf8"

	"fluxbase/actors/channel"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// maxPhoenixMessages bounds the messages of one request.
const maxPhoenixMessages = 1000

// phoenixMessages is what POST /realtime/v1/api/broadcast takes. Topics are without
// their prefix.
type phoenixMessages struct {
	Messages []phoenixMessage `json:"messages"`
}

type phoenixMessage struct {
	Topic   string          `json:"topic"`
	Event   string          `json:"event"`
	Payload json.RawMessage `json:"payload,omitempty" doc:"Any JSON"`
	Private looseBool       `json:"private,omitempty"`
}

// broadcastAll sends a list of messages in its order; when it may not send one of
// them, it sends none.
func (g *Gateway) broadcastAll(r *route.Request) error {
	if err := g.enabled(); err != nil {
		return err
	}
	var body phoenixMessages
	if err := r.Decode(&body); err != nil {
		return unprocessable(err)
	}
	if n := len(body.Messages); n == 0 || n > maxPhoenixMessages {
		return fault.Newf(fault.Unprocessable, "messages must be a list of 1 to %d messages", maxPhoenixMessages)
	}
	all := make([]channel.Publish, 0, len(body.Messages))
	for i, m := range body.Messages {
		if m.Payload == nil {
			m.Payload = json.RawMessage("{}")
		}
		p := channel.Publish{
			Key:   channel.Key{Tenant: r.Caller().Tenant, Name: m.Topic, Private: bool(m.Private)},
			Event: m.Event, Payload: m.Payload,
		}
		if err := checkPhoenixMessage(p); err != nil {
			return fault.Newf(fault.Unprocessable, "messages[%d]: %s", i, fault.From(err).Message)
		}
		all = append(all, p)
	}
	return g.sendPhoenix(r, all)
}

// broadcastOne sends the body of the request, JSON or bytes, as the event that the
// path names.
func (g *Gateway) broadcastOne(r *route.Request) error {
	if err := g.enabled(); err != nil {
		return err
	}
	p := channel.Publish{
		Key:   channel.Key{Tenant: r.Caller().Tenant, Name: r.Param("topic"), Private: r.Query("private") == "true"},
		Event: r.Param("event"),
	}
	// What cannot be read is no type that is known.
	media, _, _ := mime.ParseMediaType(r.Header("Content-Type"))
	switch media {
	case "application/json":
		if err := r.CheckDepth(r.Body()); err != nil {
			return unprocessable(err)
		}
		if !json.Valid(r.Body()) {
			return fault.New(fault.Unprocessable, "the body is not valid JSON")
		}
		p.Payload = r.Body()
	case "application/octet-stream":
		p.Raw = append([]byte{}, r.Body()...)
	default:
		return fault.New(fault.UnsupportedMedia, "Content-Type must be application/json or application/octet-stream")
	}
	if r.Query("persist") != "" || r.Query("persist[ttl]") != "" {
		return fault.New(fault.Unprocessable, "messages are kept when they are sent with realtime.send")
	}
	if err := checkPhoenixMessage(p); err != nil {
		return err
	}
	return g.sendPhoenix(r, []channel.Publish{p})
}

// unprocessable says of a body that is understood and wrong what this API says.
func unprocessable(err error) error {
	f := fault.From(err)
	return fault.New(fault.Unprocessable, f.Message).WithHint(f.Hint).WithCause(err)
}

func checkPhoenixMessage(p channel.Publish) error {
	switch {
	case p.Key.Name == "":
		return fault.New(fault.Unprocessable, "topic is required")
	case p.Event == "":
		return fault.New(fault.Unprocessable, "event is required")
	case len(phoenixTopicPrefix)+len(p.Key.Name) > maxPhoenixName, len(p.Event) > maxPhoenixName:
		return fault.New(fault.Unprocessable, "topic or event is too long")
	case strings.IndexByte(p.Key.Name, 0) >= 0:
		return fault.New(fault.Unprocessable, "topic must not contain NUL")
	case !utf8.ValidString(p.Key.Name), !utf8.ValidString(p.Event), !utf8.Valid(p.Payload):
		return fault.New(fault.Unprocessable, "the text is not valid UTF-8")
	}
	return nil
}

func (g *Gateway) sendPhoenix(r *route.Request, all []channel.Publish) error {
	if err := g.charge(r, len(all)); err != nil {
		return err
	}
	allowed := map[channel.Key]bool{}
	for _, p := range all {
		if allowed[p.Key] {
			continue
		}
		if err := g.mayPublish(r.Context(), r.Caller(), p.Key); err != nil {
			return err
		}
		allowed[p.Key] = true
	}
	for _, p := range all {
		if _, err := g.sendAs(r.Context(), r.Caller(), p); err != nil {
			return err
		}
	}
	return r.Accepted()
}
