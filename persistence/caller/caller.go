// Package caller says on whose behalf something is done.
//
// A Caller is made once per request or socket by the credential check, travels
// inside every message, and ends in persistence/db, which turns it into the
// role and the settings of a transaction. It is a value: nobody changes one
// after it was made.
package caller

import (
	"crypto/sha256"
	"encoding/json"
	"slices"
	"time"
)

// Role is an application role: the one a token or key carries. It is not the
// database role; see DatabaseRole.
type Role string

// The application roles that have a meaning to the server. Any other non-empty
// role is an ordinary signed-in user's.
const (
	Anon          Role = "anon"
	Authenticated Role = "authenticated"
	Service       Role = "service_role"
	TenantService Role = "tenant_service"
	Admin         Role = "admin"
	InstanceAdmin Role = "instance_admin"
	TenantAdmin   Role = "tenant_admin"
	DashboardUser Role = "dashboard_user"
)

// DatabaseRole is the PostgreSQL role that a statement runs as.
type DatabaseRole string

// The database roles, made by bootstrap.
const (
	DatabaseAnon          DatabaseRole = "anon"
	DatabaseAuthenticated DatabaseRole = "authenticated"
	DatabaseService       DatabaseRole = "service_role"
	DatabaseTenantService DatabaseRole = "tenant_service"
)

// Source says what kind of credential the caller showed.
type Source uint8

// The kinds of credentials.
const (
	SourceNone       Source = iota // no credential: anonymous
	SourceToken                    // a JWT signed by us
	SourceServiceKey               // an opaque anon, service or tenant key
	SourceClientKey                // a client key of a user
	SourceSelf                     // none: the server acts itself, see System
)

// Caller is on whose behalf a statement runs. The zero value is an anonymous
// caller of no tenant; persistence/db refuses a Caller without Tenant.
type Caller struct {
	// Tenant is the tenant's id (a uuid). It is set after authentication, by
	// tenant resolution.
	Tenant string
	// DefaultTenant tells that Tenant is the default one: service identities
	// keep service_role there and become tenant_service elsewhere.
	DefaultTenant bool
	// BoundTenant is the tenant that the credential itself names; empty for
	// credentials that are good for any tenant the role may enter.
	BoundTenant string
	// Branch is the database branch; empty for the main one.
	Branch string
	// Role is the application role; empty counts as anon.
	Role Role
	// UserID is the user's uuid; empty for keys and anonymous callers.
	UserID string
	// Email is the address in the token, if any.
	Email string
	// SessionID and TokenID are the session_id and jti claims, if any.
	SessionID string
	TokenID   string
	// KeyID is the id of the service or client key, if one was shown.
	KeyID string
	// Claims is the JSON object that policies see as request.jwt.claims: all
	// claims of the token, custom ones included, with role always present.
	// Never nil once made by New.
	Claims json.RawMessage
	// Scopes are the key's scopes. Nil means unrestricted (tokens); scopes bind
	// keys only.
	Scopes []string
	// ExpiresAt is when the credential ends; zero for never.
	ExpiresAt time.Time
	// IssuedAt is the token's iat; zero when it has none.
	IssuedAt time.Time
	// Source is the kind of credential.
	Source Source
}

// Anonymous is the caller who showed nothing.
func Anonymous() Caller {
	return Caller{Role: Anon, Claims: json.RawMessage(`{"role":"anon"}`)}
}

// System is the server itself acting in a tenant as service_role: for the SQL
// of our own schemas. Never give it to anything that runs SQL written by a user.
func System(tenant string) Caller {
	return Caller{Tenant: tenant, DefaultTenant: true, Role: Service, Source: SourceSelf, Claims: json.RawMessage(`{"role":"service_role"}`)}
}

// DatabaseRole maps the application role to the database role by the table of
// the contract: service identities and instance admins are service_role in the
// default tenant and tenant_service elsewhere; nobody else bypasses policies.
func (c Caller) DatabaseRole() DatabaseRole {
	switch c.Role {
	case "", Anon:
		return DatabaseAnon
	case Service, InstanceAdmin:
		if c.DefaultTenant {
			return DatabaseService
		}
		return DatabaseTenantService
	case TenantService:
		return DatabaseTenantService
	default:
		return DatabaseAuthenticated
	}
}

// HasRole tells whether the application role is one of roles.
func (c Caller) HasRole(roles ...Role) bool { return slices.Contains(roles, c.Role) }

// Allows tells whether the credential's scopes cover scope ("tables:read").
// Tokens are unrestricted; "*" and "tables:*" are wildcards.
func (c Caller) Allows(scope string) bool {
	if c.Scopes == nil || scope == "" {
		return true
	}
	area := scope
	for i := range len(scope) {
		if scope[i] == ':' {
			area = scope[:i]
			break
		}
	}
	for _, s := range c.Scopes {
		if s == "*" || s == scope || s == area+":*" {
			return true
		}
	}
	return false
}

// Identity is the effective identity of a caller for row-level security: two
// callers with equal Identity see the same rows, because PostgreSQL is told the
// same things about them. It is comparable and serves as a map key.
type Identity [sha256.Size]byte

// Identity hashes tenant, branch, database role and every claim.
func (c Caller) Identity() Identity {
	h := sha256.New()
	for _, part := range []string{c.Tenant, c.Branch, string(c.DatabaseRole()), string(c.Role), c.UserID} {
		h.Write([]byte(part))
		h.Write([]byte{0})
	}
	h.Write(c.Claims)
	var id Identity
	h.Sum(id[:0])
	return id
}
