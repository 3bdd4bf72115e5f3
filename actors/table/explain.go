package table

import (
	"context"
	"slices"

	"fluxbase/actors/delivery"
	"fluxbase/persistence/changelog"
)

// Explain asks why a subscription gets a change or does not. The answer is
// Explanation.
type Explain struct {
	changelog.Inquiry
	// Event is the subscription's; empty means Any.
	Event string
}

// Examiner finds out about changes; *changelog.Log does.
type Examiner interface {
	Examine(ctx context.Context, q changelog.Inquiry) (*changelog.Findings, error)
}

// Reason is what decides in the end whether a change is delivered.
type Reason string

// The reasons. All but Given say why it is not.
const (
	Given            Reason = "delivered"
	NotEnabled       Reason = "table_not_enabled"
	EventNotLogged   Reason = "event_not_logged"
	PermissionDenied Reason = "permission_denied"
	FilterRefused    Reason = "filter_refused"
	PolicyFailed     Reason = "policy_failed"
	NotVisible       Reason = "not_visible"
	FilteredOut      Reason = "filtered_out"
	EventNotWanted   Reason = "event_not_wanted"
)

// Explanation is why a subscription gets a change or does not.
type Explanation struct {
	*changelog.Findings
	// Type is what was done to the row.
	Type delivery.ChangeType
	// EventLogged tells whether the table is enabled for it.
	EventLogged bool
	Reason      Reason
	// As is what is delivered; empty for nothing. Entered and Left are those of
	// delivery.Change.
	As            delivery.ChangeType
	Entered, Left bool
}

// Find takes the verdict on a change as the table's actor would.
func (q Explain) Find(ctx context.Context, log Examiner) (Explanation, error) {
	found, err := log.Examine(ctx, q.Inquiry)
	if err != nil {
		return Explanation{}, err
	}
	if q.Event == "" {
		q.Event = Any
	}
	x := Explanation{Findings: found, Type: delivery.Update}
	entry := changelog.Update
	switch {
	case q.Old == nil:
		entry, x.Type = changelog.Insert, delivery.Insert
	case q.New == nil:
		entry, x.Type = changelog.Delete, delivery.Delete
	}
	x.EventLogged = found.Table != nil && slices.Contains(found.Table.Events, string(x.Type))
	x.decide(entry, q.Event)
	return x, nil
}

// decide fills in what comes of it.
func (x *Explanation) decide(entry changelog.Type, event string) {
	see := func(matches func(*changelog.Sight) bool) sight {
		var s sight
		if x.New != nil {
			s.new = matches(x.New)
		}
		if x.Old != nil {
			s.old, s.live = matches(x.Old), x.Old.Live
		}
		return s
	}
	seen := see(func(s *changelog.Sight) bool { return s.Matches })
	switch visible := see(func(s *changelog.Sight) bool { return s.Visible }); {
	case x.Table == nil:
		x.Reason = NotEnabled
	case !x.EventLogged:
		x.Reason = EventNotLogged
	case x.View.Denied:
		x.Reason = PermissionDenied
	case x.Refused != nil:
		x.Reason = FilterRefused
	case x.Err != nil:
		x.Reason = PolicyFailed
	case !visible.new && !visible.old:
		x.Reason = NotVisible
	case !seen.new && !seen.old:
		x.Reason = FilteredOut
	default:
		x.Reason = Given
		switch outcome(entry, event, seen) {
		case inserted:
			x.As = delivery.Insert
		case updated, updatedKey:
			x.As = delivery.Update
		case entered:
			x.As, x.Entered = delivery.Update, true
		case left:
			x.As, x.Left = delivery.Delete, true
		case deleted:
			x.As = delivery.Delete
		default:
			x.Reason = EventNotWanted
		}
	}
}
