package route

import (
	"slices"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Access says who may call a route. The zero value lets nobody in.
type Access struct {
	level level
	roles []caller.Role
}

type level uint8

const (
	closed level = iota
	public
	optional
	authenticated
	user
	roles
)

var (
	// Public ignores credentials, wrong ones too: the caller is anonymous.
	Public = Access{level: public}
	// Optional takes nobody as anonymous and refuses wrong credentials.
	Optional = Access{level: optional}
	// Authenticated wants any good credential, an anon key included.
	Authenticated = Access{level: authenticated}
	// User wants the token of a signed-in user; keys are nobody here.
	User = Access{level: user}
)

// Roles wants a credential with one of the roles. A service_role credential
// always passes, a tenant_service one where tenant_admin does.
func Roles(allowed ...caller.Role) Access { return Access{level: roles, roles: allowed} }

// Closed tells whether a is the zero value.
func (a Access) Closed() bool { return a.level == closed }

// ReadsCredentials tells whether the request's credentials are looked at.
func (a Access) ReadsCredentials() bool { return a.level != public && a.level != closed }

// Anonymous tells whether a caller without any credential may pass.
func (a Access) Anonymous() bool { return a.level == public || a.level == optional }

// Required gives the roles of Roles, for documents; nil for the other kinds.
func (a Access) Required() []caller.Role { return slices.Clone(a.roles) }

// String names the kind, for documents.
func (a Access) String() string {
	return [...]string{"closed", "public", "optional", "authenticated", "user", "roles"}[a.level]
}

// Admit judges a caller whose credential is already known to be good. presented
// tells whether there was a credential at all.
func (a Access) Admit(c caller.Caller, presented bool) error {
	if a.Anonymous() {
		return nil
	}
	if !presented {
		return fault.New(fault.MissingAuthentication, "Missing authentication")
	}
	switch a.level {
	case authenticated:
		return nil
	case user:
		if c.UserID == "" || c.Source != caller.SourceToken {
			return fault.New(fault.AuthenticationRequired, "Authentication required").
				WithHint("This route needs the access token of a signed-in user; keys are not accepted.")
		}
		return nil
	case roles:
		if c.Role == caller.Service || c.HasRole(a.roles...) {
			return nil
		}
		if c.Role == caller.TenantService && slices.Contains(a.roles, caller.TenantAdmin) {
			return nil
		}
		return fault.New(fault.InsufficientPermissions, "Insufficient permissions").
			WithField("required_roles", a.roles)
	default:
		return fault.New(fault.AccessDenied, "Access denied")
	}
}

// CheckScope tells whether the caller's scopes cover scope.
func CheckScope(c caller.Caller, scope string) error {
	if c.Allows(scope) {
		return nil
	}
	return fault.New(fault.InsufficientPermissions, "Insufficient permissions").
		WithField("required_scope", scope)
}
