package token

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// The values of the token_type claim.
const (
	TypeAccess  = "access"
	TypeRefresh = "refresh"
)

// Claims is a parsed token: the claims that the server itself reads, and all of
// them as they were signed.
type Claims struct {
	Subject    string
	Email      string
	Role       string
	SessionID  string
	Type       string
	ID         string
	Issuer     string
	TenantID   string
	Generation int
	IssuedAt   time.Time
	NotBefore  time.Time
	// ExpiresAt is zero for a token that never ends.
	ExpiresAt time.Time

	// All holds every claim, custom ones included.
	All map[string]json.RawMessage
}

type wireClaims struct {
	Subject    string           `json:"sub"`
	UserID     string           `json:"user_id"`
	Email      string           `json:"email"`
	Role       string           `json:"role"`
	SessionID  string           `json:"session_id"`
	Type       string           `json:"token_type"`
	ID         string           `json:"jti"`
	Issuer     string           `json:"iss"`
	TenantID   string           `json:"tenant_id"`
	Generation int              `json:"generation"`
	IssuedAt   *jwt.NumericDate `json:"iat"`
	NotBefore  *jwt.NumericDate `json:"nbf"`
	ExpiresAt  *jwt.NumericDate `json:"exp"`
}

// UnmarshalJSON reads the payload of a token. A claim of the wrong type is an
// error, never an empty value.
func (c *Claims) UnmarshalJSON(payload []byte) error {
	var w wireClaims
	if err := json.Unmarshal(payload, &w); err != nil {
		return err
	}
	*c = Claims{
		Subject: w.Subject, Email: w.Email, Role: w.Role, SessionID: w.SessionID, Type: w.Type,
		ID: w.ID, Issuer: w.Issuer, TenantID: w.TenantID, Generation: w.Generation,
		IssuedAt: instant(w.IssuedAt), NotBefore: instant(w.NotBefore), ExpiresAt: instant(w.ExpiresAt),
	}
	switch {
	case c.Subject == "":
		c.Subject = w.UserID
	case w.UserID != "" && w.UserID != c.Subject:
		return fmt.Errorf("sub and user_id differ")
	}
	return json.Unmarshal(payload, &c.All)
}

func instant(d *jwt.NumericDate) time.Time {
	if d == nil {
		return time.Time{}
	}
	return d.Time
}

// Claims is a jwt.Claims only so that the parser fills it; Parse judges the
// times itself.
var _ jwt.Claims = (*Claims)(nil)

// GetExpirationTime implements jwt.Claims.
func (c *Claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuedAt implements jwt.Claims.
func (c *Claims) GetIssuedAt() (*jwt.NumericDate, error) { return nil, nil }

// GetNotBefore implements jwt.Claims.
func (c *Claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }

// GetIssuer implements jwt.Claims.
func (c *Claims) GetIssuer() (string, error) { return c.Issuer, nil }

// GetSubject implements jwt.Claims.
func (c *Claims) GetSubject() (string, error) { return c.Subject, nil }

// GetAudience implements jwt.Claims.
func (c *Claims) GetAudience() (jwt.ClaimStrings, error) { return nil, nil }
