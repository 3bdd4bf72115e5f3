package replay

import (
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
)

// frameBytes is about how large a frame of rows gets.
const frameBytes = 64 << 10

// rowEncoder makes frames of the rows of a snapshot.
type rowEncoder struct {
	options *Options
	codec   delivery.Codec
	table   *changelog.Table
	view    *changelog.View
	// shown is to be filled with what the client holds behind the frames; nil when it
	// is not remembered.
	shown *table.Shown

	frames  []table.Encoded
	current table.Encoded
}

// encode gives the whole of the rows, or, where what the client holds is known, only
// what is different.
func (e *rowEncoder) encode(rows *changelog.Rows, at changelog.Position, before *table.Shown) ([]table.Encoded, error) {
	cursor := ""
	if e.options.Cursors != nil {
		cursor = e.options.Cursors.Seal(changelog.Cursor{
			Position: at, Table: e.options.Table, Signature: e.table.Signature, Scopes: []changelog.Scope{e.options.Subscription.Scope},
		})
	}
	if e.shown == nil || !before.Known() {
		return e.whole(rows, cursor)
	}
	return e.difference(rows, cursor, before)
}

func (e *rowEncoder) columns() []delivery.Column {
	columns := make([]delivery.Column, 0, len(e.view.Columns))
	for _, c := range e.view.Columns {
		columns = append(columns, delivery.Column{Name: c.Name, Type: c.Type})
	}
	return columns
}

func (e *rowEncoder) whole(rows *changelog.Rows, cursor string) ([]table.Encoded, error) {
	columns := e.columns()
	for rest, first := rows.Records, true; first || len(rest) > 0; first = false {
		n, size := 0, 0
		for n < len(rest) && (n == 0 || size+len(rest[n]) <= frameBytes) {
			if e.shown != nil {
				if _, _, _, err := e.shown.Add(e.table, rest[n], nil); err != nil {
					return nil, err
				}
			}
			size += len(rest[n])
			n++
		}
		part := delivery.Snapshot{Schema: e.table.Schema, Table: e.table.Name, Records: rest[:n], Columns: columns, Begin: first, Done: n == len(rest)}
		if part.Done {
			part.Position = cursor
		}
		e.frames = append(e.frames, table.Encoded{Bytes: e.codec.AppendSnapshot(nil, &part, e.options.Subscription.ID), Messages: 1})
		rest = rest[n:]
	}
	return e.frames, nil
}

// difference says in changes what became of the rows that the client holds. Only behind
// the last of them there is a cursor: in their midst there is no place to go on from.
func (e *rowEncoder) difference(rows *changelog.Rows, cursor string, before *table.Shown) ([]table.Encoded, error) {
	columns, ids, now := e.columns(), []string{e.options.Subscription.ID}, time.Now().UTC()
	add := func(c delivery.Change) {
		c.Schema, c.Table, c.Columns, c.CommitTimestamp = e.table.Schema, e.table.Name, columns, now
		e.current.Bytes = e.codec.AppendChange(e.current.Bytes, &c, ids)
		if e.current.Messages++; len(e.current.Bytes) >= frameBytes {
			e.frames, e.current = append(e.frames, e.current), table.Encoded{}
		}
	}
	var news []delivery.Change
	for _, record := range rows.Records {
		key, known, same, err := e.shown.Add(e.table, record, before)
		if err != nil {
			return nil, err
		}
		if !same {
			news = append(news, delivery.Change{Type: delivery.Update, Record: record, OldRecord: key, Entered: !known})
		}
	}
	for _, key := range before.Missing(e.shown) {
		add(delivery.Change{Type: delivery.Delete, OldRecord: key, Left: true})
	}
	for _, c := range news {
		add(c)
	}
	if len(e.frames) == 0 && e.current.Messages == 0 {
		return nil, nil
	}
	e.current.Bytes = e.codec.AppendNotice(e.current.Bytes, &delivery.Notice{Type: "position", SubscriptionID: e.options.Subscription.ID, Position: cursor})
	e.current.Messages++
	return append(e.frames, e.current), nil
}
