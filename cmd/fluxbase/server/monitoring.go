package server

import (
	"context"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/actors/tenant"
	"fluxbase/transport/metrics"
	"fluxbase/transport/monitoring"
)

// How many log records are kept for administrators to look at, and in how many
// bytes.
const (
	keptRecords     = 10_000
	keptRecordBytes = 8 << 20
)

// monitoringOptions say where the figures come from.
func (s *Server) monitoringOptions() monitoring.Options {
	o := monitoring.Options{
		Ping:         s.control.Ping,
		DatabaseSize: s.control.Size,
		Pools:        s.poolFigures,
		Draining:     func() bool { return s.http.Draining() },
		Ready:        map[string]func(context.Context) error{"cluster": s.memberOf},
		Logs:         s.recent,
	}
	if s.realtimeServed() {
		o.Realtime = s.socketFigures
		o.ChangeLog = s.logFigures
	}
	if s.joined != nil {
		o.Cluster = s.clusterFigures
	}
	return o
}

// poolFigures sums the logins' pools up. The default tenant is the only one with
// pools so far, so the instance's figures are its own.
func (s *Server) poolFigures(string) monitoring.Pools {
	var p monitoring.Pools
	for _, pool := range s.control.Stats() {
		p.AcquireCount += pool.Acquired
		p.EmptyAcquireCount += pool.Waited
		p.CanceledAcquireCount += pool.Failed
		p.AcquireDurationMS += pool.WaitTime.Milliseconds()
		p.NewConnsCount += pool.Made
		p.MaxLifetimeDestroyCount += pool.Aged
		p.MaxIdleDestroyCount += pool.Rested
		p.ConstructingConns += pool.Making
		p.AcquiredConns += pool.InUse
		p.IdleConns += pool.Open - pool.InUse - pool.Making
		p.TotalConns += pool.Open
		p.MaxConns += pool.Max
	}
	return p
}

// socketFigures ask the actors; tenant "" is all of them.
func (s *Server) socketFigures(ctx context.Context, tenant string) (monitoring.Realtime, error) {
	totals, err := kernel.Ask[connection.Totals](ctx, s.directory, connection.Count{Tenant: tenant})
	if err != nil {
		return monitoring.Realtime{}, err
	}
	stats, err := kernel.Ask[channel.Stats](ctx, s.sockets.channels, channel.GetStats{Tenant: tenant})
	if err != nil {
		return monitoring.Realtime{}, err
	}
	return monitoring.Realtime{Connections: totals.Connections, Channels: stats.Channels, Subscriptions: totals.Subscriptions, Cut: totals.Cut}, nil
}

// logFigures sum up the change logs of the tenants that are open here; tenant ""
// is all of them.
func (s *Server) logFigures(ctx context.Context, of string) (monitoring.ChangeLog, error) {
	var sum monitoring.ChangeLog
	var failed error
	s.tenants.directory.Opened(func(t *tenant.Tenant[*tenantParts]) bool {
		if of != "" && t.ID != of {
			return true
		}
		e, err := t.Parts.log.Extent(ctx)
		if err != nil {
			failed = err
			return false
		}
		f, err := kernel.Ask[feed.Stats](ctx, t.Parts.feed, feed.GetStats{})
		if err != nil {
			failed = err
			return false
		}
		sum.Bytes += e.Bytes
		sum.OldestAge = max(sum.OldestAge, e.Age.Seconds())
		sum.SlotsEmptied += e.Emptied
		sum.ReadLag = max(sum.ReadLag, f.Lag.Seconds())
		sum.WaitingBytes += f.WindowBytes
		v := t.Parts.log.Verdicts()
		sum.Identities += f.Identities
		sum.VerdictsInMemory += v.Memory
		sum.VerdictsInSQL += v.SQL
		sum.VerdictLookups += v.Looked
		sum.Replaying += f.Replaying
		return true
	})
	return sum, failed
}

// scrapeTimeout bounds what a scrape asks actors.
const scrapeTimeout = 2 * time.Second

// watchFigures lets Prometheus measure the rooms.
func (s *Server) watchFigures() error {
	if err := s.metrics.WatchDatabase(func() metrics.Database {
		p := s.poolFigures("")
		return metrics.Database{Open: float64(p.TotalConns), Idle: float64(p.IdleConns), Max: float64(p.MaxConns)}
	}); err != nil {
		return err
	}
	if err := s.metrics.WatchRealtime(func() metrics.Realtime {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		r, err := s.socketFigures(ctx, "")
		if err != nil {
			s.options.Logger.Warn("sockets could not be measured", "error", err)
		}
		return metrics.Realtime{Connections: float64(r.Connections), Channels: float64(r.Channels), Subscriptions: float64(r.Subscriptions), Cut: float64(r.Cut)}
	}); err != nil {
		return err
	}
	if err := s.metrics.WatchChangeLog(func() metrics.ChangeLog {
		ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
		defer cancel()
		l, err := s.logFigures(ctx, "")
		if err != nil {
			s.options.Logger.Warn("the change log could not be measured", "error", err)
		}
		return metrics.ChangeLog{
			Bytes: float64(l.Bytes), OldestAge: l.OldestAge, SlotsEmptied: float64(l.SlotsEmptied),
			ReadLag: l.ReadLag, WaitingBytes: float64(l.WaitingBytes), Identities: float64(l.Identities),
			VerdictsInMemory: float64(l.VerdictsInMemory), VerdictsInSQL: float64(l.VerdictsInSQL), VerdictLookups: float64(l.VerdictLookups),
			Replaying: float64(l.Replaying),
		}
	}); err != nil {
		return err
	}
	if s.redis != nil {
		if err := s.metrics.WatchRedis(func() metrics.Redis {
			r := s.redis.Stats()
			return metrics.Redis{Calls: float64(r.Calls), Failed: float64(r.Failed)}
		}); err != nil {
			return err
		}
	}
	if s.source.managed != nil {
		return s.metrics.Gauge("fluxbase_postgres_restarts", "How often the managed PostgreSQL died and was started again.",
			func() float64 { return float64(s.source.managed.Restarts()) })
	}
	return nil
}
