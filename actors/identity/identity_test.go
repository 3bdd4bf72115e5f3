package identity_test

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/crypto/bcrypt"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/actors/revocation"
	"fluxbase/persistence/account"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/key"
	store "fluxbase/persistence/revocation"
)

const (
	tenant = "11111111-1111-4111-8111-111111111111"
	good   = "correct horse battery"
)

// bundle is a tenant's identity with everything under it.
type bundle struct {
	*testing.T
	db       *db.Database
	pool     *kernel.Pool
	verifier *credential.Verifier
	registry *revocation.Registry
}

func setup(t *testing.T, adjust func(*identity.Options)) *bundle {
	t.Helper()
	d := dbtest.New(t).DB
	sys := kernel.NewSystem(kernel.SystemOptions{Name: "test"})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	tokens, err := token.NewAuthority(token.Options{Secret: bytes.Repeat([]byte("s"), 32)})
	must(err)
	hasher, err := password.NewHasher(sys, password.Options{Cost: password.Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}})
	must(err)
	registry, err := revocation.Start(t.Context(), sys, revocation.Options{Log: store.NewLog(d)})
	must(err)
	ring, err := credential.NewKeyring(t.Context(), []byte("pepper"), func(ctx context.Context) ([]key.Key, error) { return key.Active(ctx, d) })
	must(err)
	o := identity.Options{Tenant: tenant, Store: account.New(d, tenant), Tokens: tokens, Passwords: hasher, Revoker: registry}
	if adjust != nil {
		adjust(&o)
	}
	pool, err := sys.SpawnPool(kernel.PoolProps{Name: "identity", Workers: 4, Queue: 64, New: func() kernel.Worker { return identity.NewWorker(o) }})
	must(err)
	return &bundle{T: t, db: d, pool: pool, verifier: credential.NewVerifier(tokens, ring, registry), registry: registry}
}

func ask[R any](b *bundle, msg any) (R, error) {
	return kernel.Ask[R](b.Context(), b.pool, msg)
}

func (b *bundle) granted(msg any) identity.Granted {
	b.Helper()
	g, err := ask[identity.Granted](b, msg)
	if err != nil {
		b.Fatalf("%T: %v", msg, err)
	}
	return g
}

func (b *bundle) fails(msg any, want fault.Code) *fault.Fault {
	b.Helper()
	_, err := ask[any](b, msg)
	if fault.CodeOf(err) != want {
		b.Errorf("%T: %v, want %s", msg, err, want)
	}
	if err == nil {
		return &fault.Fault{}
	}
	return fault.From(err)
}

// caller is what the front door makes of an access token.
func (b *bundle) caller(access string) caller.Caller {
	b.Helper()
	c, err := b.verifier.Verify(b.Context(), credential.Presented{Bearer: access})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (b *bundle) refused(access string, want fault.Code) {
	b.Helper()
	if _, err := b.verifier.Verify(b.Context(), credential.Presented{Bearer: access}); fault.CodeOf(err) != want {
		b.Errorf("Verify = %v, want %q", err, want)
	}
}

func (b *bundle) sql(text string, args ...any) {
	b.Helper()
	err := b.db.Owner(b.Context(), func(c *pgxpool.Conn) error {
		_, err := c.Exec(b.Context(), text, args...)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func TestSignUpSignInAndRead(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: " Ada@Example.COM ", Password: good, UserMetadata: json.RawMessage(`{"name":"Ada"}`)})
	if up.User.Email != "ada@example.com" || up.User.Role != "authenticated" || up.User.EmailVerified || up.ExpiresIn != 900 {
		t.Errorf("signed up as %+v", up)
	}
	in := b.granted(identity.SignIn{Email: "ADA@example.com", Password: good})
	c := b.caller(in.AccessToken)
	if c.UserID != up.User.ID || c.BoundTenant != tenant || c.Role != caller.Authenticated || !strings.Contains(string(c.Claims), `"name":"Ada"`) {
		t.Errorf("caller = %+v, claims %s", c, c.Claims)
	}
	if first := b.caller(up.AccessToken); first.SessionID == c.SessionID || first.SessionID == "" {
		t.Errorf("sessions %q and %q", first.SessionID, c.SessionID)
	}
	u, err := ask[account.User](b, identity.GetUser{Caller: c})
	if err != nil || u.ID != up.User.ID || string(u.UserMetadata) != `{"name": "Ada"}` {
		t.Errorf("GetUser = %+v, %v", u, err)
	}
	b.sql(`DELETE FROM auth.users`)
	b.fails(identity.GetUser{Caller: c}, fault.InvalidToken)
	b.fails(identity.GetUser{Caller: caller.Anonymous()}, fault.InvalidToken)
}

func TestSignUpRefuses(t *testing.T) {
	b := setup(t, nil)
	b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	taken := b.fails(identity.SignUp{Email: "ADA@example.com", Password: good}, fault.InvalidInput)
	bad := b.fails(identity.SignUp{Email: "nonsense", Password: good}, fault.InvalidInput)
	if taken.Message != "Registration failed" || bad.Message != taken.Message || taken.Hint != bad.Hint {
		t.Errorf("a taken address and a bad one differ: %q, %q", taken.Message, bad.Message)
	}
	b.fails(identity.SignUp{Email: "x@example.com", Password: "short"}, fault.WeakPassword)
	b.fails(identity.SignUp{Email: "x@example.com", Password: good, UserMetadata: json.RawMessage(`[1]`)}, fault.InvalidInput)
	b.fails(identity.SignUp{Email: "x@example.com", Password: good, UserMetadata: json.RawMessage(`{"a":"` + strings.Repeat("x", identity.MaxMetadata) + `"}`)}, fault.InvalidInput)

	closed := setup(t, func(o *identity.Options) { o.SignupDisabled, o.PasswordLoginDisabled = true, true })
	closed.fails(identity.SignUp{Email: "x@example.com", Password: good}, fault.SignupDisabled)
	closed.fails(identity.SignIn{Email: "x@example.com", Password: good}, fault.PasswordLoginDisabled)
}

// TestLargeMetadataDoesNotLockOut holds that a token fits into a header whatever
// its user stored.
func TestLargeMetadataDoesNotLockOut(t *testing.T) {
	b := setup(t, nil)
	large := json.RawMessage(`{"a":"` + strings.Repeat("x", 10_000) + `"}`)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good, UserMetadata: large})
	if len(up.User.UserMetadata) < 10_000 || len(up.AccessToken) > 2000 {
		t.Errorf("stored %d bytes, token of %d bytes", len(up.User.UserMetadata), len(up.AccessToken))
	}
	if c := b.caller(up.AccessToken); strings.Contains(string(c.Claims), "user_metadata") {
		t.Errorf("claims = %s", c.Claims)
	}
}

func TestWrongPasswordsLookLikeUnknownUsersAndLock(t *testing.T) {
	b := setup(t, nil)
	b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	for i := range identity.MaxFailures {
		wrong := b.fails(identity.SignIn{Email: "ada@example.com", Password: "wrong"}, fault.InvalidCredentials)
		unknown := b.fails(identity.SignIn{Email: "nobody@example.com", Password: "wrong"}, fault.InvalidCredentials)
		if wrong.Message != unknown.Message {
			t.Errorf("attempt %d: %q and %q", i, wrong.Message, unknown.Message)
		}
	}
	b.fails(identity.SignIn{Email: "ada@example.com", Password: good}, fault.AccountLocked)
	b.fails(identity.SignIn{Email: "nobody@example.com", Password: good}, fault.AccountLocked)
	b.sql(`UPDATE auth.users SET locked_until = now() - interval '1 second'`)
	b.granted(identity.SignIn{Email: "ada@example.com", Password: good})
}

func TestBcryptIsUpgradedAtSignIn(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	old, err := bcrypt.GenerateFromPassword([]byte("imported"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	b.sql(`UPDATE auth.users SET password_hash = $1`, string(old))
	b.fails(identity.SignIn{Email: "ada@example.com", Password: good}, fault.InvalidCredentials)
	for range 2 {
		b.granted(identity.SignIn{Email: "ada@example.com", Password: "imported"})
	}
	p, err := account.New(b.db, tenant).Proof(t.Context(), up.User.ID, "")
	if err != nil || !strings.HasPrefix(p.PasswordHash, "$argon2id$") {
		t.Errorf("hash = %q, %v", p.PasswordHash, err)
	}
}

func TestRefreshReadsTheRoleAnew(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	b.sql(`UPDATE auth.users SET role = 'editor', app_metadata = '{"plan":"pro"}'`)
	next := b.granted(identity.Refresh{Token: up.RefreshToken})
	c := b.caller(next.AccessToken)
	if c.Role != "editor" || !strings.Contains(string(c.Claims), `"plan":"pro"`) {
		t.Errorf("role %q, claims %s", c.Role, c.Claims)
	}
	if c.SessionID != b.caller(up.AccessToken).SessionID {
		t.Error("refreshing changed the session")
	}
	if next.RefreshToken == up.RefreshToken {
		t.Error("refreshing did not rotate")
	}
	b.fails(identity.Refresh{Token: next.AccessToken}, fault.InvalidToken)
	b.fails(identity.Refresh{Token: "nonsense"}, fault.InvalidToken)
	b.refused(next.RefreshToken, fault.InvalidToken)
}

// TestReuseKillsTheFamily plays the thief: an old refresh token, shown late, ends
// the session of whoever holds the newest one, access token included.
func TestReuseKillsTheFamily(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	other := b.granted(identity.SignIn{Email: "ada@example.com", Password: good})
	next := b.granted(identity.Refresh{Token: up.RefreshToken})

	again := b.granted(identity.Refresh{Token: up.RefreshToken})
	if again.RefreshToken != next.RefreshToken {
		t.Error("repeating within the grace gave another refresh token")
	}
	b.sql(`UPDATE auth.sessions SET rotated_at = rotated_at - interval '1 minute'`)
	b.fails(identity.Refresh{Token: up.RefreshToken}, fault.InvalidToken)
	b.fails(identity.Refresh{Token: next.RefreshToken}, fault.InvalidToken)
	b.refused(next.AccessToken, fault.RevokedToken)
	b.refused(up.AccessToken, fault.RevokedToken)
	b.caller(other.AccessToken)
	b.granted(identity.Refresh{Token: other.RefreshToken})
}

// TestManyRefreshesAtOnce holds that all get the same refresh token and none is
// taken for a thief.
func TestManyRefreshesAtOnce(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good})
	const n = 20
	got := make([]string, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			g, err := ask[identity.Granted](b, identity.Refresh{Token: up.RefreshToken})
			if err != nil {
				t.Error(err)
			}
			got[i] = g.RefreshToken
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Fatal("two refreshes at once gave two refresh tokens")
		}
	}
	b.granted(identity.Refresh{Token: got[0]})
}

func TestSignOutScopes(t *testing.T) {
	for scope, want := range map[identity.Scope][3]bool{ // which of three sessions live on
		"":                   {false, true, true},
		identity.ScopeLocal:  {false, true, true},
		identity.ScopeOthers: {true, false, false},
		identity.ScopeGlobal: {false, false, false},
	} {
		t.Run(string("scope "+scope), func(t *testing.T) {
			b := setup(t, nil)
			sessions := []identity.Granted{b.granted(identity.SignUp{Email: "ada@example.com", Password: good})}
			bystander := b.granted(identity.SignUp{Email: "bob@example.com", Password: good})
			for range 2 {
				sessions = append(sessions, b.granted(identity.SignIn{Email: "ada@example.com", Password: good}))
			}
			var mu sync.Mutex
			cut := map[string]bool{}
			cancel := b.registry.Watch(func(r revocation.Revoked) { mu.Lock(); cut[r.Subject] = true; mu.Unlock() })
			defer cancel()
			callers := make([]caller.Caller, 3)
			for i, s := range sessions {
				callers[i] = b.caller(s.AccessToken)
			}
			if _, err := ask[identity.Done](b, identity.SignOut{Caller: callers[0], Scope: scope}); err != nil {
				t.Fatal(err)
			}
			for i, s := range sessions {
				access, refresh := fault.Code(""), fault.Code("")
				if !want[i] {
					access, refresh = fault.RevokedToken, fault.InvalidToken
				}
				b.refused(s.AccessToken, access)
				if _, err := ask[identity.Granted](b, identity.Refresh{Token: s.RefreshToken}); fault.CodeOf(err) != refresh {
					t.Errorf("refresh of session %d: %v, want %q", i, err, refresh)
				}
				mu.Lock()
				if cut[callers[i].SessionID] == want[i] {
					t.Errorf("watchers heard of session %d: %t", i, !want[i])
				}
				mu.Unlock()
			}
			b.caller(bystander.AccessToken)
			b.fails(identity.SignOut{Caller: callers[0], Scope: "universe"}, fault.InvalidInput)
		})
	}
}

func TestUpdateUser(t *testing.T) {
	b := setup(t, nil)
	up := b.granted(identity.SignUp{Email: "ada@example.com", Password: good, UserMetadata: json.RawMessage(`{"a":1,"b":2}`)})
	other := b.granted(identity.SignIn{Email: "ada@example.com", Password: good})
	b.granted(identity.SignUp{Email: "bob@example.com", Password: good})
	me := b.caller(up.AccessToken)
	text := func(s string) *string { return &s }

	u, err := ask[account.User](b, identity.UpdateUser{Caller: me, UserMetadata: json.RawMessage(`{"b":null,"c":3}`)})
	if err != nil || string(u.UserMetadata) != `{"a": 1, "c": 3}` {
		t.Errorf("merge: %s, %v", u.UserMetadata, err)
	}
	b.fails(identity.UpdateUser{Caller: me, Email: text("BOB@example.com")}, fault.InvalidInput)
	b.fails(identity.UpdateUser{Caller: me, Email: text("nonsense")}, fault.InvalidInput)
	b.fails(identity.UpdateUser{Caller: me, Password: text("weak")}, fault.WeakPassword)
	b.fails(identity.UpdateUser{Caller: me, UserMetadata: json.RawMessage(`"x"`)}, fault.InvalidInput)

	b.sql(`UPDATE auth.users SET email_verified = true WHERE id = $1`, me.UserID)
	if u, err = ask[account.User](b, identity.UpdateUser{Caller: me, Email: text("Ada@Example.com")}); err != nil || !u.EmailVerified {
		t.Errorf("the same address: %+v, %v", u, err)
	}
	if u, err = ask[account.User](b, identity.UpdateUser{Caller: me, Email: text("eve@example.com")}); err != nil || u.EmailVerified || u.Email != "eve@example.com" {
		t.Errorf("a new address: %+v, %v", u, err)
	}

	// A sign-in of long ago is no proof; the current password is.
	b.sql(`UPDATE auth.sessions SET created_at = now() - interval '2 days'`)
	const better = "a better password"
	b.fails(identity.UpdateUser{Caller: me, Password: text(better)}, fault.ReauthenticationRequired)
	b.fails(identity.UpdateUser{Caller: me, Password: text(better), CurrentPassword: "wrong"}, fault.InvalidCredentials)
	if _, err = ask[account.User](b, identity.UpdateUser{Caller: me, Password: text(better), CurrentPassword: good}); err != nil {
		t.Fatal(err)
	}
	b.fails(identity.SignIn{Email: "eve@example.com", Password: good}, fault.InvalidCredentials)
	b.granted(identity.SignIn{Email: "eve@example.com", Password: better})
	b.caller(up.AccessToken)
	b.refused(other.AccessToken, fault.RevokedToken)
	b.fails(identity.Refresh{Token: other.RefreshToken}, fault.InvalidToken)

	for range identity.MaxFailures {
		b.fails(identity.UpdateUser{Caller: me, Password: text(good), CurrentPassword: "guess"}, fault.InvalidCredentials)
	}
	b.fails(identity.UpdateUser{Caller: me, Password: text(good), CurrentPassword: better}, fault.AccountLocked)
}
