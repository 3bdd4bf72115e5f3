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

// cursor seals a position for one subscription; empty when there are no cursors.
func (f *feed) cursor(s *subscription, at changelog.Position) string {
	if f.options.Cursors == nil {
		return ""
	}
	return f.options.Cursors.Seal(changelog.Cursor{
		Position: at, Table: s.tableID, Signature: f.signatures[s.tableID], Scopes: []changelog.Scope{s.scope()},
	})
}

// tellPositions lets the tables tell the position to whoever got nothing lately. A
// log that has not grown makes no cursor old.
func (f *feed) tellPositions(c *kernel.Context) {
	c.After(f.options.PositionEvery, tellPositions{})
	if f.state != open || f.entries == f.toldEntries {
		return
	}
	f.toldEntries = f.entries
	for id, t := range f.tables {
		// A table that cannot hear it has more to tell than a position.
		_ = t.ref.Tell(table.TellPosition{At: f.at, Signature: f.signatures[id]})
	}
}
