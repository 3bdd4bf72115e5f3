package server

import (
	"context"

	"fluxbase/actors/kernel"
)

// cluster is where things live and who else is there.
type cluster struct {
	placement kernel.Placement
	members   kernel.Members
}

func (s *Server) openCluster(context.Context) error {
	alone := kernel.Standalone(s.system)
	s.placement, s.members = alone, alone
	return nil
}
