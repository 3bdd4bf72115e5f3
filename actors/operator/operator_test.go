package operator_test

import (
	"bytes"
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/actors/operator"
	"fluxbase/actors/revocation"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/key"
	store "fluxbase/persistence/operator"
	log "fluxbase/persistence/revocation"
)

const (
	setupToken = "let me in, I installed it"
	good       = "correct horse battery"
)

type bundle struct {
	*testing.T
	db       *db.Database
	pool     *kernel.Pool
	verifier *credential.Verifier
}

func prepare(t *testing.T, setupToken string) *bundle {
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
	registry, err := revocation.Start(t.Context(), sys, revocation.Options{Log: log.NewLog(d)})
	must(err)
	ring, err := credential.NewKeyring(t.Context(), []byte("pepper"), func(ctx context.Context) ([]key.Key, error) { return key.Active(ctx, d) })
	must(err)
	o := operator.Options{Store: store.New(d), Tokens: tokens, Passwords: hasher, Revoker: registry, SetupToken: setupToken}
	pool, err := sys.SpawnPool(kernel.PoolProps{Name: "operators", Workers: 2, Queue: 16, New: func() kernel.Worker { return operator.NewWorker(o) }})
	must(err)
	return &bundle{T: t, db: d, pool: pool, verifier: credential.NewVerifier(tokens, ring, registry)}
}

func (b *bundle) granted(msg any) operator.Granted {
	b.Helper()
	g, err := kernel.Ask[operator.Granted](b.Context(), b.pool, msg)
	if err != nil {
		b.Fatalf("%T: %v", msg, err)
	}
	return g
}

func (b *bundle) fails(msg any, want fault.Code) {
	b.Helper()
	if _, err := kernel.Ask[any](b.Context(), b.pool, msg); fault.CodeOf(err) != want {
		b.Errorf("%+v: %v, want %s", msg, err, want)
	}
}

func (b *bundle) sql(text string) {
	b.Helper()
	err := b.db.Owner(b.Context(), func(c *pgxpool.Conn) error {
		_, err := c.Exec(b.Context(), text)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bundle) status(want operator.SetupStatus) {
	b.Helper()
	if got, err := kernel.Ask[operator.SetupStatus](b.Context(), b.pool, operator.GetSetupStatus{}); err != nil || got != want {
		b.Errorf("status = %+v, %v; want %+v", got, err, want)
	}
}

var ada = operator.Setup{Email: "Ada@Example.com", Password: good, Name: "Ada", Token: setupToken}

func TestSetup(t *testing.T) {
	b := prepare(t, setupToken)
	b.status(operator.SetupStatus{NeedsSetup: true})
	with := func(change func(*operator.Setup)) operator.Setup { s := ada; change(&s); return s }
	b.fails(with(func(s *operator.Setup) { s.Token = "" }), fault.InvalidSetupToken)
	b.fails(with(func(s *operator.Setup) { s.Token += "x" }), fault.InvalidSetupToken)
	b.fails(with(func(s *operator.Setup) { s.Email = "ada" }), fault.ValidationFailed)
	b.fails(with(func(s *operator.Setup) { s.Name = " " }), fault.ValidationFailed)
	b.fails(with(func(s *operator.Setup) { s.Password = "short" }), fault.WeakPassword)
	g := b.granted(ada)
	if g.User.Email != "ada@example.com" || g.User.Role != "instance_admin" || g.ExpiresIn != 86400 {
		t.Errorf("granted %+v", g)
	}
	c, err := b.verifier.Verify(t.Context(), credential.Presented{Bearer: g.AccessToken})
	if err != nil || c.Role != caller.InstanceAdmin || c.UserID != g.User.ID || c.BoundTenant != "" {
		t.Errorf("caller = %+v, %v", c, err)
	}
	b.fails(ada, fault.SetupAlreadyCompleted)
	b.status(operator.SetupStatus{HasAdmin: true})
}

func TestSetupWithoutTokenIsDisabled(t *testing.T) {
	b := prepare(t, "")
	s := ada
	s.Token = ""
	b.fails(s, fault.SetupDisabled)
}

func TestSignInRefreshAndOut(t *testing.T) {
	b := prepare(t, setupToken)
	b.granted(ada)
	b.fails(operator.SignIn{Email: "ada@example.com", Password: "wrong"}, fault.InvalidCredentials)
	b.fails(operator.SignIn{Email: "eve@example.com", Password: good}, fault.InvalidCredentials)
	in := b.granted(operator.SignIn{Email: "ADA@example.com", Password: good})
	if in.User.LastLoginAt == nil {
		t.Error("last_login_at is empty")
	}
	next := b.granted(operator.Refresh{Token: in.RefreshToken})
	if next.RefreshToken == in.RefreshToken {
		t.Error("refreshing did not rotate")
	}
	if again := b.granted(operator.Refresh{Token: in.RefreshToken}); again.RefreshToken != next.RefreshToken {
		t.Error("repeating within the grace gave another refresh token")
	}
	b.fails(operator.Refresh{Token: next.AccessToken}, fault.InvalidToken)
	c, err := b.verifier.Verify(t.Context(), credential.Presented{Bearer: next.AccessToken})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kernel.Ask[identity.Done](t.Context(), b.pool, operator.SignOut{Caller: c}); err != nil {
		t.Fatal(err)
	}
	b.fails(operator.Refresh{Token: next.RefreshToken}, fault.InvalidToken)
	if _, err := b.verifier.Verify(t.Context(), credential.Presented{Bearer: next.AccessToken}); fault.CodeOf(err) != fault.RevokedToken {
		t.Errorf("after signing out: %v", err)
	}
}

func TestWhoLostHisRightsIsOutAtTheNextRefresh(t *testing.T) {
	b := prepare(t, setupToken)
	g := b.granted(ada)
	in := operator.SignIn{Email: "ada@example.com", Password: good}
	b.sql(`UPDATE platform.users SET is_active = false`)
	b.fails(in, fault.AccessDenied)
	b.sql(`UPDATE platform.users SET is_active = true, role = 'dashboard_user'`)
	b.fails(in, fault.AdminRequired)
	b.fails(operator.Refresh{Token: g.RefreshToken}, fault.AdminRequired)
	if _, err := b.verifier.Verify(t.Context(), credential.Presented{Bearer: g.AccessToken}); fault.CodeOf(err) != fault.RevokedToken {
		t.Errorf("his access token: %v, want REVOKED_TOKEN", err)
	}
}

func TestFiveWrongPasswordsLock(t *testing.T) {
	b := prepare(t, setupToken)
	b.granted(ada)
	for range identity.MaxFailures {
		b.fails(operator.SignIn{Email: "ada@example.com", Password: "wrong"}, fault.InvalidCredentials)
	}
	b.fails(operator.SignIn{Email: "ada@example.com", Password: good}, fault.AccountLocked)
}

func TestReuseEndsTheSession(t *testing.T) {
	b := prepare(t, setupToken)
	g := b.granted(ada)
	next := b.granted(operator.Refresh{Token: g.RefreshToken})
	b.sql(`UPDATE platform.sessions SET rotated_at = rotated_at - interval '1 minute'`)
	b.fails(operator.Refresh{Token: g.RefreshToken}, fault.InvalidToken)
	b.fails(operator.Refresh{Token: next.RefreshToken}, fault.InvalidToken)
	if _, err := b.verifier.Verify(t.Context(), credential.Presented{Bearer: next.AccessToken}); fault.CodeOf(err) != fault.RevokedToken {
		t.Errorf("the newest access token: %v", err)
	}
}
