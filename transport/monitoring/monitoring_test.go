package monitoring_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/credential"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport"
	"fluxbase/transport/monitoring"
	"fluxbase/transport/route"
)

type people struct{}

func (people) Verify(_ context.Context, p credential.Presented) (caller.Caller, error) {
	role, tenant, _ := strings.Cut(p.Bearer, "@")
	if role == "rubbish" {
		return caller.Caller{}, fault.New(fault.InvalidToken, "Invalid token")
	}
	return caller.Caller{Role: caller.Role(role), BoundTenant: tenant, Claims: json.RawMessage(`{}`)}, nil
}

func (people) Resolve(_ context.Context, c caller.Caller, _ string) (*route.Tenant, caller.Caller, error) {
	c.Tenant, c.DefaultTenant = c.BoundTenant, c.BoundTenant == ""
	return &route.Tenant{ID: c.Tenant}, c, nil
}

// instance is a server whose parts can be broken.
type instance struct {
	t        *testing.T
	url      string
	down     atomic.Bool
	draining atomic.Bool
	pings    atomic.Int64
	logger   *slog.Logger
}

func start(t *testing.T) *instance {
	in := &instance{t: t}
	ring := monitoring.NewRing(100, 1<<20)
	in.logger = slog.New(monitoring.Tee(slog.NewTextHandler(io.Discard, nil), ring))
	s, err := transport.New(transport.Options{
		Verifier: people{}, Tenants: people{}, Logger: slog.New(slog.DiscardHandler),
		Routes: monitoring.Routes(monitoring.Options{
			Ping: func(context.Context) error {
				in.pings.Add(1)
				if in.down.Load() {
					return errors.New("connection refused")
				}
				return nil
			},
			DatabaseSize: func(context.Context) (string, error) { return "45 MB", nil },
			Pools: func(tenant string) monitoring.Pools {
				if tenant != "" {
					return monitoring.Pools{MaxConns: 5}
				}
				return monitoring.Pools{MaxConns: 50}
			},
			Realtime: func(context.Context, string) (monitoring.Realtime, error) {
				return monitoring.Realtime{Connections: 3, Channels: 2, Subscriptions: 7}, nil
			},
			ChangeLog: func(context.Context, string) (monitoring.ChangeLog, error) {
				return monitoring.ChangeLog{Bytes: 4096, OldestAge: 1.5, SlotsEmptied: 6}, nil
			},
			Draining: in.draining.Load,
			Logs:     ring,
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	in.url = "http://" + l.Addr().String()
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		if err := s.Drain(context.Background()); err != nil {
			t.Error(err)
		}
		<-done
	})
	return in
}

func (in *instance) get(path, role string, status int) map[string]any {
	in.t.Helper()
	req, err := http.NewRequest("GET", in.url+path, nil)
	if err != nil {
		in.t.Fatal(err)
	}
	req.Close = true
	if role != "" {
		req.Header.Set("Authorization", "Bearer "+role)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		in.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		in.t.Fatal(err)
	}
	var body map[string]any
	if err := json.Unmarshal(text, &body); err != nil || resp.StatusCode != status {
		in.t.Fatalf("%s as %q: %d, want %d: %s", path, role, resp.StatusCode, status, text)
	}
	return body
}

func TestHealth(t *testing.T) {
	in := start(t)
	for _, path := range []string{"/", "/health"} {
		b := in.get(path, "", 200)
		services := b["services"].(map[string]any)
		if b["status"] != "ok" || services["database"] != true || services["realtime"] != true || services["database_size"] != nil {
			t.Errorf("%s: %v", path, b)
		}
	}
	if s := in.get("/health", "instance_admin", 200)["services"].(map[string]any); s["database_size"] != "45 MB" {
		t.Errorf("admin sees %v", s)
	}
	in.get("/health", "rubbish", 401)
	if n := in.pings.Load(); n > 2 {
		t.Errorf("%d pings for three calls", n)
	}
	in.down.Store(true)
	time.Sleep(1100 * time.Millisecond)
	if b := in.get("/health", "", 503); b["status"] != "degraded" {
		t.Errorf("%v", b)
	}
	in.get("/ready", "", 503)
	if b := in.get("/api/v1/monitoring/health", "service_role", 503); b["status"] != "unhealthy" {
		t.Errorf("%v", b)
	}
}

func TestReady(t *testing.T) {
	in := start(t)
	if b := in.get("/ready", "rubbish", 200); b["status"] != "ready" {
		t.Errorf("%v", b)
	}
	in.draining.Store(true)
	if b := in.get("/ready", "", 503); b["status"] != "draining" {
		t.Errorf("%v", b)
	}
}

// A tenant's key sees its tenant's figures and nothing of the process.
func TestFiguresStayWithTheirTenant(t *testing.T) {
	in := start(t)
	all := in.get("/api/v1/monitoring/metrics", "service_role", 200)
	if all["database"].(map[string]any)["max_conns"] != 50.0 || all["go_version"] == nil || all["realtime"].(map[string]any)["total_subscriptions"] != 7.0 {
		t.Errorf("%v", all)
	}
	if log := all["change_log"].(map[string]any); log["bytes"] != 4096.0 || log["oldest_entry_seconds"] != 1.5 || log["slots_emptied"] != 6.0 {
		t.Errorf("%v", log)
	}
	for _, role := range []string{"tenant_service@t1", "service_role@t1", "tenant_admin@t1", "admin@t1"} {
		own := in.get("/api/v1/monitoring/metrics", role, 200)
		if own["database"].(map[string]any)["max_conns"] != 5.0 || own["go_version"] != nil {
			t.Errorf("%s sees %v", role, own)
		}
	}
	for _, path := range []string{"metrics", "health", "logs"} {
		b := in.get("/api/v1/monitoring/"+path, "authenticated", 403)
		if b["error"] != "Admin access required to view "+path {
			t.Errorf("%v", b)
		}
		in.get("/api/v1/monitoring/"+path, "", 401)
	}
}

func TestLogs(t *testing.T) {
	in := start(t)
	in.logger.Info("first", "tenant_id", "t1", "password", "hunter2", "access_token", "abc", "n", 7)
	in.logger.With("component", "feed").WithGroup("g").Warn("second", "x", slog.GroupValue(slog.String("api_key", "k")))
	in.logger.Error("third", "error", errors.New("sky fell"))
	in.logger.Debug("not enabled")
	b := in.get("/api/v1/monitoring/logs", "service_role", 200)
	text, _ := json.Marshal(b)
	if b["total"] != 3.0 || b["hasMore"] != false || strings.Contains(string(text), "hunter2") || strings.Contains(string(text), `"k"`) || strings.Contains(string(text), "abc") {
		t.Errorf("%s", text)
	}
	for query, want := range map[string]string{
		"search=SKY": "third", "level=warn": "second", "component=feed": "second", "limit=1": "third", "offset=2": "first",
		"end_time=2001-01-01T00:00:00Z": "", "level=info": "first",
	} {
		logs := in.get("/api/v1/monitoring/logs?"+query, "service_role", 200)["logs"].([]any)
		got := ""
		if len(logs) > 0 {
			got = logs[0].(map[string]any)["message"].(string)
		}
		if got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
	if b := in.get("/api/v1/monitoring/logs", "tenant_service@t1", 200); b["total"] != 1.0 {
		t.Errorf("a tenant sees %v", b)
	}
	for _, query := range []string{"level=loud", "limit=-1", "start_time=yesterday"} {
		in.get("/api/v1/monitoring/logs?"+query, "service_role", 400)
	}
}

func TestRingIsBounded(t *testing.T) {
	ring := monitoring.NewRing(10, 20<<10)
	logger := slog.New(monitoring.Tee(slog.DiscardHandler, ring))
	big := slog.New(monitoring.Tee(slog.NewTextHandler(io.Discard, nil), ring))
	logger.Info("a disabled handler keeps nothing")
	for range 30 {
		big.Info("small")
	}
	if _, total := ring.Find(monitoring.Query{Limit: 100}); total != 10 {
		t.Errorf("%d entries", total)
	}
	for range 30 {
		big.Info(strings.Repeat("x", 100<<10))
	}
	if _, total := ring.Find(monitoring.Query{Limit: 100}); total > 5 {
		t.Errorf("%d large entries", total)
	}
}
