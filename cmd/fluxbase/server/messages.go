package server

import (
	"context"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/actors/relay"
	"fluxbase/actors/retention"
	"fluxbase/actors/tenant"
)

// pruneMessagesEvery is how often old messages of channels are thrown away.
const pruneMessagesEvery = 10 * time.Minute

// openMessages has the messages that a tenant's database sends relayed, and those
// that are old thrown away. A database is relayed for the tenant that it belongs to.
func (s *Server) openMessages(p *tenantParts, info tenant.Info, spawn kernel.Spawner) (err error) {
	if !info.Default && info.Database == "" {
		return nil
	}
	if _, err := spawn.Spawn(retention.Props("message retention", retention.Options{
		Every: pruneMessagesEvery,
		Task: func(ctx context.Context) error {
			_, _, err := p.messages.Prune(ctx)
			return err
		},
	})); err != nil {
		return err
	}
	if p.attendant, err = spawn.Spawn(relay.AttendantProps("message relay", info.ID, s.placement, s.members)); err != nil {
		return err
	}
	if s.relaying.Load() {
		return p.attendant.Tell(relay.Attend{})
	}
	return nil
}

// openRelays begins with the tenants that were opened before the node could be the
// home of anything.
func (s *Server) openRelays(context.Context) error {
	s.relaying.Store(true)
	s.tellAttendants(relay.Attend{})
	return nil
}

// relayed are the messages of a tenant, for its relay.
func (s *Server) relayed(ctx context.Context, id string) (relay.Source, error) {
	t, err := s.tenants.directory.Open(ctx, id)
	if err != nil {
		return nil, err
	}
	return t.Parts.messages, nil
}

// tellAttendants tells something to the attendants of all relays. One that is too
// busy to hear it has heard it before.
func (s *Server) tellAttendants(msg any) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if !t.Parts.attendant.IsZero() {
			_ = t.Parts.attendant.Tell(msg)
		}
		return true
	})
}
