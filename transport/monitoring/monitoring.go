// Package monitoring answers how the server is: liveness and readiness for
// machines, figures, health and recent log records for administrators.
//
// It measures nothing itself; what it shows comes from small functions that the
// composition gives it.
package monitoring

import (
	"context"
	"runtime"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Options say where the figures come from. A tenant of "" asks for the whole
// instance.
type Options struct {
	// Ping asks the control database for an answer.
	Ping func(context.Context) error
	// DatabaseSize is the size of the default database in words ("45 MB"); nil
	// leaves it out.
	DatabaseSize func(context.Context) (string, error)
	// Pools are the figures of the database pools.
	Pools func(tenant string) Pools
	// Realtime are the figures of this node's sockets; nil when it has none.
	Realtime func(ctx context.Context, tenant string) (Realtime, error)
	// ChangeLog are the figures of the change log; nil when the node has none.
	ChangeLog func(ctx context.Context, tenant string) (ChangeLog, error)
	// Cluster are this node's figures of the cluster; nil when it is alone.
	Cluster func() Cluster
	// Ready are further conditions of readiness, by name.
	Ready map[string]func(context.Context) error
	// Draining tells whether the server is about to end.
	Draining func() bool
	// Logs are the recent records; nil when none are kept.
	Logs *Ring
}

// Pools are the figures of connection pools, summed up.
type Pools struct {
	AcquireCount            int64 `json:"acquire_count"`
	AcquiredConns           int32 `json:"acquired_conns"`
	CanceledAcquireCount    int64 `json:"canceled_acquire_count"`
	ConstructingConns       int32 `json:"constructing_conns"`
	EmptyAcquireCount       int64 `json:"empty_acquire_count"`
	IdleConns               int32 `json:"idle_conns"`
	MaxConns                int32 `json:"max_conns"`
	TotalConns              int32 `json:"total_conns"`
	NewConnsCount           int64 `json:"new_conns_count"`
	MaxLifetimeDestroyCount int64 `json:"max_lifetime_destroy_count"`
	MaxIdleDestroyCount     int64 `json:"max_idle_destroy_count"`
	AcquireDurationMS       int64 `json:"acquire_duration_ms"`
}

// Realtime are the figures of sockets.
type Realtime struct {
	Connections   int `json:"total_connections"`
	Channels      int `json:"active_channels"`
	Subscriptions int `json:"total_subscriptions"`
	// Cut were too slow, since the node started.
	Cut int `json:"slow_connections_cut"`
}

// ChangeLog are the figures of the log of table changes, summed up over tenants;
// ages and lags are the greatest.
type ChangeLog struct {
	Bytes        int64   `json:"bytes"`
	OldestAge    float64 `json:"oldest_entry_seconds"`
	SlotsEmptied int64   `json:"slots_emptied"`
	// ReadLag is how old the changes were that this node read last.
	ReadLag float64 `json:"read_lag_seconds"`
	// WaitingBytes are read, and not written to every socket yet.
	WaitingBytes int64 `json:"waiting_bytes"`
	// Identities are the followers of tables that are told apart by what they see.
	Identities int `json:"identities"`
	// VerdictsInMemory and VerdictsInSQL count how often it was decided whether an
	// identity sees a row's image; VerdictLookups the subscriptions that were looked
	// at for those in memory, the others being passed over by the row's values.
	VerdictsInMemory uint64 `json:"verdicts_in_memory"`
	VerdictsInSQL    uint64 `json:"verdicts_in_sql"`
	VerdictLookups   uint64 `json:"verdict_lookups"`
	// Replaying are subscriptions of this node that get what they missed.
	Replaying int `json:"replaying"`
}

// Cluster are a node's figures of the cluster, for the instance only.
type Cluster struct {
	Members          int   `json:"members"`
	Homes            int   `json:"homes"`
	MessagesSent     int64 `json:"messages_sent"`
	MessagesReceived int64 `json:"messages_received"`
	MessagesLost     int64 `json:"messages_lost"`
}

// handler answers the routes of this package.
type handler struct {
	Options
	started  time.Time
	database probe
}

// Routes are the routes of this package. Uptime counts from here.
func Routes(o Options) []route.Route {
	h := &handler{Options: o, started: time.Now(), database: probe{ask: o.Ping}}
	return []route.Route{
		{Method: "GET", Path: "/", Access: route.Optional, Instance: true, Doc: healthDoc, Handle: h.health},
		{Method: "GET", Path: "/health", Access: route.Optional, Instance: true, Doc: healthDoc, Handle: h.health},
		{Method: "GET", Path: "/ready", Access: route.Public, Instance: true, Doc: readyDoc, Handle: h.ready},
		{Method: "GET", Path: "/api/v1/monitoring/metrics", Access: route.Authenticated, Scope: "monitoring:read", Doc: figuresDoc, Handle: h.figures},
		{Method: "GET", Path: "/api/v1/monitoring/health", Access: route.Authenticated, Scope: "monitoring:read", Doc: servicesDoc, Handle: h.services},
		{Method: "GET", Path: "/api/v1/monitoring/logs", Access: route.Authenticated, Scope: "monitoring:read", Doc: logsDoc, Handle: h.logs},
	}
}

// administers refuses who may not see what, and tells which tenant's figures the
// caller sees: "" for the whole instance. Identities of a tenant see that tenant
// and nothing of the instance, whatever their role there.
func administers(c caller.Caller, what string) (tenant string, err error) {
	if !c.HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service, caller.TenantService) {
		return "", fault.New(fault.AdminRequired, "Admin access required to view "+what)
	}
	if c.DefaultTenant && c.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service) {
		return "", nil
	}
	return c.Tenant, nil
}

// health says whether the process works and reaches its database.
func (h *handler) health(r *route.Request) error {
	database := h.database.look(r.Context())
	services := serving{Database: database.err == nil, Realtime: h.Realtime != nil}
	if h.DatabaseSize != nil && database.err == nil && r.Caller().HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service) {
		size, err := h.DatabaseSize(r.Context())
		if err != nil {
			return err
		}
		services.DatabaseSize = size
	}
	status, word := 200, "ok"
	if database.err != nil {
		status, word = 503, "degraded"
	}
	return r.JSON(status, state{word, time.Now().UTC(), services})
}

// ready says whether a balancer should send requests here.
func (h *handler) ready(r *route.Request) error {
	if h.Draining != nil && h.Draining() {
		r.SetHeader("Retry-After", "5")
		return r.JSON(503, readiness{Status: "draining"})
	}
	status, word := 200, "ready"
	checks := map[string]bool{"database": h.database.look(r.Context()).err == nil}
	for name, check := range h.Ready {
		checks[name] = check(r.Context()) == nil
	}
	for _, good := range checks {
		if !good {
			status, word = 503, "not ready"
		}
	}
	return r.JSON(status, readiness{word, checks})
}

// figures of the process, which only the instance's administrators see, of the
// pools and of the sockets.
func (h *handler) figures(r *route.Request) error {
	tenant, err := administers(r.Caller(), "metrics")
	if err != nil {
		return err
	}
	answer := figures{UptimeSeconds: int64(time.Since(h.started).Seconds()), Database: h.Pools(tenant)}
	if h.Realtime != nil {
		if answer.Realtime, err = h.Realtime(r.Context(), tenant); err != nil {
			return err
		}
	}
	if h.ChangeLog != nil {
		log, err := h.ChangeLog(r.Context(), tenant)
		if err != nil {
			return err
		}
		answer.ChangeLog = &log
	}
	if tenant == "" {
		answer.process = measure()
		if h.Cluster != nil {
			cluster := h.Cluster()
			answer.Cluster = &cluster
		}
	}
	return r.JSON(200, answer)
}

func measure() *process {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return &process{
		GoVersion: runtime.Version(), Goroutines: runtime.NumGoroutine(), AllocMB: m.Alloc >> 20, TotalAllocMB: m.TotalAlloc >> 20,
		SysMB: m.Sys >> 20, Collections: m.NumGC, PauseMS: float64(m.PauseTotalNs) / 1e6,
	}
}

// service is the health of one of them.
type service struct {
	Status  string  `json:"status"`
	Message string  `json:"message,omitempty"`
	Latency float64 `json:"latency_ms,omitempty"`
}

// services says how each part is.
func (h *handler) services(r *route.Request) error {
	if _, err := administers(r.Caller(), "health"); err != nil {
		return err
	}
	status, overall := 200, "healthy"
	sockets := service{Status: "healthy"}
	if h.Realtime == nil {
		sockets = service{Status: "healthy", Message: "disabled on this node"}
	} else {
		start := time.Now()
		_, err := h.Realtime(r.Context(), r.Caller().Tenant)
		sockets.Latency = milliseconds(time.Since(start))
		if err != nil {
			overall, sockets.Status, sockets.Message = "degraded", "unhealthy", fault.From(err).Message
		}
	}
	seen := h.database.look(r.Context())
	database := service{Status: "healthy", Latency: milliseconds(seen.took)}
	if seen.err != nil {
		status, overall = 503, "unhealthy"
		database.Status, database.Message = "unhealthy", fault.From(seen.err).Message
	}
	return r.JSON(status, health{overall, map[string]service{"database": database, "realtime": sockets}})
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
