package identity

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"

	"fluxbase/actors/identity/email"
	"fluxbase/persistence/account"
	"fluxbase/persistence/fault"
)

func (w *Worker) signUp(ctx context.Context, m SignUp) (any, error) {
	if w.SignupDisabled {
		return nil, fault.New(fault.SignupDisabled, "User registration is currently disabled")
	}
	address, err := email.Normalize(m.Email)
	if err != nil {
		return nil, registrationFailed(err)
	}
	if err := w.Policy.Check(m.Password); err != nil {
		return nil, err
	}
	metadata, err := object(m.UserMetadata)
	if err != nil {
		return nil, err
	}
	// The password is hashed before anybody looks whether the address is free: both
	// answers take equally long.
	hash, err := w.Passwords.Hash(ctx, m.Password)
	if err != nil {
		return nil, err
	}
	u, s, err := w.Store.Create(ctx,
		account.NewUser{Email: address, PasswordHash: hash, UserMetadata: metadata}, w.newSession(m.Client))
	if errors.Is(err, account.ErrEmailTaken) {
		return nil, registrationFailed(err)
	}
	if err != nil {
		return nil, err
	}
	return w.grant(u, s)
}

func (w *Worker) signIn(ctx context.Context, m SignIn) (any, error) {
	if w.PasswordLoginDisabled {
		return nil, fault.New(fault.PasswordLoginDisabled, "Password login is disabled")
	}
	address := email.Fold(m.Email)
	login, err := w.Store.Login(ctx, address)
	if err != nil {
		return nil, err
	}
	if login.Locked {
		return nil, locked()
	}
	rehash, err := w.checkPassword(ctx, login, address, m.Password)
	if err != nil {
		return nil, err
	}
	u, s, err := w.Store.Enter(ctx, login.UserID, rehash, w.newSession(m.Client))
	if errors.Is(err, account.ErrNotFound) {
		return nil, invalidCredentials()
	}
	if err != nil {
		return nil, err
	}
	return w.grant(u, s)
}

// checkPassword compares a password and counts it when it is wrong. For a right
// one it gives the hash that should replace the stored one, or "".
func (w *Worker) checkPassword(ctx context.Context, l account.Login, address, given string) (rehash string, err error) {
	ok, stale, err := w.Passwords.Verify(ctx, given, l.PasswordHash)
	if err != nil {
		return "", err
	}
	if !ok {
		if err := w.Store.Fail(ctx, l, address, MaxFailures, LockTime); err != nil {
			return "", err
		}
		return "", invalidCredentials()
	}
	if !stale {
		return "", nil
	}
	rehash, err = w.Passwords.Hash(ctx, given)
	if fault.CodeOf(err) == fault.Overloaded {
		// The old hash still serves; the next sign-in replaces it.
		return "", nil
	}
	return rehash, err
}

// registrationFailed says no more than that: not whether the address is taken.
func registrationFailed(cause error) error {
	return fault.New(fault.InvalidInput, "Registration failed").WithCause(cause)
}

// object checks that metadata is a JSON object of bearable size; nil is an empty one.
func object(metadata json.RawMessage) (json.RawMessage, error) {
	trimmed := bytes.TrimSpace(metadata)
	if len(trimmed) == 0 || string(trimmed) == "null" {
		return json.RawMessage(`{}`), nil
	}
	if trimmed[0] != '{' || !json.Valid(trimmed) {
		return nil, fault.New(fault.InvalidInput, "user_metadata must be an object")
	}
	if len(trimmed) > MaxMetadata {
		return nil, fault.Newf(fault.InvalidInput, "user_metadata must not be larger than %d bytes", MaxMetadata).
			WithHint("Keep large values in a table of your own.")
	}
	return trimmed, nil
}
