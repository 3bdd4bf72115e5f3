// Package operator is what the people who run an installation do about
// themselves: set it up, sign in to the dashboard, renew and end their sessions.
//
// Operators live in the control database and are no tenant's users: their tokens
// name no tenant, and their messages are handled by a pool of their own.
package operator

import (
	"fluxbase/actors/identity"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/operator"
)

// GetSetupStatus asks whether the installation still waits for its first
// operator: SetupStatus.
type GetSetupStatus struct{}

// SetupStatus is the answer to GetSetupStatus.
type SetupStatus struct {
	NeedsSetup bool
	HasAdmin   bool
}

// Setup makes the first instance administrator, once in the life of an
// installation: Granted, or SETUP_ALREADY_COMPLETED, SETUP_DISABLED,
// INVALID_SETUP_TOKEN, VALIDATION_FAILED, WEAK_PASSWORD.
type Setup struct {
	Email    string
	Password string
	Name     string
	Token    string
	Client   identity.Client
}

// SignIn checks an operator's password: Granted, or INVALID_CREDENTIALS,
// ACCOUNT_LOCKED, ACCESS_DENIED (deactivated), ADMIN_REQUIRED.
type SignIn struct {
	Email    string
	Password string
	Client   identity.Client
}

// Refresh turns a refresh token into new tokens, by the rules of
// identity.Refresh: Granted, or INVALID_TOKEN, ADMIN_REQUIRED.
type Refresh struct{ Token string }

// SignOut ends the caller's session and revokes its tokens: identity.Done.
type SignOut struct{ Caller caller.Caller }

// Granted is a dashboard session's tokens.
type Granted struct {
	User         store.User
	AccessToken  string
	RefreshToken string
	// ExpiresIn is the lifetime of the access token in seconds.
	ExpiresIn int
}
