package auth_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/actors/operator"
	"fluxbase/actors/revocation"
	"fluxbase/persistence/account"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/key"
	operators "fluxbase/persistence/operator"
	log "fluxbase/persistence/revocation"
	"fluxbase/persistence/seal"
	"fluxbase/transport"
	"fluxbase/transport/admin"
	"fluxbase/transport/auth"
	"fluxbase/transport/route"
)

const (
	good       = "correct horse battery"
	setupToken = "let me in, I installed it"
)

var secret = bytes.Repeat([]byte("s"), 32)

// node is a server with everything of identity behind it and nothing else.
type node struct {
	*testing.T
	url      string
	client   *http.Client
	keys     key.Defaults
	tokens   *token.Authority
	registry *revocation.Registry
	database *dbtest.Database
}

// oneTenant is the directory of an installation with the default tenant only.
type oneTenant struct {
	id       string
	identity kernel.Target
}

func (d oneTenant) Resolve(_ context.Context, c caller.Caller, header string) (*route.Tenant, caller.Caller, error) {
	if header != "" && header != "default" && header != d.id {
		return nil, c, fault.New(fault.TenantNotFound, "tenant not found")
	}
	c.Tenant, c.DefaultTenant = d.id, true
	return &route.Tenant{ID: d.id, Slug: "default", Identity: d.identity}, c, nil
}

// start brings up a node on database; several may share one.
func start(t *testing.T, database *dbtest.Database) *node {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	d := database.DB
	sys := kernel.NewSystem(kernel.SystemOptions{Name: "test"})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	sealing, err := seal.NewKey(bytes.Repeat([]byte("e"), seal.KeySize))
	must(err)
	pepper := sealing.Derive("service keys", 32)
	keys, err := key.EnsureDefaults(t.Context(), d, sealing, pepper, key.Defaults{})
	must(err)
	tokens, err := token.NewAuthority(token.Options{Secret: secret})
	must(err)
	hasher, err := password.NewHasher(sys, password.Options{Cost: password.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	must(err)
	registry, err := revocation.Start(t.Context(), sys, revocation.Options{Log: log.NewLog(d)})
	must(err)
	ring, err := credential.NewKeyring(t.Context(), pepper, func(ctx context.Context) ([]key.Key, error) { return key.Active(ctx, d) })
	must(err)
	users, err := sys.SpawnPool(kernel.PoolProps{Name: "identity", Workers: 4, Queue: 64, New: func() kernel.Worker {
		return identity.NewWorker(identity.Options{
			Tenant: database.Tenant, Store: account.New(d, database.Tenant), Tokens: tokens, Passwords: hasher, Revoker: registry,
		})
	}})
	must(err)
	staff, err := sys.SpawnPool(kernel.PoolProps{Name: "operators", Workers: 2, Queue: 16, New: func() kernel.Worker {
		return operator.NewWorker(operator.Options{
			Store: operators.New(d), Tokens: tokens, Passwords: hasher, Revoker: registry, SetupToken: setupToken,
		})
	}})
	must(err)
	routes := auth.Routes(auth.Options{
		SignupEnabled: true, PasswordLoginEnabled: true, AccessTTL: tokens.AccessTTL(), RefreshTTL: tokens.RefreshTTL(),
	})
	routes = append(routes, admin.Routes(staff)...)
	server, err := transport.New(transport.Options{
		Routes:   append(routes, probes()...),
		Verifier: credential.NewVerifier(tokens, ring, registry),
		Tenants:  oneTenant{database.Tenant, users},
		Logger:   slog.New(slog.DiscardHandler),
	})
	must(err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(err)
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	wire := &http.Transport{}
	t.Cleanup(func() {
		wire.CloseIdleConnections()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := server.Drain(ctx); err != nil {
			t.Errorf("drain: %v", err)
		}
		if err := <-ended; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return &node{
		T: t, url: "http://" + l.Addr().String(), client: &http.Client{Transport: wire, Timeout: 10 * time.Second},
		keys: keys, tokens: tokens, registry: registry, database: database,
	}
}

func open(t *testing.T) *node {
	t.Helper()
	return start(t, dbtest.Open(t, db.Options{}))
}

// probes are routes that say who they think is calling.
func probes() []route.Route {
	whoami := func(r *route.Request) error {
		c := r.Caller()
		return r.JSON(200, map[string]any{"role": c.Role, "user": c.UserID})
	}
	return []route.Route{
		{Method: "GET", Path: "/whoami", Access: route.Optional, Handle: whoami},
		{Method: "POST", Path: "/whoami", Access: route.Optional, Handle: whoami},
		{Method: "GET", Path: "/service", Access: route.Roles(caller.Admin), Handle: whoami},
	}
}

type answer struct {
	status  int
	header  http.Header
	text    string
	body    map[string]any
	cookies map[string]*http.Cookie
}

func (a answer) get(name string) string { s, _ := a.body[name].(string); return s }

// call makes a request; headers are "Name: value".
func (n *node) call(method, path, body string, headers ...string) answer {
	n.Helper()
	req, err := http.NewRequestWithContext(n.Context(), method, n.url+path, strings.NewReader(body))
	if err != nil {
		n.Fatal(err)
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := n.client.Do(req)
	if err != nil {
		n.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		n.Fatal(err)
	}
	a := answer{status: resp.StatusCode, header: resp.Header, text: string(text), cookies: map[string]*http.Cookie{}}
	for _, c := range resp.Cookies() {
		a.cookies[c.Name] = c
	}
	_ = json.Unmarshal(text, &a.body) // not every answer is an object
	return a
}

// expect is call, and an error of the test when status or code differ.
func (n *node) expect(status int, code fault.Code, method, path, body string, headers ...string) answer {
	n.Helper()
	a := n.call(method, path, body, headers...)
	if a.status != status || a.get("code") != string(code) {
		n.Errorf("%s %s %s = %d %s; want %d %s", method, path, body, a.status, a.text, status, code)
	}
	return a
}

func (n *node) signUp(address string) answer {
	n.Helper()
	return n.expect(201, "", "POST", "/api/v1/auth/signup", `{"email":"`+address+`","password":"`+good+`"}`)
}

func bearer(text string) string { return "Authorization: Bearer " + text }
