package monitoring

import (
	"time"

	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Operation"

// state is what /health answers.
type state struct {
	Status    string    `json:"status" enum:"ok,degraded"`
	Timestamp time.Time `json:"timestamp"`
	Services  serving   `json:"services"`
}

type serving struct {
	Database     bool   `json:"database"`
	Realtime     bool   `json:"realtime"`
	DatabaseSize string `json:"database_size,omitempty" doc:"For administrators: 45 MB"`
}

// readiness is what /ready answers.
type readiness struct {
	Status string          `json:"status" enum:"ready,not ready,draining"`
	Checks map[string]bool `json:"checks,omitempty"`
}

// figures are what /api/v1/monitoring/metrics answers.
type figures struct {
	UptimeSeconds int64      `json:"uptime_seconds"`
	Database      Pools      `json:"database"`
	Realtime      Realtime   `json:"realtime"`
	ChangeLog     *ChangeLog `json:"change_log,omitempty"`
	Cluster       *Cluster   `json:"cluster,omitempty"`
	*process
}

// process are figures of the whole instance.
type process struct {
	GoVersion    string  `json:"go_version,omitempty"`
	Goroutines   int     `json:"num_goroutines,omitempty"`
	AllocMB      uint64  `json:"memory_alloc_mb"`
	TotalAllocMB uint64  `json:"memory_total_alloc_mb"`
	SysMB        uint64  `json:"memory_sys_mb"`
	Collections  uint32  `json:"num_gc"`
	PauseMS      float64 `json:"gc_pause_ms"`
}

// health is what /api/v1/monitoring/health answers.
type health struct {
	Status   string             `json:"status" enum:"healthy,degraded,unhealthy"`
	Services map[string]service `json:"services"`
}

// page is what /api/v1/monitoring/logs answers.
type page struct {
	Message string  `json:"message,omitempty"`
	Logs    []shown `json:"logs"`
	Total   int     `json:"total"`
	Limit   int     `json:"limit"`
	Offset  int     `json:"offset"`
	HasMore bool    `json:"hasMore"`
}

var (
	healthDoc = route.Doc{
		Tag: tag, Summary: "Tell whether the server works and reaches its database", Answers: route.Answers{200: state{}, 503: state{}},
	}
	readyDoc = route.Doc{
		Tag: tag, Summary: "Tell whether requests should be sent here", Answers: route.Answers{200: readiness{}, 503: readiness{}},
	}
	figuresDoc = route.Doc{
		Tag: tag, Summary: "Show figures", Answers: route.Answers{200: figures{}}, Faults: []fault.Code{fault.AdminRequired},
		Description: "Administrators of a tenant see the figures of the tenant.",
	}
	servicesDoc = route.Doc{
		Tag: tag, Summary: "Show the health of each part", Answers: route.Answers{200: health{}, 503: health{}}, Faults: []fault.Code{fault.AdminRequired},
	}
	logsDoc = route.Doc{
		Tag: tag, Summary: "Show recent log records of this node", Answers: route.Answers{200: page{}}, Faults: []fault.Code{fault.AdminRequired},
		Parameters: []route.Parameter{
			parameter("level", schema.Enum("debug", "info", "warn", "error"), "The level"),
			parameter("category", "", "The category"), parameter("component", "", "The component"), parameter("search", "", "A part of the message"),
			parameter("start_time", schema.Formatted("date-time"), "Not before; an hour ago if it is left out"),
			parameter("end_time", schema.Formatted("date-time"), "Not after"),
			parameter("limit", schema.Whole().AtLeast(0), "How many, at most 1000"), parameter("offset", schema.Whole().AtLeast(0), "After how many"),
		},
	}
)

func parameter(name string, form any, description string) route.Parameter {
	return route.Parameter{Name: name, In: route.InQuery, Schema: form, Description: description}
}
