// Package token makes and reads the JSON Web Tokens of the server: HS256 under
// one secret that all nodes share.
//
// An access token says everything that a request needs to know about its user,
// so that no query runs merely to authenticate. A refresh token names a session
// and a generation of it and nothing else; the session's row decides what it is
// still worth. The two are told apart by token_type, and neither passes as the
// other.
package token

import (
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxbase/persistence/fault"
)

// IssuerName is the iss claim of our tokens.
const IssuerName = "fluxbase"

const (
	// MaxBytes is the longest token that is looked at.
	MaxBytes = 16 << 10
	// MaxMetadata is the greatest user_metadata or app_metadata that goes into a
	// token: header and cookie of a request may both hold one, and must fit into
	// what the server reads. Greater ones are left out, and whoever needs them reads
	// the account.
	MaxMetadata = 2 << 10
	// Leeway is how far ahead another issuer's clock may be. It never prolongs a
	// token: exp is taken by the word.
	Leeway = 5 * time.Second
)

// Default lifetimes.
const (
	DefaultAccessTTL    = 15 * time.Minute
	DefaultRefreshTTL   = 168 * time.Hour
	DefaultDashboardTTL = 24 * time.Hour
)

// Options are the settings of an Authority. Secret must have at least 32 bytes;
// a zero lifetime means the default.
type Options struct {
	Secret       []byte
	AccessTTL    time.Duration
	RefreshTTL   time.Duration
	DashboardTTL time.Duration
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Authority signs and parses tokens. It is safe for concurrent use.
type Authority struct {
	secret []byte
	o      Options
	parser *jwt.Parser
}

// NewAuthority refuses a secret shorter than 32 bytes.
func NewAuthority(o Options) (*Authority, error) {
	if len(o.Secret) < 32 {
		return nil, errors.New("the JWT secret must have at least 32 bytes")
	}
	if o.AccessTTL <= 0 {
		o.AccessTTL = DefaultAccessTTL
	}
	if o.RefreshTTL <= 0 {
		o.RefreshTTL = DefaultRefreshTTL
	}
	if o.DashboardTTL <= 0 {
		o.DashboardTTL = DefaultDashboardTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Authority{
		secret: append([]byte(nil), o.Secret...),
		o:      o,
		parser: jwt.NewParser(jwt.WithValidMethods([]string{jwt.SigningMethodHS256.Alg()}), jwt.WithoutClaimsValidation(), jwt.WithStrictDecoding()),
	}, nil
}

// AccessTTL, RefreshTTL and DashboardTTL are the lifetimes in force.
func (a *Authority) AccessTTL() time.Duration { return a.o.AccessTTL }

// RefreshTTL is the lifetime of a refresh token; every rotation starts it anew.
func (a *Authority) RefreshTTL() time.Duration { return a.o.RefreshTTL }

// DashboardTTL is the lifetime of an operator's access token.
func (a *Authority) DashboardTTL() time.Duration { return a.o.DashboardTTL }

// LongestAccess is how long a revocation must be remembered: no access token
// made now lives longer.
func (a *Authority) LongestAccess() time.Duration { return max(a.o.AccessTTL, a.o.DashboardTTL) }

// User is what an access token says about its user.
type User struct {
	ID           string
	Email        string
	Role         string
	SessionID    string
	TenantID     string
	UserMetadata json.RawMessage
	AppMetadata  json.RawMessage
}

// Operator is what a dashboard access token says.
type Operator struct {
	ID        string
	Email     string
	Role      string
	SessionID string
	Name      string
	Avatar    string
	Instance  bool
}

type signed struct {
	UserID       string          `json:"user_id"`
	Email        string          `json:"email,omitempty"`
	Role         string          `json:"role,omitempty"`
	SessionID    string          `json:"session_id,omitempty"`
	Type         string          `json:"token_type"`
	UserMetadata json.RawMessage `json:"user_metadata,omitempty"`
	AppMetadata  json.RawMessage `json:"app_metadata,omitempty"`
	TenantID     string          `json:"tenant_id,omitempty"`
	Instance     bool            `json:"is_instance_admin,omitempty"`
	Generation   int             `json:"generation,omitempty"`
	jwt.RegisteredClaims
}

// Access makes an access token and tells how many seconds it lives.
func (a *Authority) Access(u User) (text string, expiresIn int, err error) {
	return a.access(signed{
		UserID: u.ID, Email: u.Email, Role: u.Role, SessionID: u.SessionID, TenantID: u.TenantID,
		UserMetadata: bounded(u.UserMetadata), AppMetadata: bounded(u.AppMetadata),
	}, a.o.AccessTTL)
}

// Dashboard makes an operator's access token and tells how many seconds it lives.
func (a *Authority) Dashboard(op Operator) (text string, expiresIn int, err error) {
	metadata, err := json.Marshal(struct {
		Name   string `json:"name"`
		Avatar string `json:"avatar,omitempty"`
	}{op.Name, op.Avatar})
	if err != nil {
		return "", 0, err
	}
	return a.access(signed{
		UserID: op.ID, Email: op.Email, Role: op.Role, SessionID: op.SessionID, UserMetadata: metadata, Instance: op.Instance,
	}, a.o.DashboardTTL)
}

func (a *Authority) access(s signed, ttl time.Duration) (string, int, error) {
	now := a.o.Now()
	s.Type = TypeAccess
	s.RegisteredClaims = jwt.RegisteredClaims{
		Issuer: IssuerName, Audience: jwt.ClaimStrings{IssuerName}, Subject: s.UserID,
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), ExpiresAt: jwt.NewNumericDate(now.Add(ttl)),
		ID: uuid.NewString(),
	}
	text, err := a.sign(s)
	return text, int(ttl / time.Second), err
}

// Session is the state of a session row that a refresh token stands for.
type Session struct {
	ID         string
	UserID     string
	TenantID   string
	Generation int
	RotatedAt  time.Time
	ExpiresAt  time.Time
}

// Refresh makes the refresh token of a session's generation. It is a function of
// its argument and the secret: whoever lost the answer to a rotation can be given
// the same token again, and no copy of it has to be kept.
func (a *Authority) Refresh(s Session) (string, error) {
	id, err := uuid.Parse(s.ID)
	if err != nil {
		return "", err
	}
	return a.sign(signed{
		UserID: s.UserID, SessionID: s.ID, TenantID: s.TenantID, Generation: s.Generation, Type: TypeRefresh,
		RegisteredClaims: jwt.RegisteredClaims{
			Issuer: IssuerName, Audience: jwt.ClaimStrings{IssuerName}, Subject: s.UserID,
			IssuedAt: jwt.NewNumericDate(s.RotatedAt), NotBefore: jwt.NewNumericDate(s.RotatedAt), ExpiresAt: jwt.NewNumericDate(s.ExpiresAt),
			ID: uuid.NewSHA1(id, []byte(strconv.Itoa(s.Generation))).String(),
		},
	})
}

// Key makes a key-style token: a role and no user. A ttl of 0 means one that
// never ends.
func (a *Authority) Key(role string, ttl time.Duration) (string, error) {
	now := a.o.Now()
	s := signed{Role: role, Type: TypeAccess, RegisteredClaims: jwt.RegisteredClaims{
		Issuer: IssuerName, Audience: jwt.ClaimStrings{IssuerName}, IssuedAt: jwt.NewNumericDate(now), ID: uuid.NewString(),
	}}
	if ttl > 0 {
		s.ExpiresAt = jwt.NewNumericDate(now.Add(ttl))
	}
	return a.sign(s)
}

func (a *Authority) sign(s signed) (string, error) {
	return jwt.NewWithClaims(jwt.SigningMethodHS256, s).SignedString(a.secret)
}

// Parse checks form, algorithm, signature and times, and nothing else: what the
// token may be used for is the caller's question. Failures are EXPIRED_TOKEN or
// INVALID_TOKEN faults.
func (a *Authority) Parse(text string) (*Claims, error) {
	if len(text) > MaxBytes {
		return nil, Invalid()
	}
	var c Claims
	if _, err := a.parser.ParseWithClaims(text, &c, func(*jwt.Token) (any, error) { return a.secret, nil }); err != nil {
		return nil, fault.From(Invalid()).WithCause(err)
	}
	now := a.o.Now()
	switch {
	case c.All == nil: // the payload null leaves everything empty
		return nil, Invalid()
	case !c.ExpiresAt.IsZero() && !now.Before(c.ExpiresAt):
		return nil, Expired()
	case c.NotBefore.After(now.Add(Leeway)), c.IssuedAt.After(now.Add(Leeway)):
		return nil, Invalid()
	}
	return &c, nil
}

// ParseRefresh is Parse for a refresh token: any other type is INVALID_TOKEN.
func (a *Authority) ParseRefresh(text string) (*Claims, error) {
	c, err := a.Parse(text)
	if err != nil {
		return nil, err
	}
	if c.Type != TypeRefresh || c.SessionID == "" || c.Subject == "" {
		return nil, Invalid()
	}
	return c, nil
}

// Invalid is the fault of every token that is not ours or not fit for its use.
func Invalid() error { return fault.New(fault.InvalidToken, "Invalid or expired token") }

// Expired is the fault of a token that was good once. Its text is that of
// Invalid; only the code tells them apart.
func Expired() error { return fault.New(fault.ExpiredToken, "Invalid or expired token") }

// bounded turns an absent metadata value into an empty object, and one that is
// too great into no claim at all.
func bounded(raw json.RawMessage) json.RawMessage {
	switch {
	case len(raw) == 0:
		return json.RawMessage(`{}`)
	case len(raw) > MaxMetadata:
		return nil
	default:
		return raw
	}
}
