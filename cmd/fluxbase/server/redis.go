package server

import (
	"context"

	"fluxbase/cluster/redis"
	"fluxbase/transport/limit"
)

// openRedis opens the way to Redis where the configuration names one. A server that
// does not answer does not keep the node from starting: what needs it fails until it
// does.
func (s *Server) openRedis(ctx context.Context) error {
	c := s.options.Config.Scaling
	if c.Backend != "redis" {
		return nil
	}
	store, err := redis.Open(c.RedisURL.Reveal())
	if err != nil {
		return err
	}
	s.redis = store
	s.onStop("Redis", func(context.Context) error { return store.Close() })
	if err := store.Ping(ctx); err != nil {
		s.options.Logger.Warn("Redis does not answer: channels with a history take no messages until it does", "error", err)
	}
	return nil
}

// sharedLimits counts the calls of all nodes together; nil where nothing is shared.
func (s *Server) sharedLimits() limit.Counter {
	if s.redis == nil {
		return nil
	}
	return s.redis
}
