// Package transport is the HTTP server: it takes bytes in, finds the route, does
// every check that comes before a handler, and writes what the handler says.
//
// The way of a request, in this order: request id, metrics, security headers,
// log, recovery from panics, CORS, allowed addresses, route, credential, tenant,
// limits, body, handler. Nothing before the handler runs a query.
package transport

import (
	"log/slog"
	"time"

	"fluxbase/transport/limit"
	"fluxbase/transport/metrics"
	"fluxbase/transport/route"
)

// Options make a Server. Routes, Verifier, Tenants and Logger must be given; a
// zero value elsewhere means the default that is named.
type Options struct {
	Routes   []route.Route
	Verifier route.Verifier
	Tenants  route.Tenants
	Logger   *slog.Logger
	// Limits count calls; nil counts none.
	Limits *limit.Limits
	// Metrics measure requests; nil measures into a registry of its own.
	Metrics *metrics.HTTP
	CORS    CORS

	// BodyLimits are bytes per area; an area without one has LimitDefault's, and
	// that is 1 MB.
	BodyLimits map[route.Limit]int64
	// MaxBody is the ceiling over all areas: 2 GB.
	MaxBody int64
	// MaxJSONDepth is how deep a JSON body may nest: 64.
	MaxJSONDepth int

	// ReadHeaderTimeout is for a request's header: 10 s. ReadTimeout and
	// WriteTimeout are for a body and an answer: 300 s. IdleTimeout is for the
	// next request of a connection: 120 s.
	ReadHeaderTimeout, ReadTimeout, WriteTimeout, IdleTimeout time.Duration
	// RequestTimeout is the deadline of a request: 30 s.
	RequestTimeout time.Duration
	// DrainGrace is how long a draining server still takes connections, so that
	// a balancer sees /ready change first: none.
	DrainGrace time.Duration
	// MaxConnections refuses more connections with 503: 100,000.
	MaxConnections int
	// MaxHeader is the largest header of a request in bytes: 16 KB. Every
	// connection holds a buffer of that size.
	MaxHeader int

	// AllowedIPRanges are the only addresses that may call; empty is all.
	AllowedIPRanges []string
	// TrustedProxies are peers whose forwarding headers are believed.
	TrustedProxies []string
	// DisableCompression sends every answer as it is.
	DisableCompression bool
	// Debug forbids caches to keep answers.
	Debug bool
	// OnDrain is called once when draining starts, before any connection is
	// closed: to tell sockets to go. It must not block.
	OnDrain []func()
}

func (o *Options) fillDefaults() {
	setDefault(&o.MaxBody, 2<<30)
	setDefault(&o.MaxJSONDepth, 64)
	setDefault(&o.ReadHeaderTimeout, 10*time.Second)
	setDefault(&o.ReadTimeout, 300*time.Second)
	setDefault(&o.WriteTimeout, 300*time.Second)
	setDefault(&o.IdleTimeout, 120*time.Second)
	setDefault(&o.RequestTimeout, 30*time.Second)
	setDefault(&o.MaxConnections, 100_000)
	setDefault(&o.MaxHeader, 16<<10)
	if o.Metrics == nil {
		o.Metrics = metrics.New().HTTP
	}
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}
