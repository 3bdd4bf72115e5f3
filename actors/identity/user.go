package identity

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"fluxbase/actors/identity/email"
	"fluxbase/actors/identity/token"
	"fluxbase/persistence/account"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/revocation"
)

func (w *Worker) getUser(ctx context.Context, m GetUser) (any, error) {
	if uuid.Validate(m.Caller.UserID) != nil {
		return nil, token.Invalid()
	}
	u, err := w.Store.Find(ctx, m.Caller.UserID)
	if err != nil {
		return nil, missing(err)
	}
	return u, nil
}

func (w *Worker) updateUser(ctx context.Context, m UpdateUser) (any, error) {
	id := m.Caller.UserID
	if uuid.Validate(id) != nil {
		return nil, token.Invalid()
	}
	var change account.Change
	if m.UserMetadata != nil {
		metadata, err := object(m.UserMetadata)
		if err != nil {
			return nil, err
		}
		change.UserMetadata = metadata
	}
	if m.Email != nil {
		address, err := email.Normalize(*m.Email)
		if err != nil {
			return nil, err
		}
		change.Email = &address
	}
	session := m.Caller.SessionID
	if uuid.Validate(session) != nil {
		session = ""
	}
	if m.Email != nil || m.Password != nil {
		if err := w.prove(ctx, m, session); err != nil {
			return nil, err
		}
	}
	if m.Password != nil {
		if err := w.Policy.Check(*m.Password); err != nil {
			return nil, err
		}
		hash, err := w.Passwords.Hash(ctx, *m.Password)
		if err != nil {
			return nil, err
		}
		change.PasswordHash = &hash
	}
	u, ended, err := w.Store.Update(ctx, id, change, session)
	if errors.Is(err, account.ErrEmailTaken) {
		return nil, fault.New(fault.InvalidInput, "Email address cannot be used").WithCause(err)
	}
	if err != nil {
		return nil, missing(err)
	}
	if err := w.revoke(ctx, revocation.Session, ended...); err != nil {
		return nil, err
	}
	return u, nil
}

// prove lets pass who knows the current password or has signed in of late. A
// wrong password counts like one at sign-in: a stolen token must not be a way to
// guess it.
func (w *Worker) prove(ctx context.Context, m UpdateUser, session string) error {
	p, err := w.Store.Proof(ctx, m.Caller.UserID, session)
	if err != nil {
		return missing(err)
	}
	if m.CurrentPassword != "" {
		login, err := w.Store.Login(ctx, email.Fold(p.Email))
		if err != nil {
			return err
		}
		if login.Locked {
			return locked()
		}
		_, err = w.checkPassword(ctx, login, email.Fold(p.Email), m.CurrentPassword)
		return err
	}
	if !p.SignedInAt.IsZero() && time.Since(p.SignedInAt) < ProofWindow {
		return nil
	}
	return fault.New(fault.ReauthenticationRequired, "Sign in again or give the current password").
		WithHint("Send current_password, or sign in anew and repeat the request.")
}
