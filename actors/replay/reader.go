package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
	"fluxbase/persistence/fault"
)

const (
	// rowsTries is how often rows are read again because the plan changed meanwhile.
	rowsTries = 3
	// rowsTimeout is how long that may take: others wait for the reader.
	rowsTimeout = 15 * time.Second
)

// pageLimit bounds one read of a replay: smaller than those of the feed, because
// each replay has a page of its own in memory.
var pageLimit = changelog.Limit{Entries: 500, Bytes: 256 << 10}

// Reader is the worker that reads for replays. It has no state: one value serves a
// whole pool.
type Reader struct {
	Log Log
	// Limit bounds a snapshot.
	Limit changelog.RowLimit
}

var _ kernel.Worker = Reader{}

// place is where a replay stands: a position, the digest of the columns that the
// table has there, and the plan at hand.
type place struct {
	at        changelog.Position
	signature string
	plan      *changelog.Plan
}

type (
	// readPage asks for the page behind a place, readRows for the rows of now.
	readPage struct {
		options    *Options
		from       place
		subscriber delivery.Subscriber
		// shown is what the client holds; for rows only, nil if it is not known.
		shown *table.Shown
	}
	readRows readPage
	// page is what both give: frames, and where they end.
	page struct {
		frames  []table.Encoded
		next    place
		entries int // of the log
		// touched tells that tables were written to which the policies read.
		touched bool
		// shown is what the client holds behind rows, notes what a page changes of it;
		// nil when it is not remembered.
		shown *table.Shown
		notes []table.ShownNote
	}
)

// Handle implements kernel.Worker. It blocks on SQL.
func (r Reader) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case readPage:
		return r.page(ctx, m)
	case readRows:
		return r.rows(ctx, m)
	}
	return nil, fmt.Errorf("the reader of replays does not know %T", msg)
}

func (r Reader) page(ctx context.Context, m readPage) (p page, err error) {
	o := m.options
	tables := []int32{o.Table}
	if t, ok := m.from.plan.Table(o.Table); ok {
		tables = append(tables, t.Reads...)
	}
	b, err := r.Log.ReadTables(ctx, m.from.at, tables, m.from.plan, pageLimit)
	switch {
	case errors.Is(err, changelog.ErrTooOld):
		return page{}, resumeError(delivery.TooOld, err)
	case errors.Is(err, changelog.ErrEpochChanged):
		return page{}, resumeError(delivery.EpochChanged, err)
	case err != nil:
		return page{}, away(err)
	}
	p = page{next: place{b.Next, m.from.signature, m.from.plan}, entries: len(b.Entries)}
	if b.Plan != nil {
		p.next.plan = b.Plan
	}
	t, enabled := p.next.plan.Table(o.Table)
	if !enabled {
		return page{}, notEnabled(o)
	}
	// An entry can be judged when its table had the columns that the plan has.
	entries := b.Entries[:0:0]
	for _, e := range b.Entries {
		if e.Type == changelog.Marker {
			mark, err := e.Mark()
			if err != nil {
				return page{}, err
			}
			if signature, ok := mark.Columns[o.Table]; ok {
				p.next.signature = signature
			}
			continue
		}
		p.touched = p.touched || slices.Contains(t.Reads, e.Table)
		if e.Table != o.Table {
			continue
		}
		if p.next.signature != t.Signature {
			return page{}, resumeError(delivery.SchemaChanged, errColumns)
		}
		entries = append(entries, e)
	}
	// Without an event trigger there are no markers that would say where the columns
	// changed.
	if p.next.plan.Unmarked && p.next.signature != t.Signature {
		return page{}, resumeError(delivery.SchemaChanged, errColumns)
	}
	if len(entries) > 0 {
		subscription := o.Subscription
		if o.Track {
			subscription.Shown = table.NewNotes()
			defer func() { p.notes = subscription.Shown.Notes() }()
		}
		p.frames, err = table.Replay(ctx, table.History{
			Log: r.Log, Cursors: o.Cursors, Table: o.Table, Plan: p.next.plan, Entries: entries, Span: b.Span,
		}, m.subscriber, subscription)
	}
	return p, err
}

var errColumns = errors.New("the table's columns changed")

func resumeError(reason string, why error) error {
	return &delivery.ResumeError{Reason: reason, Message: "the subscription cannot go on from its cursor: " + why.Error()}
}

// away says that the log cannot be read right now.
func away(err error) error {
	return fault.New(fault.ServiceUnavailable, "changes cannot be followed right now").WithCause(err)
}

func notEnabled(o *Options) error {
	if t, ok := o.Plan.Table(o.Table); ok {
		return fault.Newf(fault.RealtimeNotEnabled, "table %s.%s not enabled for realtime", t.Schema, t.Name)
	}
	return fault.New(fault.RealtimeNotEnabled, "the table is not enabled for realtime")
}

// rows reads the snapshot under a plan that was true in it.
func (r Reader) rows(ctx context.Context, m readRows) (page, error) {
	ctx, cancel := context.WithTimeout(ctx, rowsTimeout)
	defer cancel()
	o, plan := m.options, m.from.plan
	for range rowsTries {
		t, enabled := plan.Table(o.Table)
		if !enabled {
			return page{}, notEnabled(o)
		}
		c := m.subscriber.Caller
		if t.View(c.DatabaseRole()).Denied {
			return page{}, fault.Newf(fault.InsufficientPermissions, "permission denied for table %s", t.Name)
		}
		rows, err := r.Log.Rows(ctx, t, c, *o.Rows, r.Limit)
		if err != nil {
			return page{}, err
		}
		current, err := r.Log.Current(ctx, plan)
		if err != nil {
			return page{}, away(err)
		}
		if current {
			next := place{changelog.Position{Epoch: m.from.at.Epoch, Seen: rows.Snapshot}, t.Signature, plan}
			p := page{next: next}
			if o.Track && len(rows.Records) <= table.MaxShown && table.Trackable(t, t.View(c.DatabaseRole())) {
				p.shown = table.NewShown()
			}
			e := rowEncoder{options: o, codec: m.subscriber.Codec, table: t, view: t.View(c.DatabaseRole()), shown: p.shown}
			p.frames, err = e.encode(rows, next.at, m.shown)
			return p, err
		}
		if _, plan, err = r.Log.Now(ctx); err != nil {
			return page{}, away(err)
		}
	}
	return page{}, fault.New(fault.ServiceUnavailable, "the table's definition changes all the time")
}
