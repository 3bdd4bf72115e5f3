package realtimeadmin

import (
	"slices"
	"time"

	"fluxbase/actors/table"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// explanation is the answer of POST /api/v1/realtime/explain.
type explanation struct {
	Delivered bool         `json:"delivered"`
	Reason    table.Reason `json:"reason"`
	Message   string       `json:"message"`
	// As is the type of the message; null for none.
	As      *string `json:"as"`
	Entered bool    `json:"entered,omitempty"`
	Left    bool    `json:"left,omitempty"`
	// Type is what was done to the row.
	Type   string     `json:"type"`
	Caller callerView `json:"caller"`
	Steps  []any      `json:"steps"`
}

type callerView struct {
	Role         string `json:"role"`
	DatabaseRole string `json:"database_role"`
	UserID       string `json:"user_id,omitempty"`
	// From is where the caller is known from: connection or request.
	From string `json:"from"`
}

// step is the part that all steps have. Passed is null for what was not come to.
type step struct {
	Step   string `json:"step"`
	Passed *bool  `json:"passed"`
}

type tableStep struct {
	step
	Schema string `json:"schema"`
	Table  string `json:"table"`
}

type loggedStep struct {
	step
	Events []string `json:"events"`
}

type policyStep struct {
	step
	RowSecurity bool         `json:"row_security"`
	Decided     string       `json:"decided,omitempty"`
	New         *bool        `json:"new"`
	Old         *bool        `json:"old"`
	Live        bool         `json:"judged_live,omitempty"`
	Error       *errorView   `json:"error,omitempty"`
	Policies    []policyView `json:"policies"`
}

type policyView struct {
	Name       string     `json:"name"`
	Permissive bool       `json:"permissive"`
	Applies    bool       `json:"applies"`
	Roles      []string   `json:"roles"`
	Expression string     `json:"expression"`
	Decided    string     `json:"decided,omitempty"`
	New        *bool      `json:"new"`
	Old        *bool      `json:"old"`
	Error      *errorView `json:"error,omitempty"`
}

type filterStep struct {
	step
	Filter  string     `json:"filter"`
	Decided string     `json:"decided,omitempty"`
	New     *bool      `json:"new"`
	Old     *bool      `json:"old"`
	Error   *errorView `json:"error,omitempty"`
}

type eventStep struct {
	step
	Event string `json:"event"`
}

type columnStep struct {
	step
	Delivered  []string `json:"delivered"`
	Excluded   []string `json:"excluded"`
	Unreadable []string `json:"unreadable"`
}

type connectionStep struct {
	step
	// Connected and Subscribed are about this node.
	Connected   bool             `json:"connected"`
	Subscribed  bool             `json:"subscribed"`
	Connections []connectionView `json:"connections"`
	Cuts        []cutView        `json:"cuts"`
}

type connectionView struct {
	ID            string             `json:"id"`
	ConnectedAt   time.Time          `json:"connected_at"`
	Subscriptions []subscriptionView `json:"subscriptions"`
}

type subscriptionView struct {
	ID     string `json:"id"`
	Event  string `json:"event"`
	Filter string `json:"filter,omitempty"`
	Live   bool   `json:"live"`
}

type cutView struct {
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	Reason string    `json:"reason"`
}

type errorView struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
}

func failure(err error) *errorView {
	if err == nil {
		return nil
	}
	f := fault.From(err)
	return &errorView{f.Code, f.Message}
}

// messages say what a reason means.
var messages = map[table.Reason]string{
	table.Given:            "the change is delivered",
	table.NotEnabled:       "the table is not enabled for realtime",
	table.EventNotLogged:   "the table is not enabled for this event",
	table.PermissionDenied: "the role has no privilege to read the table",
	table.FilterRefused:    "the subscription is refused for its filter",
	table.PolicyFailed:     "the row-level security policies failed",
	table.NotVisible:       "no policy lets the caller see the row",
	table.FilteredOut:      "the filter does not match",
	table.EventNotWanted:   "the subscription is to another event",
}

func describe(q inquiry, ask table.Explain, from string, x table.Explanation, p presence) explanation {
	out := explanation{
		Delivered: x.Reason == table.Given, Reason: x.Reason, Message: messages[x.Reason], Entered: x.Entered, Left: x.Left, Type: string(x.Type),
		Caller: callerView{string(ask.Caller.Role), string(ask.Caller.DatabaseRole()), ask.Caller.UserID, from},
	}
	if x.As != "" {
		as := string(x.As)
		out.As = &as
	}
	out.Steps = append(out.Steps, tableStep{passed("table_enabled", x.Table != nil), q.Schema, q.Table})
	if x.Table != nil {
		out.Steps = append(out.Steps, loggedStep{passed("event_logged", x.EventLogged), x.Table.Events}, passed("table_privilege", !x.View.Denied))
	}
	if x.Table != nil && !x.View.Denied {
		event := eventStep{passed("event", x.Reason == table.Given), ask.Event}
		if event.Event == "" {
			event.Event = table.Any
		}
		if x.Reason != table.Given && x.Reason != table.EventNotWanted {
			event.Passed = nil
		}
		out.Steps = append(out.Steps, policies(x), filtering(q.Filter, x), event, columns(x, ask.Caller.DatabaseRole()))
	}
	if q.ConnectionID != "" || q.UserID != "" {
		out.Steps = append(out.Steps, connections(p))
	}
	return out
}

func passed(name string, yes bool) step { return step{name, &yes} }

func decided(inMemory bool) string {
	if inMemory {
		return "memory"
	}
	return "sql"
}

func policies(x table.Explanation) policyStep {
	s := policyStep{RowSecurity: x.Table.RowSecurity, Error: failure(x.Err), Policies: []policyView{}}
	s.Step = "policies"
	sees := func(of *changelog.Sight) *bool {
		if of == nil {
			return nil
		}
		s.Live = s.Live || of.Live
		return &of.Visible
	}
	s.New, s.Old = sees(x.New), sees(x.Old)
	s.step = passed("policies", s.New != nil && *s.New || s.Old != nil && *s.Old)
	if x.View.Visibility == changelog.ByPolicy {
		s.Decided = decided(x.InMemory)
	}
	for _, o := range x.Policies {
		view := policyView{Name: o.Policy.Name, Permissive: o.Policy.Permissive, Applies: o.Applies, Roles: []string{}, Expression: o.Policy.Using, New: o.New, Old: o.Old, Error: failure(o.Err)}
		for _, role := range o.Policy.Roles {
			view.Roles = append(view.Roles, string(role))
		}
		if o.Applies {
			view.Decided = decided(o.InMemory)
		}
		s.Policies = append(s.Policies, view)
	}
	return s
}

func filtering(text string, x table.Explanation) filterStep {
	s := filterStep{Filter: text, Error: failure(x.Refused)}
	matches := func(of *changelog.Sight) *bool {
		if of == nil {
			return nil
		}
		return &of.Matches
	}
	s.New, s.Old = matches(x.New), matches(x.Old)
	s.step = passed("filter", x.Refused == nil && (s.New != nil && *s.New || s.Old != nil && *s.Old))
	if x.Reason == table.NotVisible || x.Reason == table.PolicyFailed {
		s.Passed, s.New, s.Old = nil, nil, nil
	}
	if text != "" && x.Refused == nil {
		s.Decided = decided(x.FilterInMemory)
	}
	return s
}

func columns(x table.Explanation, role caller.DatabaseRole) columnStep {
	s := columnStep{Delivered: []string{}, Excluded: []string{}, Unreadable: []string{}}
	for _, c := range x.Table.Columns {
		switch {
		case slices.Contains(x.Table.Exclude, c.Name):
			s.Excluded = append(s.Excluded, c.Name)
		case !slices.Contains(x.Table.RightsByRole[role].Columns, c.Name):
			s.Unreadable = append(s.Unreadable, c.Name)
		default:
			s.Delivered = append(s.Delivered, c.Name)
		}
	}
	s.step = passed("columns", len(s.Delivered) > 0)
	return s
}

func connections(p presence) connectionStep {
	s := connectionStep{Connected: len(p.found) > 0, Subscribed: len(p.followed) > 0, Connections: []connectionView{}, Cuts: []cutView{}}
	s.step = passed("connection", s.Subscribed)
	for _, f := range p.found {
		view := connectionView{ID: f.ID, ConnectedAt: f.ConnectedAt, Subscriptions: []subscriptionView{}}
		for _, one := range p.followed {
			if one.Subscriber == f.Ref {
				view.Subscriptions = append(view.Subscriptions, subscriptionView{one.ID, one.Event, one.Filter, one.Live})
			}
		}
		s.Connections = append(s.Connections, view)
	}
	for _, c := range p.cuts {
		s.Cuts = append(s.Cuts, cutView{c.ID, c.At, c.Reason})
	}
	return s
}
