package operator

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"fluxbase/actors/identity"
	"fluxbase/actors/identity/email"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/operator"
	"fluxbase/persistence/revocation"
)

// Options are the settings of the operators' workers.
type Options struct {
	Store     *store.Store
	Tokens    *token.Authority
	Passwords *password.Hasher
	Revoker   identity.Revoker
	// Policy is the tenants' policy: one rule for everybody.
	Policy password.Policy
	// SetupToken lets its bearer make the first operator; empty closes that door.
	SetupToken string
}

// Worker handles the messages of this package, one at a time.
type Worker struct{ Options }

var _ kernel.Worker = (*Worker)(nil)

// NewWorker gives a worker for the operators' pool.
func NewWorker(o Options) *Worker { return &Worker{o} }

// Handle implements kernel.Worker.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case GetSetupStatus:
		done, admin, err := w.Store.Status(ctx)
		return SetupStatus{NeedsSetup: !done && !admin, HasAdmin: admin}, err
	case Setup:
		return w.setup(ctx, m)
	case SignIn:
		return w.signIn(ctx, m)
	case Refresh:
		return w.refresh(ctx, m)
	case SignOut:
		return w.signOut(ctx, m)
	default:
		return nil, fmt.Errorf("operator worker got an unknown message %T", msg)
	}
}

func (w *Worker) setup(ctx context.Context, m Setup) (any, error) {
	done, admin, err := w.Store.Status(ctx)
	switch {
	case err != nil:
		return nil, err
	case done || admin:
		return nil, setupDone()
	case w.SetupToken == "":
		return nil, fault.New(fault.SetupDisabled, "Setup is disabled: no setup token is configured")
	case !equal(m.Token, w.SetupToken):
		return nil, fault.New(fault.InvalidSetupToken, "Invalid setup token")
	}
	address, err := email.Normalize(m.Email)
	if err != nil {
		return nil, fault.New(fault.ValidationFailed, "Email address is not valid").WithCause(err)
	}
	name := strings.TrimSpace(m.Name)
	if n := utf8.RuneCountInString(name); n < 1 || n > 100 || !utf8.ValidString(name) || strings.ContainsRune(name, 0) {
		return nil, fault.New(fault.ValidationFailed, "Name must have 1 to 100 characters")
	}
	if err := w.Policy.Check(m.Password); err != nil {
		return nil, err
	}
	hash, err := w.Passwords.Hash(ctx, m.Password)
	if err != nil {
		return nil, err
	}
	u, s, err := w.Store.Setup(ctx, address, name, hash, w.newSession(m.Client))
	if errors.Is(err, store.ErrSetupDone) || errors.Is(err, store.ErrEmailTaken) {
		return nil, setupDone()
	}
	if err != nil {
		return nil, err
	}
	return w.grant(u, s)
}

func (w *Worker) signIn(ctx context.Context, m SignIn) (any, error) {
	address := email.Fold(m.Email)
	login, err := w.Store.Login(ctx, address)
	if err != nil {
		return nil, err
	}
	if login.Locked {
		return nil, fault.New(fault.AccountLocked, "Account is locked after too many failed attempts, try again later")
	}
	ok, stale, err := w.Passwords.Verify(ctx, m.Password, login.PasswordHash)
	if err != nil {
		return nil, err
	}
	if !ok {
		if err := w.Store.Fail(ctx, login, address, identity.MaxFailures, identity.LockTime); err != nil {
			return nil, err
		}
		return nil, invalidCredentials()
	}
	u, err := w.Store.Find(ctx, login.UserID)
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidCredentials()
	}
	if err != nil {
		return nil, err
	}
	if err := mayEnter(u); err != nil {
		return nil, err
	}
	var rehash string
	if stale {
		// When the pool is full the old hash still serves.
		if rehash, err = w.Passwords.Hash(ctx, m.Password); err != nil && fault.CodeOf(err) != fault.Overloaded {
			return nil, err
		}
	}
	u, s, err := w.Store.Enter(ctx, login.UserID, rehash, w.newSession(m.Client))
	if errors.Is(err, store.ErrNotFound) {
		return nil, invalidCredentials()
	}
	if err != nil {
		return nil, err
	}
	return w.grant(u, s)
}

func (w *Worker) refresh(ctx context.Context, m Refresh) (any, error) {
	c, err := w.Tokens.ParseRefresh(m.Token)
	if err != nil {
		return nil, invalidRefresh(err)
	}
	if uuid.Validate(c.SessionID) != nil {
		return nil, invalidRefresh(nil)
	}
	outcome, u, s, err := w.Store.Rotate(ctx, c.SessionID, c.Generation, w.Tokens.RefreshTTL(), identity.RepeatGrace)
	if err != nil {
		return nil, err
	}
	switch outcome {
	case store.Rotated, store.Repeated:
		// The row is read anew: who was deactivated or lost his role is out.
		if err := mayEnter(u); err != nil {
			return nil, errors.Join(err, w.end(ctx, s.ID))
		}
		return w.grant(u, s)
	case store.Reused:
		if err := w.end(ctx, s.ID); err != nil {
			return nil, err
		}
	}
	return nil, invalidRefresh(nil)
}

func (w *Worker) signOut(ctx context.Context, m SignOut) (any, error) {
	session := m.Caller.SessionID
	if uuid.Validate(session) != nil {
		return nil, token.Invalid()
	}
	return identity.Done{}, w.end(ctx, session)
}

// end deletes a session and revokes its tokens.
func (w *Worker) end(ctx context.Context, session string) error {
	if err := w.Store.EndSession(ctx, session); err != nil {
		return err
	}
	return w.Revoker.Revoke(ctx, revocation.Entry{
		Kind: revocation.Session, Subject: session, ExpiresAt: time.Now().Add(w.Tokens.LongestAccess() + time.Minute),
	})
}

func (w *Worker) newSession(c identity.Client) store.NewSession {
	return store.NewSession{ID: uuid.NewString(), TTL: w.Tokens.RefreshTTL(), IP: c.IP, UserAgent: c.UserAgent}
}

func (w *Worker) grant(u store.User, s store.Session) (Granted, error) {
	access, expiresIn, err := w.Tokens.Dashboard(token.Operator{
		ID: u.ID, Email: u.Email, Role: u.Role, SessionID: s.ID, Name: u.FullName, Avatar: u.AvatarURL,
		Instance: u.Role == string(caller.InstanceAdmin),
	})
	if err != nil {
		return Granted{}, err
	}
	refresh, err := w.Tokens.Refresh(token.Session{
		ID: s.ID, UserID: s.UserID, Generation: s.Generation, RotatedAt: s.RotatedAt, ExpiresAt: s.ExpiresAt,
	})
	if err != nil {
		return Granted{}, err
	}
	return Granted{User: u, AccessToken: access, RefreshToken: refresh, ExpiresIn: expiresIn}, nil
}

// mayEnter says who may use the dashboard.
func mayEnter(u store.User) error {
	if !u.Active {
		return fault.New(fault.AccessDenied, "Account is deactivated")
	}
	switch caller.Role(u.Role) {
	case caller.InstanceAdmin, caller.TenantAdmin:
		return nil
	default:
		return fault.New(fault.AdminRequired, "Admin access required")
	}
}

// equal compares secrets of any length in a time that tells nothing about them.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

func setupDone() error {
	return fault.New(fault.SetupAlreadyCompleted, "Setup has already been completed")
}

func invalidCredentials() error {
	return fault.New(fault.InvalidCredentials, "Invalid email or password")
}

func invalidRefresh(cause error) error {
	return fault.New(fault.InvalidToken, "Invalid or expired refresh token").WithCause(cause)
}
