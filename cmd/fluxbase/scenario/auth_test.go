package scenario

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// TestSignOutCutsSocketsEverywhereWithinASecond signs out at one node and watches
// the user's sockets, and his token, at both.
func TestSignOutCutsSocketsEverywhereWithinASecond(t *testing.T) {
	url := dbtest.Create(t)
	one, two := servertest.On(t, url), servertest.On(t, url)
	token := one.SignUp("ada@example.com").AccessToken
	bystander := one.SignUp("bob@example.com").AccessToken

	type ending struct {
		node string
		err  error
		at   time.Time
	}
	ended := make(chan ending, 2)
	for _, node := range []*servertest.Node{one, two} {
		conn := authSocket(t, node, token)
		go func() {
			for {
				if _, _, err := conn.Read(context.WithoutCancel(t.Context())); err != nil {
					ended <- ending{node.URL, err, time.Now()}
					return
				}
			}
		}()
	}
	alive := authSocket(t, two, bystander)

	one.Want(200, "POST", "/api/v1/auth/signout", token, nil)
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
	for _, node := range []*servertest.Node{one, two} {
		wantFailure(t, node.Do("GET", "/api/v1/auth/user", token, nil), 401, "REVOKED_TOKEN")
	}
	if err := alive.Write(t.Context(), websocket.MessageText, []byte(`{"type":"heartbeat"}`)); err != nil {
		t.Errorf("the bystander's socket: %v", err)
	}
	if _, _, err := alive.Read(t.Context()); err != nil {
		t.Errorf("the bystander's socket: %v", err)
	}
}

func authSocket(t *testing.T, n *servertest.Node, token string) *websocket.Conn {
	t.Helper()
	conn, _, err := websocket.Dial(t.Context(), n.SocketURL(token), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.CloseNow() })
	return conn
}

// TestKeysThatANodePrintsOpenEveryNode also holds that both nodes have the same.
func TestKeysThatANodePrintsOpenEveryNode(t *testing.T) {
	url := dbtest.Create(t)
	one, two := servertest.On(t, url), servertest.On(t, url)
	if one.AnonKey != two.AnonKey || one.ServiceKey != two.ServiceKey || one.AnonKey == "" || one.ServiceKey == "" {
		t.Fatalf("keys %q, %q and %q, %q", one.AnonKey, one.ServiceKey, two.AnonKey, two.ServiceKey)
	}
	for _, header := range []string{"apikey: ", "Authorization: Bearer ", "Authorization: ServiceKey ", "X-Service-Key: ", "X-Client-Key: ", "clientkey: "} {
		for key, want := range map[string]int{one.ServiceKey: 200, one.AnonKey: 403, one.ServiceKey + "x": 401} {
			name, value, _ := strings.Cut(header+key, ": ")
			if r := two.Do("GET", "/api/v1/admin/me", "", nil, name, value); r.Status != want {
				t.Errorf("%s%s: %d %s, want %d", header, key, r.Status, r.Body, want)
			}
		}
	}
}

// TestOperatorSetsUpOnce follows an installation from its set-up token, and holds
// that set-up cannot be guessed at speed.
func TestOperatorSetsUpOnce(t *testing.T) {
	n := servertest.Start(t, "SECURITY_ADMIN_SETUP_RATE_LIMIT=5")
	setup := func(token string) servertest.Response {
		return n.Do("POST", "/api/v1/admin/setup", "", map[string]string{
			"email": "root@example.com", "password": "correct horse battery", "name": "Root", "setup_token": token,
		})
	}
	wantFailure(t, setup("guess"), 401, "INVALID_SETUP_TOKEN")
	granted := setup(n.SetupToken)
	if granted.Status != 201 {
		t.Fatalf("set up: %d %s", granted.Status, granted.Body)
	}
	wantFailure(t, setup(n.SetupToken), 403, "SETUP_ALREADY_COMPLETED")
	for range 2 {
		wantFailure(t, setup("guess"), 403, "SETUP_ALREADY_COMPLETED")
	}
	refused := setup("guess")
	if wantFailure(t, refused, 429, "RATE_LIMIT_EXCEEDED"); refused.Header.Get("Retry-After") == "" {
		t.Error("the sixth attempt is not told when to come back")
	}
	var session struct {
		AccessToken string `json:"access_token"`
	}
	granted.Decode(t, &session)
	n.Want(200, "GET", "/api/v1/admin/me", session.AccessToken, nil)
}

// TestNobodyPromotesHimselfThroughTables goes at the table of users with every
// method that tables have.
func TestNobodyPromotesHimselfThroughTables(t *testing.T) {
	n := servertest.Start(t)
	ada := n.SignUp("ada@example.com")
	n.SignUp("bob@example.com")
	client := func(r servertest.Response) bool { return r.Status >= 400 && r.Status < 500 }
	for _, base := range []string{"/api/v1/tables/auth/users", "/api/v1/tables/auth.users"} {
		for _, body := range []string{`{"role":"admin"}`, `{"email_verified":true}`, `{"app_metadata":{"admin":true}}`, `{"password_hash":"x"}`} {
			for _, path := range []string{base + "/" + ada.ID, base + "?id=eq." + ada.ID} {
				for _, method := range []string{"PATCH", "PUT"} {
					if r := n.Do(method, path, ada.AccessToken, body); !client(r) {
						t.Errorf("%s %s %s: %d %s", method, path, body, r.Status, r.Body)
					}
				}
			}
			if r := n.Do("POST", base, ada.AccessToken, body); !client(r) {
				t.Errorf("POST %s %s: %d %s", base, body, r.Status, r.Body)
			}
		}
		for _, query := range []string{"", "?select=email,password_hash", "?password_hash=like.*"} {
			r := n.Do("GET", base+query, ada.AccessToken, nil)
			if text := string(r.Body); strings.Contains(text, "argon2") || strings.Contains(text, "bob@example.com") || r.Status >= 500 {
				t.Errorf("GET %s%s: %d %s", base, query, r.Status, text)
			}
		}
	}
	n.Want(200, "PATCH", "/api/v1/auth/user", ada.AccessToken, `{"role":"admin","email_verified":true,"app_metadata":{"admin":true}}`)
	var user struct {
		Role          string
		EmailVerified bool           `json:"email_verified"`
		AppMetadata   map[string]any `json:"app_metadata"`
	}
	n.Want(200, "GET", "/api/v1/auth/user", ada.AccessToken, nil).Decode(t, &user)
	if user.Role != "authenticated" || user.EmailVerified || len(user.AppMetadata) > 0 {
		t.Errorf("the user became %+v", user)
	}
}
