package server

import (
	"context"
	"time"

	"fluxbase/actors/execution"
	"fluxbase/actors/kernel"
	"fluxbase/actors/retention"
	"fluxbase/actors/tenant"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

// What looks executions up blocks on short statements.
const executionWorkers, executionQueue = 4, 64

// pruneExecutionsEvery is how often old executions are thrown away.
const pruneExecutionsEvery = 10 * time.Minute

// callGrace is what a call may wait for a place, besides the time of its procedure.
const callGrace = 30 * time.Second

// executions are what runs a tenant's procedures.
type executions struct {
	runner, scheduler kernel.Ref
	logbook           *execution.Logbook
}

func executionLimits(c config.RPC) execution.Limits {
	l := execution.Limits{
		Sync: c.MaxConcurrent, Async: c.AsyncWorkers, PerCaller: c.MaxConcurrentPerCaller, Pending: c.MaxPendingPerCaller,
		Time: c.MaxExecutionTime, Result: store.Limits{Rows: int64(c.DefaultMaxRows)},
	}
	// Zero is the default there.
	if l.Pending == 0 {
		l.Pending = -1
	}
	if l.Async == 0 {
		l.Async = -1
	}
	return l
}

// openExecutions spawns what runs a tenant's procedures, on demand and by the clock.
func (s *Server) openExecutions(p *tenantParts, info tenant.Info, spawn kernel.Spawner) (err error) {
	c := s.options.Config
	if !c.RPC.Enabled {
		return nil
	}
	executions := store.New(p.database, info.ID)
	logs := store.NewLogs(p.database)
	p.executions.logbook = execution.NewLogbook(executions, logs)
	o := execution.Options{
		Store: executions, Logs: logs,
		Procedures: p.procedures, Planner: procedure.NewPlanner(p.database, p.route.Catalog),
		Revoked: s.verifier.Revoked, Node: s.nodeName(), Kind: store.Kind(info.ID),
		Limits: executionLimits(c.RPC), Lease: c.RPC.Lease,
	}
	if p.executions.runner, err = spawn.Spawn(execution.RunnerProps("executions", o)); err != nil {
		return err
	}
	p.route.Executions.Runner = p.executions.runner
	if p.route.Executions.Records, err = spawn.SpawnPool(kernel.PoolProps{
		Name: "execution records", Workers: executionWorkers, Queue: executionQueue,
		New: func() kernel.Worker { return execution.NewWorker(o) },
	}); err != nil {
		return err
	}
	if _, err := spawn.Spawn(retention.Props("execution retention", retention.Options{
		Every: pruneExecutionsEvery,
		Task: func(ctx context.Context) error {
			_, err := executions.Prune(ctx, c.RPC.Retention)
			return err
		},
	})); err != nil {
		return err
	}
	if c.Scaling.DisableScheduler {
		return nil
	}
	p.executions.scheduler, err = spawn.Spawn(execution.SchedulerProps("schedules", execution.ScheduleOptions{
		Store: executions, Scheduled: procedure.New(p.database, info.ID).Scheduled,
		Caller: caller.Caller{
			Tenant: info.ID, DefaultTenant: info.Default, Role: caller.Service, Source: caller.SourceServiceKey,
			Claims: []byte(`{"role":"service_role"}`),
		},
	}))
	return err
}

// wakeEvery is how often tenants are looked for whose procedures are due.
const wakeEvery = 30 * time.Second

// openWaker has the tenants opened whose procedures are due while nobody uses them.
func (s *Server) openWaker(context.Context) error {
	if !s.options.Config.RPC.Enabled {
		return nil
	}
	_, err := s.system.Spawn(execution.WakerProps("procedures that are due", execution.WakerOptions{
		Every: wakeEvery,
		Due:   func(ctx context.Context) ([]string, error) { return store.Due(ctx, s.control, 2*wakeEvery) },
		Open: func(ctx context.Context, id string) error {
			_, err := s.tenants.directory.Open(ctx, id)
			if fault.CodeOf(err) == fault.TenantNotFound {
				return nil // deleted, and what it has left is not
			}
			return err
		},
	}))
	return err
}

// nodeName is what people find in the queue.
func (s *Server) nodeName() string {
	if name := s.options.Config.Cluster.NodeName; name != "" {
		return name
	}
	return string(s.members.Self())
}

// tellRunners tells something to those who run the procedures of the tenants that are
// open here. One that is too busy to hear it looks by itself after a while.
func (s *Server) tellRunners(msg any) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if !t.Parts.executions.runner.IsZero() {
			_ = t.Parts.executions.runner.Tell(msg)
		}
		return true
	})
}

// rungLogs tells those who follow the log of an execution, or any of them for "".
func (s *Server) rungLogs(id string) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if l := t.Parts.executions.logbook; l != nil {
			l.Rung(id)
		}
		return true
	})
}

// tellSchedulers has the schedules read again.
func (s *Server) tellSchedulers() {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if !t.Parts.executions.scheduler.IsZero() {
			_ = t.Parts.executions.scheduler.Tell(execution.Changed{})
		}
		return true
	})
}

// drainExecutions gives back what nobody waits for: another node may begin it now.
func (s *Server) drainExecutions(ctx context.Context) (err error) {
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if !t.Parts.executions.runner.IsZero() {
			_, err = kernel.Ask[any](ctx, t.Parts.executions.runner, execution.Drain{})
		}
		return err == nil
	})
	return err
}
