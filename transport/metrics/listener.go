package metrics

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// ListenerOptions say where metrics are served.
type ListenerOptions struct {
	// Address is host and port; port 0 takes a free one.
	Address string
	// Path is where the metrics are; /health answers "OK" beside it.
	Path string
	// Token, when set, must be shown as a bearer token.
	Token  string
	Logger *slog.Logger
}

// Listener serves a registry.
type Listener struct {
	server *http.Server
	socket net.Listener
	ended  chan struct{}
}

// Listen starts to serve. Close stops it.
func (m *Metrics) Listen(o ListenerOptions) (*Listener, error) {
	socket, err := net.Listen("tcp", o.Address)
	if err != nil {
		return nil, fmt.Errorf("metrics listener: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("OK")) // a client that is gone needs no answer
	})
	mux.Handle("GET "+o.Path, guarded(o.Token, promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{
		ErrorHandling: promhttp.ContinueOnError,
		ErrorLog:      slog.NewLogLogger(o.Logger.Handler(), slog.LevelError),
	})))
	l := &Listener{
		server: &http.Server{
			Handler:           mux,
			ReadHeaderTimeout: 5 * time.Second,
			WriteTimeout:      time.Minute,
			IdleTimeout:       2 * time.Minute,
			ErrorLog:          slog.NewLogLogger(o.Logger.Handler(), slog.LevelDebug),
		},
		socket: socket,
		ended:  make(chan struct{}),
	}
	go func() {
		defer close(l.ended)
		if err := l.server.Serve(socket); !errors.Is(err, http.ErrServerClosed) {
			o.Logger.Error("metrics listener ended", "error", err)
		}
	}()
	return l, nil
}

// Address is where the listener can be reached.
func (l *Listener) Address() string { return l.socket.Addr().String() }

// Close stops the listener and waits for scrapes under way until ctx ends.
func (l *Listener) Close(ctx context.Context) error {
	err := l.server.Shutdown(ctx)
	if err != nil {
		err = errors.Join(err, l.server.Close())
	}
	<-l.ended
	return err
}

func guarded(token string, next http.Handler) http.Handler {
	if token == "" {
		return next
	}
	want := []byte("Bearer " + token)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if subtle.ConstantTimeCompare([]byte(r.Header.Get("Authorization")), want) != 1 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			http.Error(w, "unauthorized", http.StatusUnauthorized)
			return
		}
		next.ServeHTTP(w, r)
	})
}
