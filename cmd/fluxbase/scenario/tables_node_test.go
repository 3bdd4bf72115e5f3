package scenario

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
	address := dbtest.Create(t)
	n := &tablesNode{client: &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}}
	var err error
	if n.admin, err = pgx.Connect(t.Context(), address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.admin.Close(context.Background()) })
	n.exec(t, tablesDDL)
	keys := startAuthNode(t, address)
	n.url, n.anonKey, n.serviceKey = keys.URL, keys.AnonKey, keys.ServiceKey
	t.Cleanup(n.client.CloseIdleConnections)
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
