package table

import (
	"fluxbase/actors/delivery"
	"fluxbase/persistence/changelog"
)

// sealer makes the cursors of the changes of one span of the log.
type sealer struct {
	cursors *changelog.Cursors
	table   int32
	span    changelog.Span
}

// seal gives the change with its cursor; the change itself is shared and stays.
func (s sealer) seal(c *delivery.Change, e *changelog.Entry, t *changelog.Table, scopes []changelog.Scope) *delivery.Change {
	if s.cursors == nil {
		return c
	}
	sealed := *c
	sealed.Position = s.cursors.Seal(changelog.Cursor{Position: s.span.At(e.Place), Table: s.table, Signature: t.Signature, Scopes: scopes})
	return &sealed
}

// tellPosition sends a position notice to each group that was told nothing lately.
func (a *actor) tellPosition(m TellPosition) {
	for _, g := range a.follow.groups {
		if !g.told && a.options.Cursors != nil {
			a.send(positions(g, a.options.Cursors, changelog.Cursor{Position: m.At, Table: a.options.ID, Signature: m.Signature}))
		}
		g.told = false
	}
}

// positions makes a parcel with the position for each subscription of a group.
func positions(g *group, cursors *changelog.Cursors, at changelog.Cursor) parcel {
	p := parcel{receivers: []*group{g}}
	for _, s := range g.subscriptions {
		at.Scopes = []changelog.Scope{s.Scope}
		p.bytes = g.codec.AppendNotice(p.bytes, &delivery.Notice{Type: "position", SubscriptionID: s.ID, Position: cursors.Seal(at)})
		p.messages++
	}
	return p
}
