// Package identity is what a tenant's users do about themselves: sign up, sign
// in, renew and end their sessions, read and change their account.
//
// Its messages are handled by the workers of the tenant's identity pool. Errors
// are coded faults; what they say never tells a stranger whether an address has
// an account.
package identity

import (
	"encoding/json"
	"strings"

	"fluxbase/persistence/account"
	"fluxbase/persistence/caller"
)

// Client is where a request came from; it is stored with the session.
type Client struct {
	IP        string
	UserAgent string
}

// maxUserAgent keeps a header of any length out of the sessions.
const maxUserAgent = 500

// ClientOf makes a Client; whatever cannot be stored of a user agent is left out.
func ClientOf(ip, userAgent string) Client {
	agent := []rune(strings.ReplaceAll(strings.ToValidUTF8(userAgent, ""), "\x00", ""))
	return Client{IP: ip, UserAgent: string(agent[:min(len(agent), maxUserAgent)])}
}

// SignUp makes an account and signs it in: Granted, or SIGNUP_DISABLED,
// WEAK_PASSWORD, INVALID_INPUT.
type SignUp struct {
	Email    string
	Password string
	// UserMetadata is a JSON object, or nil.
	UserMetadata json.RawMessage
	Client       Client
}

// SignIn checks a password: Granted, or INVALID_CREDENTIALS, ACCOUNT_LOCKED,
// PASSWORD_LOGIN_DISABLED.
type SignIn struct {
	Email    string
	Password string
	Client   Client
}

// Refresh turns a refresh token into new tokens: Granted, or INVALID_TOKEN.
//
// The token that is shown is spent. Showing it again within RepeatGrace gives the
// same refresh token as the first time, so that two tabs that refresh at once, or
// a client whose answer was lost, stay signed in. Showing it later, or showing an
// older one, means that somebody copied it: the session ends for everybody.
type Refresh struct{ Token string }

// Scope says which sessions a SignOut ends.
type Scope string

// The scopes of a SignOut.
const (
	ScopeLocal  Scope = "local"  // the session of the token; the default
	ScopeGlobal Scope = "global" // every session of the user
	ScopeOthers Scope = "others" // every session of the user but this one
)

// SignOut ends sessions and revokes their tokens: Done.
type SignOut struct {
	Caller caller.Caller
	Scope  Scope
}

// Done is the reply to a message that has nothing to tell.
type Done struct{}

// GetUser reads the caller's account: account.User, or INVALID_TOKEN.
type GetUser struct{ Caller caller.Caller }

// UpdateUser changes the caller's own account: account.User.
//
// A new address or password needs proof that the caller is more than the bearer
// of a token: the current password, or a sign-in within ProofWindow. Without it
// the answer is REAUTHENTICATION_REQUIRED. A new password ends every other
// session; a new address has to be verified again.
type UpdateUser struct {
	Caller caller.Caller
	// Nil fields stay as they are.
	Email    *string
	Password *string
	// CurrentPassword is the proof; empty when it is not given.
	CurrentPassword string
	// UserMetadata is merged, member by member; a null member is removed.
	UserMetadata json.RawMessage
}

// Granted is a session's tokens.
type Granted struct {
	User         account.User
	AccessToken  string
	RefreshToken string
	// ExpiresIn is the lifetime of the access token in seconds.
	ExpiresIn int
}
