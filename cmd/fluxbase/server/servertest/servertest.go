// Package servertest runs whole nodes in the test's process, each test with a
// database of its own, to be used as a client would: over HTTP and WebSockets.
package servertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/cmd/fluxbase/server"
	"fluxbase/persistence/db/dbtest"
)

// encryptionKey is the one that dbtest derives the logins' passwords from.
const encryptionKey = "fluxbase test encryption key 32b"

// Node is a running node.
type Node struct {
	server.Keys
	// Server is the node itself, to stop it in the middle of a test.
	Server *server.Server
	t      testing.TB
	logs   *logs
}

// Start runs a node on a fresh database. settings are environment variables
// without their prefix ("AUTH_JWT_EXPIRY=1s"); a later one wins. Rate limits are
// out of the way unless a setting asks for them. The node stops with the test;
// its log is shown if the test failed.
func Start(t testing.TB, settings ...string) *Node {
	t.Helper()
	return On(t, dbtest.Create(t), settings...)
}

// On is Start with a database that is there already: the superuser's URL of
// another node, for a second node or a restart.
func On(t testing.TB, databaseURL string, settings ...string) *Node {
	t.Helper()
	n := &Node{t: t, logs: &logs{}}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the node:\n%s", n.logs)
		}
	})
	c := configuration(t, databaseURL, settings)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	logger := slog.New(slog.NewTextHandler(n.logs, &slog.HandlerOptions{Level: slog.LevelInfo}))
	s, err := server.Start(ctx, server.Options{Config: c, Logger: logger})
	if err != nil {
		t.Fatalf("start a node: %v", err)
	}
	n.Server, n.Keys = s, s.Keys()
	t.Cleanup(n.Stop)
	return n
}

// Stop drains and stops the node. It may be called more than once.
func (n *Node) Stop() {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.Server.Stop(ctx); err != nil {
		n.t.Errorf("stop the node: %v", err)
	}
}

func configuration(t testing.TB, databaseURL string, settings []string) config.Config {
	t.Helper()
	environ := []string{}
	for _, s := range append([]string{
		"DATA_DIR=" + t.TempDir(),
		"DATABASE_URL=" + databaseURL,
		"DATABASE_MAX_CONNECTIONS=24",
		"SERVER_ADDRESS=127.0.0.1:0",
		"SERVER_DRAIN_GRACE=0",
		"METRICS_ENABLED=false",
		"CLUSTER_ENABLED=no",
		"ENCRYPTION_KEY=" + encryptionKey,
		// The same for all nodes, as in a real cluster.
		"AUTH_JWT_SECRET=kQ7mZ2xT9vB4nR8wY1cL6sD3gH5jF0pA",
		"REALTIME_CURSOR_KEY=aZ4bY7cX1dW9eV2fU6gT3hS8iR5jQ0kP",
		"SECURITY_AUTH_LOGIN_RATE_LIMIT=0",
		"SECURITY_AUTH_SIGNUP_RATE_LIMIT=0",
		"SECURITY_AUTH_REFRESH_RATE_LIMIT=0",
		"SECURITY_ADMIN_LOGIN_RATE_LIMIT=0",
		"SECURITY_ADMIN_SETUP_RATE_LIMIT=0",
		"REALTIME_MAX_CONNECTIONS_PER_IP=0",
		"REALTIME_MAX_CONNECTIONS_PER_USER=0",
	}, settings...) {
		environ = append(environ, "FLUXBASE_"+s)
	}
	l, err := config.Load(config.Source{Environ: lastWins(environ)})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.FillSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	return l.Config
}

func lastWins(environ []string) []string {
	last := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		last[name] = value
	}
	all := make([]string, 0, len(last))
	for name, value := range last {
		all = append(all, name+"="+value)
	}
	return all
}

// Response is an answer of the node, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// Decode reads the body as JSON.
func (r Response) Decode(t testing.TB, into any) {
	t.Helper()
	if err := json.Unmarshal(r.Body, into); err != nil {
		t.Fatalf("the answer is no such JSON: %v\n%s", err, r.Body)
	}
}

// Do sends a request; path begins with a slash. token is a bearer token or key,
// empty for none. body is sent as JSON unless it is nil; a string or []byte is
// taken for JSON already. headers are pairs of name and value. An answer that is not
// as the node's OpenAPI document says fails the test.
func (n *Node) Do(method, path, token string, body any, headers ...string) Response {
	n.t.Helper()
	var sent []byte
	switch b := body.(type) {
	case nil:
	case string:
		sent = []byte(b)
	case []byte:
		sent = b
	default:
		raw, err := json.Marshal(b)
		if err != nil {
			n.t.Fatal(err)
		}
		sent = raw
	}
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(sent)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, n.URL+path, reader)
	if err != nil {
		n.t.Fatal(err)
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		n.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		n.t.Fatalf("%s %s: read the answer: %v", method, path, err)
	}
	answer := Response{Status: res.StatusCode, Header: res.Header, Body: raw}
	if err := n.conforms(req, sent, answer); err != nil {
		n.t.Errorf("%s %s: the answer is not what the API's document says: %v\n%.600s", method, path, err, raw)
	}
	return answer
}

// Want is Do, and fails the test when the status is another one.
func (n *Node) Want(status int, method, path, token string, body any, headers ...string) Response {
	n.t.Helper()
	r := n.Do(method, path, token, body, headers...)
	if r.Status != status {
		n.t.Fatalf("%s %s: got status %d, want %d\n%s", method, path, r.Status, status, r.Body)
	}
	return r
}

// User is somebody who signed up.
type User struct {
	ID           string
	Email        string
	AccessToken  string
	RefreshToken string
}

// SignUp makes a user with the password "Correct-horse-42".
func (n *Node) SignUp(email string) User {
	n.t.Helper()
	var granted struct {
		User         struct{ ID string }
		AccessToken  string `json:"access_token"`
		RefreshToken string `json:"refresh_token"`
	}
	n.Want(201, "POST", "/api/v1/auth/signup", "", map[string]string{"email": email, "password": "Correct-horse-42"}).Decode(n.t, &granted)
	return User{ID: granted.User.ID, Email: email, AccessToken: granted.AccessToken, RefreshToken: granted.RefreshToken}
}

// SocketURL is where WebSockets connect; token may be empty.
func (n *Node) SocketURL(token string) string {
	url := "ws" + strings.TrimPrefix(n.URL, "http") + "/realtime"
	if token != "" {
		url += "?token=" + token
	}
	return url
}

// logs collects what a node logs.
type logs struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return fmt.Sprint(l.b.String())
}

// Logged tells whether the node's log contains text so far.
func (n *Node) Logged(text string) bool { return strings.Contains(n.logs.String(), text) }
