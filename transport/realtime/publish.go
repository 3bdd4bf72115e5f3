package realtime

import (
	"context"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"fluxbase/actors/channel"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/message"
	"fluxbase/transport/budget"
	"fluxbase/transport/route"
)

// maxMessageID is the length of an id that a publisher may give a message.
const maxMessageID = 255

// broadcastBody is what POST /api/v1/realtime/broadcast takes: a message that
// goes out as the event "broadcast", or an event with its payload.
type broadcastBody struct {
	Channel   string          `json:"channel"`
	Private   bool            `json:"private,omitempty"`
	Message   json.RawMessage `json:"message,omitempty" doc:"Any JSON; goes out as the event broadcast"`
	Event     string          `json:"event,omitempty"`
	Payload   json.RawMessage `json:"payload,omitempty" doc:"Any JSON"`
	MessageID string          `json:"messageId,omitempty" doc:"A message with the same id of the same publisher is sent once"`
}

type broadcastView struct {
	Success    bool   `json:"success"`
	Channel    string `json:"channel"`
	Recipients int    `json:"recipients"`
	Epoch      uint64 `json:"epoch"`
	Offset     uint64 `json:"offset"`
}

func (g *Gateway) broadcast(r *route.Request) error {
	if err := g.enabled(); err != nil {
		return err
	}
	if err := g.charge(r, 1); err != nil {
		return err
	}
	var body broadcastBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if key := r.Header("Idempotency-Key"); key != "" {
		body.MessageID = key
	}
	payload := body.Payload
	if payload == nil {
		payload = body.Message
	}
	if payload == nil {
		payload = json.RawMessage("null")
	}
	if body.Event == "" {
		body.Event = "broadcast"
	}
	switch {
	case body.Channel == "":
		return fault.New(fault.MissingRequiredField, "Channel is required")
	case !utf8.Valid(payload):
		return fault.New(fault.InvalidRequestBody, "Message is not valid UTF-8")
	}
	published, err := g.publish(r.Context(), r.Caller(), channel.Publish{
		Key:   channel.Key{Tenant: r.Caller().Tenant, Name: body.Channel, Private: body.Private},
		Event: body.Event, Payload: payload, MessageID: body.MessageID,
	})
	if err != nil {
		return err
	}
	return r.JSON(200, broadcastView{
		Success: true, Channel: body.Channel, Recipients: published.Recipients, Epoch: published.Epoch, Offset: published.Offset,
	})
}

// charge takes what a request with messages costs from the budgets that it shares
// with the sockets of its user, address and tenant.
func (g *Gateway) charge(r *route.Request, messages int) error {
	c := r.Caller()
	account := g.ledger.Open(budget.Client{Tenant: c.Tenant, User: c.UserID, IP: r.IP()})
	defer g.ledger.Close(account)
	now := time.Now()
	f := account.Take(budget.Messages, messages, now)
	if f == nil {
		f = account.Take(budget.Bytes, len(r.Body()), now)
	}
	if f != nil {
		return f.WithRetryAfter(max(f.RetryAfter, time.Second)) // the header counts in seconds
	}
	return nil
}

// publish sends a message of somebody who has no socket, if he may. A message with
// an id is sent once, however often its publisher repeats it.
func (g *Gateway) publish(ctx context.Context, c caller.Caller, p channel.Publish) (channel.Published, error) {
	if err := g.mayPublish(ctx, c, p.Key); err != nil {
		return channel.Published{}, err
	}
	if len(p.MessageID) > maxMessageID {
		return channel.Published{}, fault.Newf(fault.InvalidInput, "Message id is longer than %d bytes", maxMessageID)
	}
	return g.sendAs(ctx, c, p)
}

// sendAs is publish for somebody who is known to be allowed to.
func (g *Gateway) sendAs(ctx context.Context, c caller.Caller, p channel.Publish) (channel.Published, error) {
	p.Scope = publisher(c)
	return kernel.Ask[channel.Published](ctx, g.o.Channels, p)
}

// publisher names who gave a message its id: other publishers' ids are others.
func publisher(c caller.Caller) string {
	switch {
	case c.UserID != "":
		return "user " + c.UserID
	case c.KeyID != "":
		return "key " + c.KeyID
	default:
		return "role " + string(c.Role)
	}
}

func (g *Gateway) mayPublish(ctx context.Context, c caller.Caller, k channel.Key) error {
	switch {
	case reserved(k.Name):
		if !mayAdminister(c) {
			return fault.New(fault.AdminRequired, "Admin access required to publish to this channel")
		}
		return nil
	case !k.Private && g.o.PrivateOnly:
		return fault.New(fault.AccessDenied, "This server has private channels only")
	case !k.Private:
		return nil
	}
	services, err := g.o.Services(ctx, k.Tenant)
	if err != nil {
		return err
	}
	if services.Messages == nil {
		return fault.New(fault.FeatureDisabled, "This server has no private channels")
	}
	may, err := services.Messages.Writable(ctx, c, k.Name, message.Broadcast)
	if err != nil {
		return err
	}
	if !may {
		return fault.New(fault.AccessDenied, "No permission to write to this channel")
	}
	return nil
}

// reserved tells whether a channel carries the server's own messages.
func reserved(name string) bool {
	return strings.HasPrefix(name, "realtime:admin:") || strings.HasPrefix(name, "fluxbase:")
}
