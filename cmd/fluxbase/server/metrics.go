package server

import (
	"net"
	"strconv"

	"fluxbase/transport/metrics"
)

// openMetrics serves Prometheus on a listener of its own. A port that is taken
// is no reason to serve nobody: it is logged.
func (s *Server) openMetrics() error {
	c, logger := s.options.Config.Metrics, s.options.Logger
	if err := s.watchFigures(); err != nil {
		return err
	}
	if !c.Enabled {
		return nil
	}
	l, err := s.metrics.Listen(metrics.ListenerOptions{
		Address: net.JoinHostPort(c.Address, strconv.Itoa(c.Port)), Path: c.Path, Token: c.Token.Reveal(), Logger: logger,
	})
	if err != nil {
		logger.Warn("metrics are not served", "error", err)
		return nil
	}
	s.metricsURL = "http://" + l.Address() + c.Path
	s.onStop("metrics", l.Close)
	return nil
}
