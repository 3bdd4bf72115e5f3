package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/cmd/fluxbase/server"
	"fluxbase/persistence/db/dbtest"
)

// tablesNode is a whole server with the tables of the cases, and a superuser's
// connection to its database.
type tablesNode struct {
	url                 string
	anonKey, serviceKey string
	annToken, bobToken  string
	client              *http.Client
	admin               *pgx.Conn
}

// startTables brings up a server on a database of its own.
func startTables(t *testing.T) *tablesNode {
	t.Helper()
	dir := t.TempDir()
	address := dbtest.Create(t)
	n := &tablesNode{client: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
	var err error
	if n.admin, err = pgx.Connect(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.admin.Close(context.Background()) })
	n.exec(t, tablesDDL)
	l, err := config.Load(config.Source{Environ: []string{
		"FLUXBASE_DATABASE_URL=" + address,
		"FLUXBASE_DATA_DIR=" + dir,
		"FLUXBASE_SERVER_ADDRESS=127.0.0.1:0",
		"FLUXBASE_METRICS_ENABLED=false",
		// The logins belong to the server that all tests share: their passwords
		// come from the key that all tests share.
		"FLUXBASE_ENCRYPTION_KEY=fluxbase test encryption key 32b",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.FillSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	var logs bytes.Buffer
	s, err := server.Start(t.Context(), server.Options{Config: l.Config, Logger: slog.New(slog.NewTextHandler(&logs, nil))})
	if err != nil {
		t.Fatalf("start: %v\n%s", err, logs.String())
	}
	n.url, n.anonKey, n.serviceKey = s.Keys().URL, s.Keys().AnonKey, s.Keys().ServiceKey
	t.Cleanup(func() {
		n.client.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	n.annToken, n.bobToken = n.signUp(t, "ann@example.com"), n.signUp(t, "bob@example.com")
	return n
}

// signUp makes a user and gives its access token.
func (n *tablesNode) signUp(t *testing.T, email string) string {
	t.Helper()
	body := fmt.Sprintf(`{"email":%q,"password":"Correct-horse-7-battery"}`, email)
	req, err := http.NewRequestWithContext(t.Context(), "POST", n.url+"/api/v1/auth/signup", bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	got, text := n.do(t, req)
	var reply struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.Unmarshal([]byte(text), &reply); err != nil || reply.AccessToken == "" {
		t.Fatalf("sign up %s: %d %s", email, got.StatusCode, text)
	}
	return reply.AccessToken
}

// awaitTable waits until the server has learned of a table.
func (n *tablesNode) awaitTable(t *testing.T, table string) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		req, err := http.NewRequestWithContext(t.Context(), "GET", n.url+"/api/v1/tables/"+table, nil)
		if err != nil {
			t.Fatal(err)
		}
		n.authorize(t, req, "service")
		got, text := n.do(t, req)
		if got.StatusCode == 200 {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the server does not learn of %s: %d %s", table, got.StatusCode, text)
		}
	}
}

func (n *tablesNode) authorize(t *testing.T, req *http.Request, as string) {
	t.Helper()
	switch as {
	case "", "service":
		req.Header.Set("Authorization", "Bearer "+n.serviceKey)
	case "anon":
		req.Header.Set("Authorization", "Bearer "+n.anonKey)
	case "ann":
		req.Header.Set("Authorization", "Bearer "+n.annToken)
	case "bob":
		req.Header.Set("Authorization", "Bearer "+n.bobToken)
	case "nobody":
	default:
		t.Fatalf("nobody is called %s", as)
	}
}

// do sends a request and reads the answer.
func (n *tablesNode) do(t *testing.T, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := n.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, string(text)
}

func (n *tablesNode) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := n.admin.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func (n *tablesNode) text(t *testing.T, sql string) string {
	t.Helper()
	var text string
	if err := n.admin.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}
