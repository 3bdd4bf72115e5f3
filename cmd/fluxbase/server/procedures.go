package server

import (
	"context"

	"fluxbase/actors/kernel"
	actor "fluxbase/actors/procedure"
	"fluxbase/actors/tenant"
	"fluxbase/persistence/procedure"
	"fluxbase/transport/route"
	"fluxbase/transport/rpc"
)

// procedureWorkers and procedureQueue bound those who write and list procedures: all
// of them wait for one parser.
const (
	procedureWorkers = 2
	procedureQueue   = 64
)

// openProcedures has a tenant's procedures written and listed.
func (s *Server) openProcedures(p *tenantParts, info tenant.Info, spawn kernel.Spawner) (err error) {
	c := s.options.Config.RPC
	options := actor.Options{
		Store: procedure.New(p.database, info.ID), Directory: c.ProceduresDir,
		Limits: procedure.Limits{DefaultTime: c.DefaultExecutionTime, MaxTime: c.MaxExecutionTime},
	}
	p.route.Procedures, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "procedures", Workers: procedureWorkers, Queue: procedureQueue,
		New: func() kernel.Worker { return actor.NewWorker(options) },
	})
	return err
}

// rpcOptions are the settings of /rpc. The ranges were checked with the configuration.
func (s *Server) rpcOptions() (rpc.Options, error) {
	c := s.options.Config.RPC
	from, err := route.ParseRanges("rpc.sync_allowed_ip_ranges", c.SyncAllowedIPRanges)
	return rpc.Options{Enabled: c.Enabled, Timeout: c.MaxExecutionTime + callGrace, SyncRanges: from}, err
}

// loadProcedures stores the procedures of the folder for the default tenant, if it is
// told to. Nothing is deleted, and what has errors is left as it is and logged.
func (s *Server) loadProcedures(ctx context.Context) error {
	c := s.options.Config.RPC
	if !c.Enabled || !c.AutoLoadOnBoot {
		return nil
	}
	t, err := s.tenants.directory.Open(ctx, s.tenants.directory.Default().ID)
	if err != nil {
		return err
	}
	done, err := kernel.Ask[procedure.Synced](ctx, t.Parts.route.Procedures, actor.SyncFiles{})
	if err != nil {
		s.options.Logger.Warn("procedures were not loaded", "directory", c.ProceduresDir, "error", err)
		return nil
	}
	for _, e := range done.Errors {
		s.options.Logger.Warn("a procedure was not loaded", "procedure", e.Procedure, "error", e.Err)
	}
	if n := len(done.Created) + len(done.Updated); n > 0 {
		s.options.Logger.Info("procedures were loaded", "directory", c.ProceduresDir, "procedures", n)
	}
	return nil
}
