package identity

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/account"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/revocation"
)

const (
	// MaxFailures is how many wrong passwords in a row lock an account.
	MaxFailures = 5
	// LockTime is how long it stays locked.
	LockTime = 15 * time.Minute
	// RepeatGrace is how long a spent refresh token gives the same answer again.
	RepeatGrace = 10 * time.Second
	// ProofWindow is how long after a sign-in address and password may be changed
	// without the current password.
	ProofWindow = 24 * time.Hour
	// MaxMetadata is the greatest size of user_metadata. Beyond token.MaxMetadata it
	// is stored but not put into tokens.
	MaxMetadata = 16 << 10
)

// Revoker puts entries on the installation's deny-list; actors/revocation
// implements it.
type Revoker interface {
	Revoke(ctx context.Context, entries ...revocation.Entry) error
}

// Options are the settings of a tenant's identity workers.
type Options struct {
	// Tenant is the tenant's id.
	Tenant    string
	Store     *account.Store
	Tokens    *token.Authority
	Passwords *password.Hasher
	Revoker   Revoker
	Policy    password.Policy
	// SignupDisabled and PasswordLoginDisabled close the two doors.
	SignupDisabled        bool
	PasswordLoginDisabled bool
}

// Worker handles the messages of this package, one at a time.
type Worker struct{ Options }

var _ kernel.Worker = (*Worker)(nil)

// NewWorker gives a worker for the pool of o's tenant.
func NewWorker(o Options) *Worker { return &Worker{o} }

// Handle implements kernel.Worker.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case SignUp:
		return w.signUp(ctx, m)
	case SignIn:
		return w.signIn(ctx, m)
	case Refresh:
		return w.refresh(ctx, m)
	case SignOut:
		return w.signOut(ctx, m)
	case GetUser:
		return w.getUser(ctx, m)
	case UpdateUser:
		return w.updateUser(ctx, m)
	default:
		return nil, fmt.Errorf("identity worker got an unknown message %T", msg)
	}
}

// newSession prepares the row of a new sign-in.
func (w *Worker) newSession(c Client) account.NewSession {
	return account.NewSession{ID: uuid.NewString(), TTL: w.Tokens.RefreshTTL(), IP: c.IP, UserAgent: c.UserAgent}
}

// grant makes the tokens of a session as the rows say.
func (w *Worker) grant(u account.User, s account.Session) (Granted, error) {
	access, expiresIn, err := w.Tokens.Access(token.User{
		ID: u.ID, Email: u.Email, Role: u.Role, SessionID: s.ID, TenantID: w.Tenant,
		UserMetadata: u.UserMetadata, AppMetadata: u.AppMetadata,
	})
	if err != nil {
		return Granted{}, err
	}
	refresh, err := w.Tokens.Refresh(token.Session{
		ID: s.ID, UserID: s.UserID, TenantID: w.Tenant, Generation: s.Generation, RotatedAt: s.RotatedAt, ExpiresAt: s.ExpiresAt,
	})
	if err != nil {
		return Granted{}, err
	}
	return Granted{User: u, AccessToken: access, RefreshToken: refresh, ExpiresIn: expiresIn}, nil
}

// revoke puts subjects on the tenant's deny-list first and on the installation's
// then: when it returns nil, both are committed.
func (w *Worker) revoke(ctx context.Context, kind revocation.Kind, subjects ...string) error {
	if len(subjects) == 0 {
		return nil
	}
	// A minute more than any access token lives, for clocks that differ.
	ttl := w.Tokens.LongestAccess() + time.Minute
	if err := w.Store.Revoke(ctx, string(kind), subjects, ttl); err != nil {
		return err
	}
	entries := make([]revocation.Entry, len(subjects))
	for i, s := range subjects {
		entries[i] = revocation.Entry{Tenant: w.Tenant, Kind: kind, Subject: s, ExpiresAt: time.Now().Add(ttl)}
	}
	return w.Revoker.Revoke(ctx, entries...)
}

// missing turns ErrNotFound into the answer for a token whose user is gone.
func missing(err error) error {
	if errors.Is(err, account.ErrNotFound) {
		return token.Invalid()
	}
	return err
}

func invalidCredentials() error {
	return fault.New(fault.InvalidCredentials, "Invalid email or password")
}

func locked() error {
	return fault.New(fault.AccountLocked, "Account is locked after too many failed attempts, try again later")
}
