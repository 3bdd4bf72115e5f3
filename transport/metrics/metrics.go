// Package metrics measures the server for Prometheus: requests itself, and what
// other rooms count through small sources. It is served on a listener of its own,
// apart from the API.
package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// Metrics is a registry of everything that is measured.
type Metrics struct {
	// HTTP counts requests.
	HTTP     *HTTP
	registry *prometheus.Registry
}

// New makes a registry that measures requests, the process and its uptime.
func New() *Metrics {
	registry := prometheus.NewRegistry()
	start := time.Now()
	registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "fluxbase_system_uptime_seconds", Help: "Time since the server started.",
		}, func() float64 { return time.Since(start).Seconds() }),
	)
	return &Metrics{HTTP: newHTTP(registry), registry: registry}
}

// Register adds a collector of another room; one that is there already is an error.
func (m *Metrics) Register(c prometheus.Collector) error { return m.registry.Register(c) }

// Gauge measures a value by asking for it at each scrape. read must not block.
func (m *Metrics) Gauge(name, help string, read func() float64) error {
	return m.registry.Register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, read))
}

// Database are the figures of the pools of all databases together.
type Database struct{ Open, Idle, Max float64 }

// WatchDatabase measures pools. read must not block.
func (m *Metrics) WatchDatabase(read func() Database) error {
	return group(m.registry, []figure[Database]{
		{"fluxbase_db_connections", "Open database connections.", func(d Database) float64 { return d.Open }},
		{"fluxbase_db_connections_idle", "Idle database connections.", func(d Database) float64 { return d.Idle }},
		{"fluxbase_db_connections_max", "Most connections that the pools may open.", func(d Database) float64 { return d.Max }},
	}, read)
}

// Realtime are the figures of this node's sockets.
type Realtime struct{ Connections, Channels, Subscriptions, Cut float64 }

// WatchRealtime measures sockets. read must not block.
func (m *Metrics) WatchRealtime(read func() Realtime) error {
	return group(m.registry, []figure[Realtime]{
		{"fluxbase_realtime_connections", "Open sockets of this node.", func(r Realtime) float64 { return r.Connections }},
		{"fluxbase_realtime_channels", "Channels with a subscriber on this node.", func(r Realtime) float64 { return r.Channels }},
		{"fluxbase_realtime_subscriptions", "Subscriptions of this node's sockets.", func(r Realtime) float64 { return r.Subscriptions }},
		{"fluxbase_realtime_slow_connections", "Sockets of this node that were cut as too slow since it started.", func(r Realtime) float64 { return r.Cut }},
	}, read)
}

// ChangeLog are the figures of the logs of table changes together; ages and lags
// are the greatest.
type ChangeLog struct {
	Bytes, OldestAge, SlotsEmptied, ReadLag, WaitingBytes, Replaying float64

	Identities, VerdictsInMemory, VerdictsInSQL, VerdictLookups float64
}

// WatchChangeLog measures the logs of table changes. read must not block for long.
func (m *Metrics) WatchChangeLog(read func() ChangeLog) error {
	return group(m.registry, []figure[ChangeLog]{
		{"fluxbase_change_log_bytes", "Size of the change log on disk.", func(c ChangeLog) float64 { return c.Bytes }},
		{"fluxbase_change_log_oldest_seconds", "Age of the oldest change that can be replayed.", func(c ChangeLog) float64 { return c.OldestAge }},
		{"fluxbase_change_log_slots_emptied", "How often a sixteenth of the log was emptied, by any node.", func(c ChangeLog) float64 { return c.SlotsEmptied }},
		{"fluxbase_change_log_read_lag_seconds", "Age of the changes that this node read last, when it read them.", func(c ChangeLog) float64 { return c.ReadLag }},
		{"fluxbase_change_log_waiting_bytes", "Changes that were read here and are not written to every socket yet.", func(c ChangeLog) float64 { return c.WaitingBytes }},
		{"fluxbase_change_log_identities", "Followers of tables that are told apart by what they see.", func(c ChangeLog) float64 { return c.Identities }},
		{"fluxbase_change_log_verdicts_in_memory", "How often it was decided in memory whether an identity sees a row.", func(c ChangeLog) float64 { return c.VerdictsInMemory }},
		{"fluxbase_change_log_verdicts_in_sql", "How often PostgreSQL decided it.", func(c ChangeLog) float64 { return c.VerdictsInSQL }},
		{"fluxbase_change_log_verdict_lookups", "Subscriptions that were looked at for the verdicts in memory.", func(c ChangeLog) float64 { return c.VerdictLookups }},
		{"fluxbase_change_log_replaying", "Subscriptions that are being brought up to date from a cursor or a snapshot.", func(c ChangeLog) float64 { return c.Replaying }},
	}, read)
}

// Redis are the calls of this node since it started.
type Redis struct{ Calls, Failed float64 }

// WatchRedis measures what is asked of Redis. read must not block.
func (m *Metrics) WatchRedis(read func() Redis) error {
	return group(m.registry, []figure[Redis]{
		{"fluxbase_redis_calls", "Scripts that this node sent to Redis since it started.", func(r Redis) float64 { return r.Calls }},
		{"fluxbase_redis_failures", "Scripts that Redis did not answer, or with an error.", func(r Redis) float64 { return r.Failed }},
	}, read)
}

// figure is one number of a source.
type figure[T any] struct {
	name, help string
	of         func(T) float64
}

// source collects all figures of one reading, so that they belong together.
type source[T any] struct {
	read    func() T
	figures []figure[T]
	descs   []*prometheus.Desc
}

func group[T any](r prometheus.Registerer, figures []figure[T], read func() T) error {
	s := &source[T]{read: read, figures: figures}
	for _, f := range figures {
		s.descs = append(s.descs, prometheus.NewDesc(f.name, f.help, nil, nil))
	}
	return r.Register(s)
}

// Describe implements prometheus.Collector.
func (s *source[T]) Describe(to chan<- *prometheus.Desc) {
	for _, d := range s.descs {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (s *source[T]) Collect(to chan<- prometheus.Metric) {
	v := s.read()
	for i, f := range s.figures {
		to <- prometheus.MustNewConstMetric(s.descs[i], prometheus.GaugeValue, f.of(v))
	}
}
