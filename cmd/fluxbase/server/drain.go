package server

import (
	"context"
	"errors"
)

// drain turns clients away before anything that serves them stops: /ready says
// 503, sockets are told to come back elsewhere (1012), requests under way end.
func (s *Server) drain(ctx context.Context) error {
	told := make(chan error, 1)
	go func() { told <- s.gateway.Drain(ctx, socketDrain) }()
	err := s.http.Drain(ctx)
	return errors.Join(err, <-told)
}
