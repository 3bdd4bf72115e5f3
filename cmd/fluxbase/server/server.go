// Package server composes a whole node: it is the only place that knows every
// room. One file per concern; no behaviour lives here.
package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fluxbase/cluster/redis"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/transport/monitoring"
)

// Options are what a node is made from.
type Options struct {
	// Config is complete and valid, secrets included.
	Config config.Config
	Logger *slog.Logger
	// Progress is told, in words for a terminal, what takes time. May be nil.
	Progress func(string)
}

// Server is a running node.
type Server struct {
	options Options
	source  source
	foundation
	credentials
	membership
	tenants tenants
	bells
	sockets
	front
	// redis is nil when none is configured.
	redis *redis.Store
	// relaying: relays of tenants may begin.
	relaying atomic.Bool

	// composed guards what is read while compose still runs.
	composed sync.Mutex
	// recent are the latest log records.
	recent *monitoring.Ring
	keys   Keys
	failed chan error
	// steps undo what compose did; Stop runs them from the last to the first.
	steps []step
}

// step undoes a part of compose.
type step struct {
	name string
	undo func(context.Context) error
}

// Start brings a node up and returns when it is ready. What was started before
// a failure is stopped again.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.Progress == nil {
		o.Progress = func(string) {}
	}
	s := &Server{options: o, failed: make(chan error, 1), recent: monitoring.NewRing(keptRecords, keptRecordBytes)}
	s.options.Logger = slog.New(monitoring.Tee(o.Logger.Handler(), s.recent))
	if err := s.compose(ctx); err != nil {
		return nil, errors.Join(err, s.Stop(context.WithoutCancel(ctx)))
	}
	return s, nil
}

func (s *Server) compose(ctx context.Context) error {
	c := s.options.Config
	var err error
	if s.source, err = openSource(ctx, c, s.options.Logger, s.options.Progress); err != nil {
		return err
	}
	s.onStop("PostgreSQL", func(context.Context) error { return s.source.stop() })
	for _, open := range []func(context.Context) error{
		s.openFoundation,
		s.openCredentials,
		s.openRedis,
		s.openCluster,
		s.openTenants,
		s.openWaker,
		s.openBells,
		s.openSockets,
		s.joinCluster,
		s.openRelays,
		s.loadProcedures,
		s.openFront,
		s.publish,
	} {
		if err := open(ctx); err != nil {
			return err
		}
	}
	return nil
}

// publish tells people and scripts how to reach the node.
func (s *Server) publish(context.Context) error {
	c := s.options.Config
	s.keys = Keys{
		URL: s.url, AnonKey: s.defaults.Anon, ServiceKey: s.defaults.Service,
		SetupToken: c.Security.SetupToken.Reveal(), DatabaseURL: s.source.publicURL,
	}
	return Runtime{Keys: s.keys, PID: os.Getpid(), MetricsURL: s.metricsURL}.write(c.DataDir)
}

// fail says that the node cannot go on; only the first reason counts.
func (s *Server) fail(err error) {
	select {
	case s.failed <- err:
	default:
	}
}

// onStop registers the undoing of a step of compose.
func (s *Server) onStop(name string, undo func(context.Context) error) {
	s.steps = append(s.steps, step{name, undo})
}

// Keys are what people need to reach the node.
func (s *Server) Keys() Keys { return s.keys }

// Failed tells, once, that the node cannot go on and why; the owner must Stop it.
func (s *Server) Failed() <-chan error { return s.failed }

// Stop drains and stops the node, in the reverse order of its start. ctx bounds
// the drain; what does not end in time is cut off.
func (s *Server) Stop(ctx context.Context) error {
	var all error
	for _, step := range slices.Backward(s.steps) {
		began := time.Now()
		if err := step.undo(ctx); err != nil {
			all = errors.Join(all, fmt.Errorf("stop %s: %w", step.name, err))
		}
		s.options.Logger.Debug("stopped", "part", step.name, "took_ms", float64(time.Since(began).Microseconds())/1000)
	}
	s.steps = nil
	return all
}
