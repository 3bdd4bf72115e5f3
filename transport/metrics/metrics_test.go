package metrics

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestListener(t *testing.T) {
	m := New()
	if err := m.WatchDatabase(func() Database { return Database{Open: 3, Idle: 1, Max: 50} }); err != nil {
		t.Fatal(err)
	}
	if err := m.WatchRealtime(func() Realtime { return Realtime{Connections: 4} }); err != nil {
		t.Fatal(err)
	}
	if err := m.Gauge("fluxbase_test", "A test.", func() float64 { return 9 }); err != nil {
		t.Fatal(err)
	}
	if err := m.WatchChangeLog(func() ChangeLog {
		return ChangeLog{Bytes: 8192, OldestAge: 2.5, SlotsEmptied: 6, VerdictsInMemory: 11, VerdictsInSQL: 12}
	}); err != nil {
		t.Fatal(err)
	}
	m.HTTP.Begin()
	m.HTTP.Route("GET", "/api/v1/tables/{table}").Done(404, 0, 120, 3*time.Millisecond)
	m.HTTP.Refused("login")
	l, err := m.Listen(ListenerOptions{Address: "127.0.0.1:0", Path: "/metrics", Token: "t", Logger: slog.Default()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(t.Context()); err != nil && t.Context().Err() == nil {
			t.Error(err)
		}
	})
	get := func(path, token string) (int, string) {
		req, err := http.NewRequest("GET", "http://"+l.Address()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Close = true
		req.Header.Set("Authorization", "Bearer "+token)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	if status, _ := get("/metrics", "wrong"); status != 401 {
		t.Errorf("a wrong token got %d", status)
	}
	if status, text := get("/health", ""); status != 200 || text != "OK" {
		t.Errorf("health: %d %s", status, text)
	}
	_, text := get("/metrics", "t")
	for _, line := range []string{
		`fluxbase_http_requests_total{method="GET",path="/api/v1/tables/{table}",status="4xx"} 1`,
		`fluxbase_http_requests_in_flight 0`, `fluxbase_db_connections 3`, `fluxbase_db_connections_max 50`,
		`fluxbase_realtime_connections 4`, `fluxbase_change_log_bytes 8192`, `fluxbase_change_log_oldest_seconds 2.5`, `fluxbase_change_log_slots_emptied 6`,
		`fluxbase_change_log_verdicts_in_memory 11`, `fluxbase_change_log_verdicts_in_sql 12`,
		`fluxbase_test 9`, `fluxbase_rate_limit_hits_total{limiter_type="login"} 1`,
		`fluxbase_system_uptime_seconds`, `go_goroutines`,
	} {
		if !strings.Contains(text, line) {
			t.Errorf("no %s", line)
		}
	}
}
