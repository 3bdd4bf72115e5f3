package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// failure is the body of every error.
type failure struct {
	Error     string `json:"error"`
	Code      string `json:"code"`
	RequestID string `json:"request_id"`
	Path      string `json:"path"`
	Details   any    `json:"details"`
}

func wantFailure(t *testing.T, r servertest.Response, status int, code string) failure {
	t.Helper()
	var f failure
	r.Decode(t, &f)
	if r.Status != status || f.Code != code || f.Error == "" || f.RequestID == "" || f.RequestID != r.Header.Get("X-Request-ID") {
		t.Fatalf("status %d, want %d %s: %s (request id %q)", r.Status, status, code, r.Body, r.Header.Get("X-Request-ID"))
	}
	return f
}

func TestHTTPEnvelope(t *testing.T) {
	n := servertest.Start(t)
	f := wantFailure(t, n.Do("GET", "/api/v1/nothing?token=secret", "", nil, "X-Request-ID", "my request"), 404, "NOT_FOUND")
	if f.RequestID != "my request" || f.Path != "/api/v1/nothing" {
		t.Errorf("%+v", f)
	}
	r := n.Do("PUT", "/api/v1/auth/signup", "", nil)
	wantFailure(t, r, 405, "METHOD_NOT_ALLOWED")
	if r.Header.Get("Allow") != "OPTIONS, POST" {
		t.Errorf("Allow: %q", r.Header.Get("Allow"))
	}
	wantFailure(t, n.Do("POST", "/api/v1/auth/signup", "", `{"email":`), 400, "INVALID_REQUEST_BODY")
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	wantFailure(t, n.Do("POST", "/api/v1/auth/signup", "", `{"email":`+deep+`}`), 400, "JSON_TOO_DEEP")
	wantFailure(t, n.Do("GET", "/api/v1/auth/user", "", nil), 401, "MISSING_AUTHENTICATION")
	wantFailure(t, n.Do("GET", "/api/v1/auth/user", n.AnonKey, nil), 401, "AUTHENTICATION_REQUIRED")
	wantFailure(t, n.Do("GET", "/health", "no.good.token", nil), 401, "INVALID_TOKEN")
	wantFailure(t, n.Do("GET", "/api/v1/auth/config", "", nil, "X-FB-Tenant", "nobody"), 404, "TENANT_NOT_FOUND")
}

func TestHTTPHealth(t *testing.T) {
	n := servertest.Start(t)
	var health struct {
		Status   string
		Services map[string]any
	}
	for _, path := range []string{"/", "/health"} {
		n.Want(200, "GET", path, "", nil).Decode(t, &health)
		if health.Status != "ok" || health.Services["database"] != true || health.Services["database_size"] != nil {
			t.Errorf("%s: %+v", path, health)
		}
	}
	n.Want(200, "GET", "/health", n.ServiceKey, nil).Decode(t, &health)
	if health.Services["database_size"] == nil {
		t.Errorf("an administrator sees %+v", health)
	}
	n.Want(200, "GET", "/ready", "", nil)
	var figures struct {
		Database struct {
			Max  int `json:"max_conns"`
			Made int `json:"new_conns_count"`
		}
		ChangeLog *struct {
			Bytes   *int64   `json:"bytes"`
			ReadLag *float64 `json:"read_lag_seconds"`
		} `json:"change_log"`
		GoVersion string `json:"go_version"`
	}
	n.Want(200, "GET", "/api/v1/monitoring/metrics", n.ServiceKey, nil).Decode(t, &figures)
	if figures.Database.Max == 0 || figures.Database.Made == 0 || figures.GoVersion == "" {
		t.Errorf("%+v", figures)
	}
	if figures.ChangeLog == nil || figures.ChangeLog.Bytes == nil || figures.ChangeLog.ReadLag == nil {
		t.Errorf("the change log is not measured: %+v", figures.ChangeLog)
	}
	n.Want(403, "GET", "/api/v1/monitoring/metrics", n.AnonKey, nil)
	n.Want(200, "GET", "/api/v1/monitoring/health", n.ServiceKey, nil)

	// A request that failed is found in the log by its id, and the token that it
	// showed in its query is not.
	n.Do("GET", "/api/v1/nothing?token=hush-hush", "", nil, "X-Request-ID", "find-me")
	r := n.Want(200, "GET", "/api/v1/monitoring/logs?search=request&level=warn", n.ServiceKey, nil)
	if !strings.Contains(string(r.Body), "find-me") || strings.Contains(string(r.Body), "hush-hush") {
		t.Errorf("%s", r.Body)
	}
}

func TestHTTPPreflight(t *testing.T) {
	n := servertest.Start(t, "PUBLIC_BASE_URL=https://app.example.com")
	for _, origin := range []string{"http://localhost:5173", "https://app.example.com"} {
		r := n.Want(204, "OPTIONS", "/api/v1/tables/notes", "", nil,
			"Origin", origin, "Access-Control-Request-Method", "PATCH", "Access-Control-Request-Headers", "x-fb-tenant,authorization")
		if r.Header.Get("Access-Control-Allow-Origin") != origin || !strings.Contains(r.Header.Get("Access-Control-Allow-Headers"), "X-FB-Tenant") ||
			!strings.Contains(r.Header.Get("Access-Control-Allow-Methods"), "PATCH") {
			t.Errorf("%s: %v", origin, r.Header)
		}
	}
	r := n.Do("OPTIONS", "/api/v1/tables/notes", "", nil, "Origin", "https://evil.example", "Access-Control-Request-Method", "GET")
	if r.Header.Get("Access-Control-Allow-Origin") != "" {
		t.Errorf("%v", r.Header)
	}
}

// A chunked body says nothing of its length: it is refused while it comes in.
func TestHTTPBodyLimitWhileReading(t *testing.T) {
	n := servertest.Start(t)
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "POST /api/v1/auth/signup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
	chunk := "4000\r\n" + strings.Repeat("a", 0x4000) + "\r\n"
	go func() {
		for { // ends with the connection
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var f failure
	if err := json.NewDecoder(resp.Body).Decode(&f); err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != 413 || f.Code != "PAYLOAD_TOO_LARGE" || !reflect.DeepEqual(f.Details, map[string]any{"max_bytes": 65536.0, "endpoint_type": "auth"}) {
		t.Errorf("%d %+v", resp.StatusCode, f)
	}
}

func TestHTTPSixthSetupAttempt(t *testing.T) {
	n := servertest.Start(t, "SECURITY_ADMIN_SETUP_RATE_LIMIT=5")
	body := map[string]string{"email": "admin@example.com", "password": "Correct-Horse-7", "name": "A", "setup_token": "wrong"}
	for i := range 5 {
		if r := n.Do("POST", "/api/v1/admin/setup", "", body); r.Status == 429 {
			t.Fatalf("attempt %d is refused", i+1)
		}
	}
	r := n.Do("POST", "/api/v1/admin/setup", "", body)
	wantFailure(t, r, 429, "RATE_LIMIT_EXCEEDED")
	var wait int
	if _, err := fmt.Sscan(r.Header.Get("Retry-After"), &wait); err != nil || wait < 800 || wait > 900 {
		t.Errorf("Retry-After: %q", r.Header.Get("Retry-After"))
	}
}

// A node that stops answers what it has begun and then refuses connections.
func TestHTTPDrain(t *testing.T) {
	n := servertest.Start(t)
	address := strings.TrimPrefix(n.URL, "http://")
	idle, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close()
	// Half a request: its client waits for an answer when the node stops.
	fmt.Fprint(idle, "POST /api/v1/auth/signin HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n")
	time.Sleep(100 * time.Millisecond)
	stopped := make(chan struct{})
	go func() { n.Stop(); close(stopped) }()
	time.Sleep(200 * time.Millisecond)
	fmt.Fprint(idle, "{}")
	resp, err := http.ReadResponse(bufio.NewReader(idle), nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 400 || !resp.Close {
		t.Errorf("status %d, close %v", resp.StatusCode, resp.Close)
	}
	<-stopped
	if conn, err := net.Dial("tcp", address); err == nil {
		conn.Close()
		t.Error("a stopped node takes connections")
	}
}

// A client that hangs up takes its query with it.
func TestHTTPHangUpCancelsQuery(t *testing.T) {
	n := servertest.Start(t)
	ctx := t.Context()
	db, err := pgx.Connect(ctx, n.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) }) // the node's end closes it, too
	if _, err := db.Exec(ctx, `CREATE VIEW public.slow AS SELECT 1 AS id, pg_sleep(20)::text AS nap; GRANT SELECT ON public.slow TO service_role`); err != nil {
		t.Fatal(err)
	}
	sleeping := func() (count int) {
		if err := db.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	await := func(want int) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); sleeping() != want; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("%d queries sleep, want %d", sleeping(), want)
			}
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(n.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(5 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		// The new view is known once the catalogue has been told of it.
		if r := n.Do("GET", "/api/v1/tables/slow?select=id&limit=0", n.ServiceKey, nil); r.Status != 404 || time.Now().After(end) {
			break
		}
	}
	fmt.Fprintf(conn, "GET /api/v1/tables/slow HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", n.ServiceKey)
	await(1)
	conn.Close()
	began := time.Now()
	await(0)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("the query ran on for %s", took)
	}
}
