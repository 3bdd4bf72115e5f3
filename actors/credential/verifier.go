// Package credential turns what a request shows into on whose behalf it acts,
// in memory: tokens are checked by signature, opaque keys by a look-up among all
// keys, and both against the node's list of what has been revoked. No query runs
// merely to authenticate.
package credential

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"strings"
	"time"

	"fluxbase/actors/identity/token"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/key"
)

// Denylist says what has been revoked; actors/revocation implements it.
type Denylist interface {
	// Check gives nil, or REVOKED_TOKEN, or SERVICE_UNAVAILABLE when nobody can say.
	Check(ctx context.Context, c caller.Caller) error
	// Revoked tells what is known without asking anybody.
	Revoked(c caller.Caller) bool
}

// Verifier checks credentials. It is safe for concurrent use.
type Verifier struct {
	tokens *token.Authority
	keys   *Keyring
	deny   Denylist
	cache  cache
	now    func() time.Time
}

// NewVerifier joins the three things that a check needs.
func NewVerifier(tokens *token.Authority, keys *Keyring, deny Denylist) *Verifier {
	return &Verifier{tokens: tokens, keys: keys, deny: deny, now: time.Now}
}

// Verify gives the caller that p stands for; the anonymous caller when p shows
// nothing. A credential that is shown and wrong is a fault and never falls back
// to another one or to anonymity: INVALID_TOKEN, EXPIRED_TOKEN, REVOKED_TOKEN, or
// ACCESS_DENIED for a cookie that another site made the browser send.
func (v *Verifier) Verify(ctx context.Context, p Presented) (caller.Caller, error) {
	text, cookie := p.strongest()
	if text == "" {
		return caller.Anonymous(), nil
	}
	if cookie && p.CrossSite {
		return caller.Caller{}, fault.New(fault.AccessDenied, "Cross-site request refused").
			WithHint("Send the token in the Authorization header.")
	}
	c, err := v.identify(ctx, text)
	if err != nil {
		return caller.Caller{}, err
	}
	if err := v.deny.Check(ctx, c); err != nil {
		return caller.Caller{}, err
	}
	return c, nil
}

// VerifyToken is Verify for one credential, as sockets send it to renew theirs.
func (v *Verifier) VerifyToken(ctx context.Context, text string) (caller.Caller, error) {
	if text == "" {
		return caller.Caller{}, token.Invalid()
	}
	return v.Verify(ctx, Presented{Bearer: text})
}

// Revoked tells, without asking anybody, whether a caller who was let in has been
// revoked since.
func (v *Verifier) Revoked(c caller.Caller) bool { return v.deny.Revoked(c) }

func (v *Verifier) identify(ctx context.Context, text string) (caller.Caller, error) {
	if len(text) > token.MaxBytes {
		return caller.Caller{}, token.Invalid()
	}
	if strings.Count(text, ".") != 2 {
		return v.byKey(ctx, text)
	}
	f := fingerprint(sha256.Sum256([]byte(text)))
	if c, ok := v.cache.get(f); ok {
		if !c.ExpiresAt.IsZero() && !v.now().Before(c.ExpiresAt) {
			return caller.Caller{}, token.Expired()
		}
		return c, nil
	}
	claims, err := v.tokens.Parse(text)
	if err != nil {
		return caller.Caller{}, err
	}
	c, err := fromClaims(claims)
	if err != nil {
		return caller.Caller{}, err
	}
	v.cache.put(f, c)
	return c, nil
}

func (v *Verifier) byKey(ctx context.Context, text string) (caller.Caller, error) {
	k, ok, err := v.keys.find(ctx, text)
	if err != nil {
		return caller.Caller{}, fault.New(fault.ServiceUnavailable, "service_unavailable").WithRetryAfter(time.Second).WithCause(err)
	}
	if !ok {
		return caller.Caller{}, token.Invalid()
	}
	return fromKey(k), nil
}

// keyIssuers are the issuers that a key-style token may name.
var keyIssuers = map[string]bool{"": true, token.IssuerName: true, "supabase": true, "supabase-demo": true}

func fromClaims(t *token.Claims) (caller.Caller, error) {
	// A token type that we do not know was made for something else.
	if t.Type != "" && t.Type != token.TypeAccess {
		return caller.Caller{}, token.Invalid()
	}
	role := caller.Role(t.Role)
	if t.Subject == "" {
		switch role {
		case caller.Anon, caller.Authenticated, caller.Service:
		default:
			return caller.Caller{}, token.Invalid()
		}
		if !keyIssuers[t.Issuer] {
			return caller.Caller{}, token.Invalid()
		}
	} else {
		// Revocations of users are forgotten one day; a token that never ends would
		// come back to life then.
		if t.ExpiresAt.IsZero() {
			return caller.Caller{}, token.Invalid()
		}
		if role == "" {
			role = caller.Authenticated
		}
	}
	claims, err := policyClaims(t, role)
	if err != nil {
		return caller.Caller{}, err
	}
	c := caller.Caller{
		Role: role, UserID: t.Subject, Email: t.Email, SessionID: t.SessionID, TokenID: t.ID,
		Claims: claims, ExpiresAt: t.ExpiresAt, IssuedAt: t.IssuedAt, Source: caller.SourceToken,
	}
	// An instance administrator's tenant claim is where he begins, not where he must stay.
	if role != caller.InstanceAdmin {
		c.BoundTenant = t.TenantID
	}
	return c, nil
}

// policyClaims is what policies see: every claim of the token, with sub and role
// always filled. Its members are sorted, so that equal claims give equal text.
func policyClaims(t *token.Claims, role caller.Role) (json.RawMessage, error) {
	all := make(map[string]json.RawMessage, len(t.All)+2)
	for name, value := range t.All {
		all[name] = value
	}
	for name, value := range map[string]string{"sub": t.Subject, "role": string(role)} {
		if value == "" {
			delete(all, name)
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return json.Marshal(all)
}

func fromKey(k key.Key) caller.Caller {
	role := k.Type.Role()
	return caller.Caller{
		Role: role, KeyID: k.ID, BoundTenant: k.Tenant, Scopes: k.Scopes, ExpiresAt: k.ExpiresAt,
		Claims: json.RawMessage(`{"role":"` + string(role) + `"}`), Source: caller.SourceServiceKey,
	}
}
