package feed

import (
	"fluxbase/actors/kernel"
	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
)

// scope is what the cursors of the subscription are good for.
func (s *subscription) scope() changelog.Scope {
	return changelog.ScopeOf(s.schema, s.table, s.event, s.filterKey)
}

// seal makes a cursor of the subscription; empty when there are no cursors. signature
// is the digest of the columns that the table has at the position.
func (f *feed) seal(s *subscription, at changelog.Position, signature string) string {
	if f.options.Cursors == nil {
		return ""
	}
	return f.options.Cursors.Seal(changelog.Cursor{
		Position: at, Table: s.tableID, Signature: signature, Scopes: []changelog.Scope{s.scope()},
	})
}

// tellPositions lets the tables tell the position to whoever got nothing lately. A
// log that has not grown makes no cursor old.
func (f *feed) tellPositions(c *kernel.Context) {
	c.After(f.options.PositionEvery, tellPositions{})
	grown := f.entries != f.entriesBefore[0]
	// Whoever got a change since the last time is told the next time.
	f.entriesBefore = [2]uint64{f.entriesBefore[1], f.entries}
	if f.state != open || !grown {
		return
	}
	for id, t := range f.tables {
		// A table that cannot hear it has more to tell than a position.
		_ = t.ref.Tell(table.TellPosition{At: f.at, Signature: f.signatures[id]})
	}
}
