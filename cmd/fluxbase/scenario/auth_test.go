package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fluxbase/persistence/db/dbtest"
)

const authPassword = "correct horse battery"

// authAnswer is what came back.
type authAnswer struct {
	status int
	header http.Header
	text   string
	body   map[string]any
}

func (a authAnswer) get(name string) string { s, _ := a.body[name].(string); return s }

// authCall makes a request of a node; headers are "Name: value".
func authCall(t *testing.T, base, method, path, body string, headers ...string) authAnswer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := authAnswer{status: resp.StatusCode, header: resp.Header, text: string(text)}
	_ = json.Unmarshal(text, &a.body) // not every answer is an object
	return a
}

// authSignUp makes a user and gives his access token.
func authSignUp(t *testing.T, base, address string) string {
	t.Helper()
	a := authCall(t, base, "POST", "/api/v1/auth/signup", `{"email":"`+address+`","password":"`+authPassword+`"}`)
	if a.status != 201 {
		t.Fatalf("sign up: %d %s", a.status, a.text)
	}
	return a.get("access_token")
}

func authBearer(text string) string { return "Authorization: Bearer " + text }

// TestSignOutCutsSocketsEverywhereWithinASecond signs out at one node and watches
// the user's sockets, and his token, at both.
func TestSignOutCutsSocketsEverywhereWithinASecond(t *testing.T) {
	url := dbtest.Create(t)
	one, two := startAuthNode(t, url), startAuthNode(t, url)
	token := authSignUp(t, one.URL, "ada@example.com")
	bystander := authSignUp(t, one.URL, "bob@example.com")

	type ending struct {
		node string
		err  error
		at   time.Time
	}
	ended := make(chan ending, 2)
	for _, base := range []string{one.URL, two.URL} {
		conn := authSocket(t, base, token)
		go func() {
			for {
				if _, _, err := conn.Read(context.WithoutCancel(t.Context())); err != nil {
					ended <- ending{base, err, time.Now()}
					return
				}
			}
		}()
	}
	alive := authSocket(t, two.URL, bystander)

	if a := authCall(t, one.URL, "POST", "/api/v1/auth/signout", "", authBearer(token)); a.status != 200 {
		t.Fatalf("sign out: %d %s", a.status, a.text)
	}
	signedOut := time.Now()
	for range 2 {
		select {
		case e := <-ended:
			var closed websocket.CloseError
			if !errors.As(e.err, &closed) || closed.Code != 4003 {
				t.Errorf("socket at %s ended with %v, want close code 4003", e.node, e.err)
			}
			if d := e.at.Sub(signedOut); d > time.Second {
				t.Errorf("socket at %s ended after %v", e.node, d)
			}
		case <-time.After(5 * time.Second):
			t.Fatal("a socket outlives its user's session")
		}
	}
	for _, base := range []string{one.URL, two.URL} {
		if a := authCall(t, base, "GET", "/api/v1/auth/user", "", authBearer(token)); a.status != 401 || a.get("code") != "REVOKED_TOKEN" {
			t.Errorf("the token at %s: %d %s", base, a.status, a.text)
		}
	}
	if err := alive.Write(t.Context(), websocket.MessageText, []byte(`{"type":"heartbeat"}`)); err != nil {
		t.Errorf("the bystander's socket: %v", err)
	}
	if _, _, err := alive.Read(t.Context()); err != nil {
		t.Errorf("the bystander's socket: %v", err)
	}
}

func authSocket(t *testing.T, base, token string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), "ws"+strings.TrimPrefix(base, "http")+"/realtime?token="+token, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// TestKeysThatANodePrintsOpenEveryNode also holds that both nodes have the same.
func TestKeysThatANodePrintsOpenEveryNode(t *testing.T) {
	url := dbtest.Create(t)
	one, two := startAuthNode(t, url), startAuthNode(t, url)
	if one.AnonKey != two.AnonKey || one.ServiceKey != two.ServiceKey || one.AnonKey == "" || one.ServiceKey == "" {
		t.Fatalf("keys %q, %q and %q, %q", one.AnonKey, one.ServiceKey, two.AnonKey, two.ServiceKey)
	}
	for _, header := range []string{"apikey: ", "Authorization: Bearer ", "Authorization: ServiceKey ", "X-Service-Key: ", "X-Client-Key: ", "clientkey: "} {
		for key, want := range map[string]int{one.ServiceKey: 200, one.AnonKey: 403, one.ServiceKey + "x": 401} {
			if a := authCall(t, two.URL, "GET", "/api/v1/admin/me", "", header+key); a.status != want {
				t.Errorf("%s%s: %d %s, want %d", header, key, a.status, a.text, want)
			}
		}
	}
}

// TestOperatorSetsUpOnce follows an installation from its set-up token, and holds
// that set-up cannot be guessed at speed.
func TestOperatorSetsUpOnce(t *testing.T) {
	n := startAuthNode(t, dbtest.Create(t))
	setup := func(token string) authAnswer {
		return authCall(t, n.URL, "POST", "/api/v1/admin/setup",
			`{"email":"root@example.com","password":"`+authPassword+`","name":"Root","setup_token":"`+token+`"}`)
	}
	if a := setup("guess"); a.status != 401 || a.get("code") != "INVALID_SETUP_TOKEN" {
		t.Errorf("guess: %d %s", a.status, a.text)
	}
	a := setup(n.SetupToken)
	if a.status != 201 {
		t.Fatalf("set up: %d %s", a.status, a.text)
	}
	if a := setup(n.SetupToken); a.status != 403 || a.get("code") != "SETUP_ALREADY_COMPLETED" {
		t.Errorf("again: %d %s", a.status, a.text)
	}
	for i := range 3 {
		a := setup("guess")
		if i < 2 && a.status != 403 || i == 2 && (a.status != 429 || a.header.Get("Retry-After") == "") {
			t.Errorf("attempt %d: %d %s, Retry-After %q", i+4, a.status, a.text, a.header.Get("Retry-After"))
		}
	}
	if me := authCall(t, n.URL, "GET", "/api/v1/admin/me", "", authBearer(a.get("access_token"))); me.status != 200 {
		t.Errorf("me: %d %s", me.status, me.text)
	}
}

// TestNobodyPromotesHimselfThroughTables goes at the table of users with every
// method that tables have.
func TestNobodyPromotesHimselfThroughTables(t *testing.T) {
	url := dbtest.Create(t)
	n := startAuthNode(t, url)
	me := authBearer(authSignUp(t, n.URL, "ada@example.com"))
	authSignUp(t, n.URL, "bob@example.com")
	who := authCall(t, n.URL, "GET", "/api/v1/auth/user", "", me)
	id := who.get("id")
	if id == "" {
		t.Fatalf("user: %d %s", who.status, who.text)
	}
	for _, base := range []string{"/api/v1/tables/auth/users", "/api/v1/tables/auth.users"} {
		for _, body := range []string{`{"role":"admin"}`, `{"email_verified":true}`, `{"app_metadata":{"admin":true}}`, `{"password_hash":"x"}`} {
			for _, path := range []string{base + "/" + id, base + "?id=eq." + id} {
				for _, method := range []string{"PATCH", "PUT"} {
					if a := authCall(t, n.URL, method, path, body, me); a.status < 400 || a.status >= 500 {
						t.Errorf("%s %s %s: %d %s", method, path, body, a.status, a.text)
					}
				}
			}
			if a := authCall(t, n.URL, "POST", base, body, me); a.status < 400 || a.status >= 500 {
				t.Errorf("POST %s %s: %d %s", base, body, a.status, a.text)
			}
		}
		for _, query := range []string{"", "?select=email,password_hash", "?password_hash=like.*"} {
			if a := authCall(t, n.URL, "GET", base+query, "", me); strings.Contains(a.text, "argon2") || strings.Contains(a.text, "bob@example.com") || a.status >= 500 {
				t.Errorf("GET %s%s: %d %s", base, query, a.status, a.text)
			}
		}
	}
	if got := authCall(t, n.URL, "GET", "/api/v1/auth/user", "", me); got.get("role") != "authenticated" || got.body["email_verified"] != false || fmt.Sprint(got.body["app_metadata"]) != "map[]" {
		t.Errorf("the user became %s", got.text)
	}
}
