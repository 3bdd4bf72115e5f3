// Package admin is the HTTP face of an installation's operators: setting it up,
// signing in to the dashboard and out again.
package admin

import (
	"time"

	"fluxbase/actors/identity"
	"fluxbase/actors/kernel"
	"fluxbase/actors/operator"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/operator"
	"fluxbase/transport/route"
)

// Routes are the routes of this package; operators is the pool that handles the
// messages of actors/operator.
func Routes(operators kernel.Target) []route.Route {
	h := handler{operators}
	return []route.Route{
		{Method: "GET", Path: "/api/v1/admin/setup/status", Access: route.Public, Instance: true, BodyLimit: route.LimitAdmin, Bucket: "admin_setup", Message: operator.GetSetupStatus{}, Doc: statusDoc, Handle: h.status},
		{Method: "POST", Path: "/api/v1/admin/setup", Access: route.Public, Instance: true, BodyLimit: route.LimitAdmin, Bucket: "admin_setup", Message: operator.Setup{}, Doc: setupDoc, Handle: h.setup},
		{Method: "POST", Path: "/api/v1/admin/login", Access: route.Public, Instance: true, BodyLimit: route.LimitAdmin, Bucket: "admin_login", Message: operator.SignIn{}, Doc: loginDoc, Handle: h.login},
		{Method: "POST", Path: "/api/v1/admin/refresh", Access: route.Public, Instance: true, BodyLimit: route.LimitAdmin, Bucket: "refresh", Message: operator.Refresh{}, Doc: refreshDoc, Handle: h.refresh},
		{Method: "POST", Path: "/api/v1/admin/logout", Access: route.User, BodyLimit: route.LimitAdmin, Message: operator.SignOut{}, Doc: logoutDoc, Handle: h.logout},
		{Method: "GET", Path: "/api/v1/admin/me", Access: route.Roles(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin), Instance: true, Doc: meDoc, Handle: h.me},
	}
}

type handler struct{ operators kernel.Target }

// user is how an operator is shown. name repeats full_name: the public SDK reads
// the one, the dashboard the other.
type user struct {
	ID            string     `json:"id"`
	Email         string     `json:"email"`
	EmailVerified bool       `json:"email_verified"`
	Name          string     `json:"name"`
	FullName      string     `json:"full_name,omitempty"`
	AvatarURL     string     `json:"avatar_url,omitempty"`
	TOTPEnabled   bool       `json:"totp_enabled"`
	IsActive      bool       `json:"is_active"`
	IsLocked      bool       `json:"is_locked"`
	LockedUntil   *time.Time `json:"locked_until,omitempty"`
	LastLoginAt   *time.Time `json:"last_login_at,omitempty"`
	CreatedAt     time.Time  `json:"created_at"`
	UpdatedAt     time.Time  `json:"updated_at"`
	Role          string     `json:"role,omitempty"`
}

func show(u store.User) user {
	return user{
		ID: u.ID, Email: u.Email, EmailVerified: u.EmailVerified, Name: u.FullName, FullName: u.FullName, AvatarURL: u.AvatarURL,
		IsActive: u.Active, IsLocked: u.LockedUntil != nil, LockedUntil: u.LockedUntil, LastLoginAt: u.LastLoginAt,
		CreatedAt: u.CreatedAt, UpdatedAt: u.UpdatedAt, Role: u.Role,
	}
}

type tokens struct {
	User         user   `json:"user"`
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token"`
	ExpiresIn    int    `json:"expires_in"`
}

func (h handler) status(r *route.Request) error {
	s, err := kernel.Ask[operator.SetupStatus](r.Context(), h.operators, operator.GetSetupStatus{})
	if err != nil {
		return err
	}
	return r.JSON(200, setupStatus{HasAdmin: s.HasAdmin, NeedsSetup: s.NeedsSetup})
}

func (h handler) setup(r *route.Request) error {
	var body setupBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	return h.grant(r, 201, operator.Setup{
		Email: body.Email, Password: body.Password, Name: body.Name, Token: body.SetupToken, Client: identity.ClientOf(r.IP(), r.Header("User-Agent")),
	})
}

func (h handler) login(r *route.Request) error {
	var body loginBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	switch {
	case body.Email == "":
		return fault.New(fault.MissingRequiredField, "Email is required")
	case body.Password == "":
		return fault.New(fault.MissingRequiredField, "Password is required")
	}
	return h.grant(r, 200, operator.SignIn{Email: body.Email, Password: body.Password, Client: identity.ClientOf(r.IP(), r.Header("User-Agent"))})
}

func (h handler) refresh(r *route.Request) error {
	var body refreshBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.RefreshToken == "" {
		return fault.New(fault.MissingRequiredField, "Refresh token is required")
	}
	return h.grant(r, 200, operator.Refresh{Token: body.RefreshToken})
}

// grant asks the operators' pool for tokens and answers with them.
func (h handler) grant(r *route.Request, status int, msg any) error {
	g, err := kernel.Ask[operator.Granted](r.Context(), h.operators, msg)
	if err != nil {
		return err
	}
	return r.JSON(status, tokens{User: show(g.User), AccessToken: g.AccessToken, RefreshToken: g.RefreshToken, ExpiresIn: g.ExpiresIn})
}

// logout ends the session of whoever asks: an operator's is in the control
// database, a user's in his tenant's.
func (h handler) logout(r *route.Request) error {
	c := r.Caller()
	var err error
	if c.HasRole(caller.InstanceAdmin, caller.TenantAdmin, caller.DashboardUser) {
		_, err = kernel.Ask[identity.Done](r.Context(), h.operators, operator.SignOut{Caller: c})
	} else {
		_, err = kernel.Ask[identity.Done](r.Context(), r.Tenant().Identity, identity.SignOut{Caller: c})
	}
	if err != nil {
		return err
	}
	return r.JSON(200, done{true, "Logged out successfully"})
}

func (h handler) me(r *route.Request) error {
	c := r.Caller()
	return r.JSON(200, me{User: identified{c.UserID, c.Email, string(c.Role)}})
}
