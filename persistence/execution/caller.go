package execution

import (
	"encoding/json"
	"errors"
	"time"

	"fluxbase/persistence/caller"
)

// storedCaller is a caller as it waits in the table with what it asked for: all that
// PostgreSQL is told of it, and what its credential is known by when it is revoked.
type storedCaller struct {
	Tenant        string          `json:"tenant"`
	DefaultTenant bool            `json:"default_tenant,omitempty"`
	Branch        string          `json:"branch,omitempty"`
	Role          caller.Role     `json:"role"`
	UserID        string          `json:"user_id,omitempty"`
	Email         string          `json:"email,omitempty"`
	SessionID     string          `json:"session_id,omitempty"`
	TokenID       string          `json:"token_id,omitempty"`
	KeyID         string          `json:"key_id,omitempty"`
	Claims        json.RawMessage `json:"claims"`
	IssuedAt      time.Time       `json:"issued_at,omitzero"`
	Source        caller.Source   `json:"source"`
}

// errSelf keeps the server's own identity out of what runs SQL that it did not write.
var errSelf = errors.New("an execution cannot run as the server itself")

func encodeCaller(c caller.Caller) (string, error) {
	if c.Source == caller.SourceSelf {
		return "", errSelf
	}
	claims := c.Claims
	if len(claims) == 0 {
		claims = json.RawMessage("{}")
	}
	text, err := json.Marshal(storedCaller{
		Tenant: c.Tenant, DefaultTenant: c.DefaultTenant, Branch: c.Branch, Role: c.Role, UserID: c.UserID, Email: c.Email,
		SessionID: c.SessionID, TokenID: c.TokenID, KeyID: c.KeyID, Claims: claims, IssuedAt: c.IssuedAt, Source: c.Source,
	})
	return string(text), err
}

func decodeCaller(text []byte) (caller.Caller, error) {
	var s storedCaller
	if err := json.Unmarshal(text, &s); err != nil {
		return caller.Caller{}, err
	}
	if s.Source == caller.SourceSelf {
		return caller.Caller{}, errSelf
	}
	return caller.Caller{
		Tenant: s.Tenant, DefaultTenant: s.DefaultTenant, Branch: s.Branch, Role: s.Role, UserID: s.UserID, Email: s.Email,
		SessionID: s.SessionID, TokenID: s.TokenID, KeyID: s.KeyID, Claims: s.Claims, IssuedAt: s.IssuedAt, Source: s.Source,
	}, nil
}
