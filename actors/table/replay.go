package table

import (
	"context"

	"fluxbase/actors/delivery"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

// Encoded is a run of complete frames.
type Encoded struct {
	Bytes    []byte
	Messages int
}

// History is changes of a table that were committed before a subscription was live.
type History struct {
	Log     Log
	Cursors *changelog.Cursors
	// Table is the table's id.
	Table   int32
	Plan    *changelog.Plan
	Entries []changelog.Entry
	Span    changelog.Span
}

// Replay judges and encodes changes for one subscription alone, exactly as its table's
// actor would have, and keeps its Shown up to date. It blocks on SQL. The error is a *delivery.ResumeError when the
// table's columns changed behind the changes.
func Replay(ctx context.Context, h History, s delivery.Subscriber, of Subscription) ([]Encoded, error) {
	alone := newMembership()
	alone.add(Add{Subscriber: s, Subscription: of})
	j, err := judge(ctx, h.Log, h.Table, h.Plan, h.Entries, alone)
	switch {
	case err != nil:
		return nil, err
	case j.gone:
		return nil, fault.New(fault.RealtimeNotEnabled, "the table is not enabled for realtime any more")
	case j.changed:
		return nil, &delivery.ResumeError{Reason: delivery.SchemaChanged, Message: schemaChanged.Message}
	}
	alone.track(j)
	parcels, err := encode(j, sealer{h.Cursors, h.Table, h.Span})
	if err != nil {
		return nil, err
	}
	encoded := make([]Encoded, 0, len(parcels))
	for _, p := range parcels {
		encoded = append(encoded, Encoded{p.bytes, p.messages})
	}
	return encoded, nil
}
