// Package auth is the HTTP face of a tenant's users: signing up, in and out,
// renewing tokens, reading and changing one's account.
package auth

import (
	"encoding/json"
	"time"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/account"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Options are the settings of the routes.
type Options struct {
	// SecureCookies marks cookies as fit for https only, whatever the request says
	// about itself; set it when the public address is https.
	SecureCookies bool
	AccessTTL     time.Duration
	RefreshTTL    time.Duration
	// What GET /auth/config tells.
	SignupEnabled        bool
	PasswordLoginEnabled bool
	Policy               password.Policy
}

// Routes are the routes of this package.
func Routes(o Options) []route.Route {
	h := handler{o}
	return []route.Route{
		{Method: "GET", Path: "/api/v1/auth/config", Access: route.Public, Doc: configDoc, Handle: h.config},
		{Method: "POST", Path: "/api/v1/auth/signup", Access: route.Public, Bucket: "signup", BodyLimit: route.LimitAuth, Message: identity.SignUp{}, Doc: signUpDoc, Handle: h.signUp},
		{Method: "POST", Path: "/api/v1/auth/signin", Access: route.Public, Bucket: "login", BodyLimit: route.LimitAuth, Message: identity.SignIn{}, Doc: signInDoc, Handle: h.signIn},
		{Method: "POST", Path: "/api/v1/auth/refresh", Access: route.Public, Bucket: "refresh", BodyLimit: route.LimitAuth, Message: identity.Refresh{}, Doc: refreshDoc, Handle: h.refresh},
		{Method: "POST", Path: "/api/v1/auth/signout", Access: route.User, BodyLimit: route.LimitAuth, Message: identity.SignOut{}, Doc: signOutDoc, Handle: h.signOut},
		{Method: "GET", Path: "/api/v1/auth/user", Access: route.User, Message: identity.GetUser{}, Doc: getUserDoc, Handle: h.getUser},
		{Method: "PATCH", Path: "/api/v1/auth/user", Access: route.User, BodyLimit: route.LimitAuth, Message: identity.UpdateUser{}, Doc: updateUserDoc, Handle: h.updateUser},
	}
}

type handler struct{ Options }

// User is how an account is shown.
type User struct {
	ID            string          `json:"id"`
	Email         string          `json:"email"`
	EmailVerified bool            `json:"email_verified"`
	Role          string          `json:"role,omitempty"`
	TenantID      string          `json:"tenant_id,omitempty"`
	UserMetadata  json.RawMessage `json:"user_metadata,omitempty"`
	AppMetadata   json.RawMessage `json:"app_metadata,omitempty"`
	CreatedAt     time.Time       `json:"created_at"`
	UpdatedAt     time.Time       `json:"updated_at"`
}

func show(u account.User) User {
	return User{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Role: u.Role, TenantID: u.TenantID,
		UserMetadata: u.UserMetadata, AppMetadata: u.AppMetadata, CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt,
	}
}

// tokens is a session as clients store it.
type tokens struct {
	User         *User  `json:"user,omitempty"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

type message struct {
	Message string `json:"message"`
}

// configuration is what a sign-in page wants to know.
type configuration struct {
	SignupEnabled            bool  `json:"signup_enabled"`
	RequireEmailVerification bool  `json:"require_email_verification"`
	MagicLinkEnabled         bool  `json:"magic_link_enabled"`
	PasswordLoginEnabled     bool  `json:"password_login_enabled"`
	MFAAvailable             bool  `json:"mfa_available"`
	PasswordMinLength        int   `json:"password_min_length"`
	PasswordRequireUppercase bool  `json:"password_require_uppercase"`
	PasswordRequireLowercase bool  `json:"password_require_lowercase"`
	PasswordRequireNumber    bool  `json:"password_require_number"`
	PasswordRequireSpecial   bool  `json:"password_require_special"`
	OAuthProviders           []any `json:"oauth_providers"`
	SAMLProviders            []any `json:"saml_providers"`
	Captcha                  struct {
		Enabled bool `json:"enabled"`
	} `json:"captcha"`
}

func (h handler) config(r *route.Request) error {
	return r.JSON(200, configuration{
		SignupEnabled: h.SignupEnabled, PasswordLoginEnabled: h.PasswordLoginEnabled,
		PasswordMinLength: h.Policy.Length(), PasswordRequireUppercase: h.Policy.RequireUppercase,
		PasswordRequireLowercase: h.Policy.RequireLowercase, PasswordRequireNumber: h.Policy.RequireNumber,
		PasswordRequireSpecial: h.Policy.RequireSpecial, OAuthProviders: []any{}, SAMLProviders: []any{},
	})
}

func (h handler) signUp(r *route.Request) error {
	var body signUpBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if err := require("Email", body.Email, "Password", body.Password); err != nil {
		return err
	}
	g, err := kernel.Ask[identity.Granted](r.Context(), r.Tenant().Identity, identity.SignUp{
		Email: body.Email, Password: body.Password, UserMetadata: body.UserMetadata, Client: identity.ClientOf(r.IP(), r.Header("User-Agent")),
	})
	if err != nil {
		return err
	}
	return h.signedIn(r, 201, g)
}

func (h handler) signIn(r *route.Request) error {
	var body signInBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if err := require("Email", body.Email, "Password", body.Password); err != nil {
		return err
	}
	g, err := kernel.Ask[identity.Granted](r.Context(), r.Tenant().Identity, identity.SignIn{
		Email: body.Email, Password: body.Password, Client: identity.ClientOf(r.IP(), r.Header("User-Agent")),
	})
	if err != nil {
		return err
	}
	return h.signedIn(r, 200, g)
}

func (h handler) signedIn(r *route.Request, status int, g identity.Granted) error {
	h.setCookies(r, g)
	u := show(g.User)
	return r.JSON(status, tokens{User: &u, AccessToken: g.AccessToken, RefreshToken: g.RefreshToken, ExpiresIn: g.ExpiresIn})
}

func (h handler) refresh(r *route.Request) error {
	var body refreshBody
	if len(r.Body()) > 0 {
		if err := r.Decode(&body); err != nil {
			return err
		}
	}
	text := body.RefreshToken
	if text == "" {
		text = r.Cookie(credential.RefreshCookie)
		if text != "" && credential.CrossSite(r) {
			return fault.New(fault.AccessDenied, "Cross-site request refused")
		}
	}
	if err := require("Refresh token", text); err != nil {
		return err
	}
	g, err := kernel.Ask[identity.Granted](r.Context(), r.Tenant().Identity, identity.Refresh{Token: text})
	if err != nil {
		if fault.CodeOf(err) == fault.InvalidToken {
			h.clearCookies(r)
		}
		return err
	}
	h.setCookies(r, g)
	return r.JSON(200, tokens{AccessToken: g.AccessToken, RefreshToken: g.RefreshToken, ExpiresIn: g.ExpiresIn})
}

func (h handler) signOut(r *route.Request) error {
	var body signOutBody
	if len(r.Body()) > 0 {
		if err := r.Decode(&body); err != nil {
			return err
		}
	}
	if body.Scope == "" {
		body.Scope = identity.Scope(r.Query("scope"))
	}
	_, err := kernel.Ask[identity.Done](r.Context(), r.Tenant().Identity, identity.SignOut{Caller: r.Caller(), Scope: body.Scope})
	if err != nil {
		return err
	}
	if body.Scope != identity.ScopeOthers {
		h.clearCookies(r)
	}
	return r.JSON(200, message{"Signed out successfully"})
}

func (h handler) getUser(r *route.Request) error {
	u, err := kernel.Ask[account.User](r.Context(), r.Tenant().Identity, identity.GetUser{Caller: r.Caller()})
	if err != nil {
		return err
	}
	return r.JSON(200, show(u))
}

// updateUser reads the members that belong to their owner. Others, role and
// email_verified among them, are no members of the message and change nothing.
func (h handler) updateUser(r *route.Request) error {
	var body updateUserBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	u, err := kernel.Ask[account.User](r.Context(), r.Tenant().Identity, identity.UpdateUser{
		Caller: r.Caller(), Email: body.Email, Password: body.Password, CurrentPassword: body.CurrentPassword, UserMetadata: body.UserMetadata,
	})
	if err != nil {
		return err
	}
	return r.JSON(200, show(u))
}

// require takes names and values in turn and names the first that is empty.
func require(pairs ...string) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			return fault.Newf(fault.MissingRequiredField, "%s is required", pairs[i])
		}
	}
	return nil
}
