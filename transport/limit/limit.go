// Package limit counts calls: how often one client may sign in, sign up, set the
// server up and so on within a window of time.
//
// A route names a bucket, a rule says how many calls the bucket takes and who
// counts as one client, and a Counter counts. The counter in memory is bounded;
// nodes of one cluster share another.
package limit

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"log/slog"
	"net/netip"
	"time"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Global is the bucket that counts every call of the API when a rule for it
// exists. Service identities are not counted by it.
const Global = "global"

// Key says who counts as one client.
type Key uint8

// The kinds of clients.
const (
	// PerIP is the client's address; of an IPv6 address the first 64 bits, which
	// is the least that one customer gets.
	PerIP Key = iota
	// PerCaller is the key or the user of a tenant, and without either the address.
	PerCaller
	// PerTenant is the tenant.
	PerTenant
	// PerToken is the refresh token in the body or the cookie, and without one the
	// address. It is counted after the body is read.
	PerToken
)

// Rule is the limit of a bucket. A Limit of 0 or less counts nothing.
type Rule struct {
	Bucket string
	Limit  int
	Window time.Duration
	Key    Key
}

// Defaults are the rules as documented. Global is not among them: it is off
// unless configured.
func Defaults() []Rule {
	return []Rule{
		{"login", 10, time.Minute, PerIP},
		{"signup", 10, 15 * time.Minute, PerIP},
		{"password_reset", 5, 15 * time.Minute, PerIP},
		{"magiclink", 5, 15 * time.Minute, PerIP},
		{"2fa", 5, 5 * time.Minute, PerIP},
		{"refresh", 10, time.Minute, PerToken},
		{"admin_setup", 5, 15 * time.Minute, PerIP},
		{"admin_login", 10, time.Minute, PerIP},
		{"migrations", 10000, time.Minute, PerCaller},
	}
}

// Counter counts one call under key and tells how many more the window takes and
// when it ends. A negative remaining refuses the call, which is then not to be
// counted again.
type Counter interface {
	Allow(ctx context.Context, key string, limit int, window time.Duration) (remaining int, reset time.Duration, err error)
}

// Limits are the rules of a server. Make them with New.
type Limits struct {
	rules  map[string]Rule
	shared Counter
	local  *Memory
	logger *slog.Logger
}

// New makes limits of rules; of two for one bucket the later holds. Calls are
// counted by shared, and in this process when shared is nil or fails: a limit
// that cannot be shared still limits.
func New(rules []Rule, shared Counter, logger *slog.Logger) *Limits {
	l := &Limits{rules: make(map[string]Rule, len(rules)), shared: shared, local: NewMemory(), logger: logger}
	for _, r := range rules {
		l.rules[r.Bucket] = r
		if r.Limit <= 0 || r.Window <= 0 {
			delete(l.rules, r.Bucket)
		}
	}
	return l
}

// Rule gives the rule of a bucket, if it counts anything.
func (l *Limits) Rule(bucket string) (Rule, bool) {
	r, ok := l.rules[bucket]
	return r, ok
}

// Outcome is what a call learns about its limit.
type Outcome struct {
	Limit, Remaining int
	Reset            time.Duration
}

// Take counts a call. The error is RATE_LIMIT_EXCEEDED when the bucket is empty;
// the outcome holds in both cases.
func (l *Limits) Take(ctx context.Context, rule Rule, r *route.Request) (Outcome, error) {
	return l.TakeKey(ctx, rule, subject(rule.Key, r))
}

// TakeKey counts a call of the client that key names.
func (l *Limits) TakeKey(ctx context.Context, rule Rule, key string) (Outcome, error) {
	key = rule.Bucket + "/" + key
	var (
		remaining int
		reset     time.Duration
		err       error
	)
	if l.shared != nil {
		remaining, reset, err = l.shared.Allow(ctx, key, rule.Limit, rule.Window)
		if err != nil {
			l.logger.WarnContext(ctx, "shared rate limit failed, counting here", "bucket", rule.Bucket, "error", err)
		}
	}
	if l.shared == nil || err != nil {
		remaining, reset = l.local.allow(key, rule.Limit, rule.Window)
	}
	out := Outcome{Limit: rule.Limit, Remaining: max(remaining, 0), Reset: reset}
	if remaining >= 0 {
		return out, nil
	}
	refusal := fault.New(fault.RateLimitExceeded, "Rate limit exceeded").
		WithRetryAfter(max(reset, time.Second)).
		WithField("message", "Too many requests. Please try again later.").
		WithField("retry_after", int((max(reset, time.Second)+time.Second-1)/time.Second))
	return out, refusal
}

func subject(key Key, r *route.Request) string {
	c := r.Caller()
	switch key {
	case PerCaller:
		switch {
		case c.KeyID != "":
			return c.Tenant + "/key/" + c.KeyID
		case c.UserID != "":
			return c.Tenant + "/user/" + c.UserID
		case c.Role == caller.Service || c.Role == caller.TenantService:
			return c.Tenant + "/token/" + c.TokenID
		}
	case PerTenant:
		return "tenant/" + c.Tenant
	case PerToken:
		if token := refreshToken(r); token != "" {
			sum := sha256.Sum256([]byte(token))
			return "token/" + base64.RawURLEncoding.EncodeToString(sum[:])
		}
	}
	return "ip/" + Network(r.Address())
}

// Network is an address as far as it names a customer.
func Network(a netip.Addr) string {
	if a.Is6() && !a.Is4In6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.Unmap().String()
}

func refreshToken(r *route.Request) string {
	var body struct {
		RefreshToken string `json:"refresh_token"`
	}
	// A body that is no JSON is refused by the handler; here it has no token.
	if json.Unmarshal(r.Body(), &body) == nil && body.RefreshToken != "" {
		return body.RefreshToken
	}
	return r.Cookie("fluxbase_refresh_token")
}
