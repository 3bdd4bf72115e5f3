package realtimeadmin

import (
	"encoding/json"
	"strings"

	"fluxbase/actors/connection"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/filter"
	"fluxbase/transport/route"
)

// maxConnections is how many of a user's connections are told about.
const maxConnections = 20

// explainer answers why somebody gets a change or does not.
type explainer struct{ directory kernel.Target }

// inquiry is the body of POST /api/v1/realtime/explain. Who: the caller of a
// connection, or a user, or claims, or a role. Which table: a channel or a schema
// and a table. What: the row after and before the change.
type inquiry struct {
	ConnectionID string          `json:"connection_id,omitempty"`
	UserID       string          `json:"user_id,omitempty"`
	Claims       json.RawMessage `json:"claims,omitempty" doc:"An object"`
	Role         string          `json:"role,omitempty"`
	Channel      string          `json:"channel,omitempty"`
	Schema       string          `json:"schema,omitempty"`
	Table        string          `json:"table,omitempty"`
	Event        string          `json:"event,omitempty" enum:"INSERT,UPDATE,DELETE,*"`
	Filter       string          `json:"filter,omitempty"`
	Record       json.RawMessage `json:"record,omitempty" doc:"The row after the change"`
	OldRecord    json.RawMessage `json:"old_record,omitempty" doc:"The row before the change"`
}

func (x explainer) explain(r *route.Request) error {
	var q inquiry
	if err := r.Decode(&q); err != nil {
		return err
	}
	ask, err := q.ask()
	if err != nil {
		return err
	}
	present, err := x.connections(r, q, ask)
	if err != nil {
		return err
	}
	var from string
	if ask.Caller, from, err = q.caller(r.Caller(), present.found); err != nil {
		return err
	}
	// A connection that follows the table is asked about as it follows it.
	if q.ConnectionID != "" && q.Event == "" && q.Filter == "" && len(present.followed) > 0 {
		ask.Event, ask.Filter, q.Filter = present.followed[0].Event, present.followed[0].Condition, present.followed[0].Filter
	}
	found, err := kernel.Ask[table.Explanation](r.Context(), r.Tenant().Registrar, ask)
	if err != nil {
		return err
	}
	return r.JSON(200, describe(q, ask, from, found, present))
}

// ask makes the question of everything but the caller.
func (q *inquiry) ask() (ask table.Explain, err error) {
	if name, ok := strings.CutPrefix(q.Channel, "table:"); ok && q.Table == "" {
		if schema, name, qualified := strings.Cut(name, "."); qualified {
			q.Schema, q.Table = schema, name
		} else {
			q.Table = schema
		}
	}
	if q.Table == "" {
		return ask, fault.New(fault.MissingRequiredField, "table is required").WithHint("Name a table, or a channel of the form table:schema.table.")
	}
	if q.Schema == "" {
		q.Schema = "public"
	}
	switch q.Event {
	case "", "INSERT", "UPDATE", "DELETE", table.Any:
	default:
		return ask, fault.Newf(fault.InvalidInput, "unknown event %q", q.Event).WithHint("Events are INSERT, UPDATE, DELETE and *.")
	}
	ask.Schema, ask.Table, ask.Event = q.Schema, q.Table, q.Event
	if ask.New, err = object(q.Record, "record"); err != nil {
		return ask, err
	}
	if ask.Old, err = object(q.OldRecord, "old_record"); err != nil {
		return ask, err
	}
	if ask.New == nil && ask.Old == nil {
		return ask, fault.New(fault.MissingRequiredField, "record or old_record is required")
	}
	ask.Filter, err = filter.ParseRealtime(q.Filter)
	return ask, err
}

// object is a row of the body; nil for none.
func object(row json.RawMessage, name string) (json.RawMessage, error) {
	text := strings.TrimSpace(string(row))
	switch {
	case text == "" || text == "null":
		return nil, nil
	case text[0] != '{':
		return nil, fault.Newf(fault.InvalidInput, "%s must be an object", name)
	}
	return json.RawMessage(text), nil
}

// presence is what is known of the caller's connections to this node.
type presence struct {
	found    []connection.Found
	followed []feed.Followed
	cuts     []connection.Cut
}

// connections finds the connections that are asked about.
func (x explainer) connections(r *route.Request, q inquiry, ask table.Explain) (p presence, err error) {
	if q.ConnectionID == "" && q.UserID == "" {
		return p, nil
	}
	tenant := r.Caller().Tenant
	if p.found, err = kernel.Ask[[]connection.Found](r.Context(), x.directory, connection.Find{Tenant: tenant, UserID: q.UserID, ID: q.ConnectionID, Limit: maxConnections}); err != nil {
		return p, err
	}
	if p.cuts, err = kernel.Ask[[]connection.Cut](r.Context(), x.directory, connection.ListCuts{Tenant: tenant, UserID: q.UserID, ID: q.ConnectionID}); err != nil {
		return p, err
	}
	var refs []kernel.Ref
	for _, f := range p.found {
		refs = append(refs, f.Ref)
	}
	p.followed, err = kernel.Ask[[]feed.Followed](r.Context(), r.Tenant().Feed, feed.ListFollowed{Subscribers: refs, Schema: ask.Schema, Table: ask.Table})
	return p, err
}

// caller is whom the question is about, in the tenant of the one who asks, and where
// that is known from.
func (q *inquiry) caller(admin caller.Caller, found []connection.Found) (c caller.Caller, from string, err error) {
	switch {
	case len(found) > 0 && q.Claims == nil && q.Role == "":
		return found[len(found)-1].Caller, "connection", nil
	case q.ConnectionID != "" && q.UserID == "" && q.Claims == nil && q.Role == "":
		return c, "", fault.New(fault.NotFound, "no such connection on this node").WithHint("Say whom it was for: user_id, claims or role.")
	}
	claims := map[string]any{}
	if q.Claims != nil {
		if err := json.Unmarshal(q.Claims, &claims); err != nil || claims == nil {
			return c, "", fault.New(fault.InvalidInput, "claims must be an object")
		}
	}
	text := func(name, given string, standard string) string {
		if given != "" {
			claims[name] = given
		}
		if _, there := claims[name]; !there && standard != "" {
			claims[name] = standard
		}
		value, _ := claims[name].(string)
		return value
	}
	user := text("sub", q.UserID, "")
	standard := caller.Anon
	if user != "" {
		standard = caller.Authenticated
	}
	role := text("role", q.Role, string(standard))
	c = caller.Caller{Tenant: admin.Tenant, DefaultTenant: admin.DefaultTenant, Branch: admin.Branch, Role: caller.Role(role), UserID: user, Source: caller.SourceToken}
	// As the credential check makes them: the same claims, in the order of names.
	c.Claims, err = json.Marshal(claims)
	return c, "request", err
}
