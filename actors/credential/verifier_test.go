package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxbase/actors/identity/token"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/key"
)

var (
	secret = bytes.Repeat([]byte("s"), 32)
	pepper = []byte("pepper")
)

const (
	anonKey    = "fb_anon_0123456789abcdefghijklmnopqrstuv"
	serviceKey = "fb_gsk_0123456789abcdefghijklmnopqrstuvw"
)

// denied is a deny-list of session ids.
type denied map[string]bool

func (d denied) Revoked(c caller.Caller) bool { return d[c.SessionID] }
func (d denied) Check(_ context.Context, c caller.Caller) error {
	if d.Revoked(c) {
		return fault.New(fault.RevokedToken, "token_revoked")
	}
	return nil
}

type bench struct {
	*Verifier
	now    time.Time
	tokens *token.Authority
	denied denied
	loads  int
	keys   []key.Key
}

func setup(t testing.TB) *bench {
	t.Helper()
	b := &bench{now: time.Now(), denied: denied{}}
	tokens, err := token.NewAuthority(token.Options{Secret: secret, Now: func() time.Time { return b.now }})
	if err != nil {
		t.Fatal(err)
	}
	b.tokens = tokens
	b.keys = []key.Key{
		{ID: "anon", Type: key.Anon, Digest: key.DigestOf(pepper, anonKey)},
		{ID: "service", Type: key.Service, Digest: key.DigestOf(pepper, serviceKey)},
		{ID: "bound", Type: key.TenantService, Tenant: "t1", Digest: key.DigestOf(pepper, "sk_tenant_x"), Scopes: []string{"tables:read"}},
	}
	ring, err := NewKeyring(context.Background(), pepper, func(context.Context) ([]key.Key, error) { b.loads++; return b.keys, nil })
	if err != nil {
		t.Fatal(err)
	}
	b.Verifier = NewVerifier(tokens, ring, b.denied)
	b.Verifier.now = func() time.Time { return b.now }
	return b
}

func (b *bench) sign(t testing.TB, claims jwt.MapClaims) string {
	t.Helper()
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(secret)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (b *bench) user(t testing.TB, session string) (text, id string) {
	t.Helper()
	id = uuid.NewString()
	text, _, err := b.tokens.Access(token.User{ID: id, Email: "a@b.cd", Role: "authenticated", SessionID: session, TenantID: "t1"})
	if err != nil {
		t.Fatal(err)
	}
	return text, id
}

func TestEveryFormOfEveryCredential(t *testing.T) {
	b := setup(t)
	user, id := b.user(t, "s1")
	serviceJWT, _ := b.tokens.Key("service_role", time.Hour)
	anonJWT, _ := b.tokens.Key("anon", 0)
	supabase := b.sign(t, jwt.MapClaims{"role": "service_role", "iss": "supabase-demo", "exp": b.now.Add(time.Hour).Unix()})
	stale := b.sign(t, jwt.MapClaims{"sub": id, "exp": b.now.Add(-time.Second).Unix()})
	refresh, err := b.tokens.Refresh(token.Session{ID: uuid.NewString(), UserID: id, RotatedAt: b.now, ExpiresAt: b.now.Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	exp := b.now.Add(time.Hour).Unix()

	for name, c := range map[string]struct {
		shown Presented
		role  caller.Role
		user  string
		code  fault.Code
	}{
		"nothing":                            {Presented{}, caller.Anon, "", ""},
		"user as bearer":                     {Presented{Bearer: user}, caller.Authenticated, id, ""},
		"user as query token":                {Presented{QueryToken: user}, caller.Authenticated, id, ""},
		"user as cookie":                     {Presented{Cookie: user}, caller.Authenticated, id, ""},
		"user as client key":                 {Presented{ClientKey: user}, caller.Authenticated, id, ""},
		"user beside the anon key":           {Presented{Bearer: user, APIKey: anonKey}, caller.Authenticated, id, ""},
		"user beside the service key":        {Presented{Bearer: user, APIKey: serviceKey}, caller.Authenticated, id, ""},
		"anon key twice":                     {Presented{Bearer: anonKey, APIKey: anonKey}, caller.Anon, "", ""},
		"anon key alone":                     {Presented{APIKey: anonKey}, caller.Anon, "", ""},
		"service key as bearer":              {Presented{Bearer: serviceKey}, caller.Service, "", ""},
		"service key in its header":          {Presented{ServiceKey: serviceKey}, caller.Service, "", ""},
		"service key over a user":            {Presented{ServiceKey: serviceKey, Bearer: user}, caller.Service, "", ""},
		"service JWT in the key's header":    {Presented{ServiceKey: serviceJWT}, caller.Service, "", ""},
		"service JWT as bearer":              {Presented{Bearer: serviceJWT}, caller.Service, "", ""},
		"anon JWT without end":               {Presented{APIKey: anonJWT}, caller.Anon, "", ""},
		"JWT of a known issuer":              {Presented{APIKey: supabase}, caller.Service, "", ""},
		"tenant key":                         {Presented{APIKey: "sk_tenant_x"}, caller.TenantService, "", ""},
		"token over cookie":                  {Presented{Bearer: serviceKey, Cookie: user}, caller.Service, "", ""},
		"no fall back to a good apikey":      {Presented{Bearer: "nonsense", APIKey: serviceKey}, "", "", fault.InvalidToken},
		"no fall back to a good cookie":      {Presented{Bearer: "null", Cookie: user}, "", "", fault.InvalidToken},
		"stale bearer beside a good key":     {Presented{Bearer: stale, APIKey: anonKey}, "", "", fault.ExpiredToken},
		"unknown key":                        {Presented{APIKey: "fb_gsk_unknown"}, "", "", fault.InvalidToken},
		"refresh token as access token":      {Presented{Bearer: refresh}, "", "", fault.InvalidToken},
		"unknown token type":                 {Presented{Bearer: b.sign(t, jwt.MapClaims{"sub": id, "token_type": "download", "exp": exp})}, "", "", fault.InvalidToken},
		"user token without end":             {Presented{Bearer: b.sign(t, jwt.MapClaims{"sub": id})}, "", "", fault.InvalidToken},
		"key JWT of a foreign issuer":        {Presented{Bearer: b.sign(t, jwt.MapClaims{"role": "service_role", "iss": "evil", "exp": exp})}, "", "", fault.InvalidToken},
		"key JWT of an operator's role":      {Presented{Bearer: b.sign(t, jwt.MapClaims{"role": "instance_admin", "exp": exp})}, "", "", fault.InvalidToken},
		"key JWT without role":               {Presented{Bearer: b.sign(t, jwt.MapClaims{"exp": exp})}, "", "", fault.InvalidToken},
		"cookie from another site":           {Presented{Cookie: user, CrossSite: true}, "", "", fault.AccessDenied},
		"bearer from another site":           {Presented{Bearer: user, CrossSite: true}, caller.Authenticated, id, ""},
		"user token without role":            {Presented{Bearer: b.sign(t, jwt.MapClaims{"sub": id, "exp": exp})}, caller.Authenticated, id, ""},
		"user token by user_id, iss unknown": {Presented{Bearer: b.sign(t, jwt.MapClaims{"user_id": id, "iss": "elsewhere", "exp": exp})}, caller.Authenticated, id, ""},
	} {
		// Twice: the second time the cache answers.
		for range 2 {
			got, err := b.Verify(context.Background(), c.shown)
			if fault.CodeOf(err) != c.code || got.Role != c.role || got.UserID != c.user {
				t.Errorf("%s: role %q, user %q, %v; want %q, %q, %q", name, got.Role, got.UserID, err, c.role, c.user, c.code)
			}
		}
	}
}

func TestClaimsThatPoliciesSee(t *testing.T) {
	b := setup(t)
	text := b.sign(t, jwt.MapClaims{"user_id": "u", "exp": b.now.Add(time.Hour).Unix(), "team": []string{"red"}})
	c, err := b.Verify(context.Background(), Presented{Bearer: text})
	if err != nil {
		t.Fatal(err)
	}
	var claims map[string]any
	if err := json.Unmarshal(c.Claims, &claims); err != nil {
		t.Fatal(err)
	}
	if claims["sub"] != "u" || claims["role"] != "authenticated" || fmt.Sprint(claims["team"]) != "[red]" {
		t.Errorf("claims = %s", c.Claims)
	}
	c, err = b.Verify(context.Background(), Presented{APIKey: "sk_tenant_x"})
	if err != nil || c.BoundTenant != "t1" || !c.Allows("tables:read") || c.Allows("tables:write") || string(c.Claims) != `{"role":"tenant_service"}` {
		t.Errorf("tenant key = %+v, %v", c, err)
	}
}

func TestTokenEndsAndIsRevokedInTheCache(t *testing.T) {
	b := setup(t)
	text, _ := b.user(t, "s1")
	show := Presented{Bearer: text}
	if _, err := b.Verify(context.Background(), show); err != nil {
		t.Fatal(err)
	}
	b.denied["s1"] = true
	if _, err := b.Verify(context.Background(), show); fault.CodeOf(err) != fault.RevokedToken {
		t.Errorf("after revocation: %v", err)
	}
	delete(b.denied, "s1")
	b.now = b.now.Add(15 * time.Minute)
	if _, err := b.Verify(context.Background(), show); fault.CodeOf(err) != fault.ExpiredToken {
		t.Errorf("at its end: %v", err)
	}
}

func TestUnknownKeysReadTheKeysAtMostOnceASecond(t *testing.T) {
	b := setup(t)
	before := b.loads
	for i := range 100 {
		if _, err := b.Verify(context.Background(), Presented{APIKey: fmt.Sprint("fb_gsk_", i)}); fault.CodeOf(err) != fault.InvalidToken {
			t.Fatal(err)
		}
	}
	if b.loads-before > 1 {
		t.Errorf("%d loads for 100 unknown keys", b.loads-before)
	}
	b.keys = append(b.keys, key.Key{ID: "new", Type: key.Service, Digest: key.DigestOf(pepper, "fb_gsk_new")})
	if err := b.Verifier.keys.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if c, err := b.Verify(context.Background(), Presented{APIKey: "fb_gsk_new"}); err != nil || c.KeyID != "new" {
		t.Errorf("a new key: %+v, %v", c, err)
	}
	b.keys[len(b.keys)-1].ExpiresAt = time.Now().Add(-time.Second)
	if err := b.Verifier.keys.Reload(context.Background()); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Verify(context.Background(), Presented{APIKey: "fb_gsk_new"}); fault.CodeOf(err) != fault.InvalidToken {
		t.Errorf("an ended key: %v", err)
	}
}

func TestKeysThatCannotBeReadAreNotWrongKeys(t *testing.T) {
	b := setup(t)
	b.Verifier.keys.load = func(context.Context) ([]key.Key, error) { return nil, errors.New("no database") }
	<-b.Verifier.keys.loading
	b.Verifier.keys.loading <- time.Time{}
	if _, err := b.Verify(context.Background(), Presented{APIKey: "fb_gsk_later"}); fault.CodeOf(err) != fault.ServiceUnavailable {
		t.Errorf("unknown key without database: %v, want SERVICE_UNAVAILABLE", err)
	}
	if _, err := b.Verify(context.Background(), Presented{APIKey: anonKey}); err != nil {
		t.Errorf("known key without database: %v", err)
	}
}

func TestCacheIsBounded(t *testing.T) {
	var c cache
	for i := range 10 * shards * perShard {
		var f fingerprint
		f[0], f[1], f[2], f[3] = byte(i), byte(i>>8), byte(i>>16), byte(i>>24)
		c.put(f, caller.Caller{})
	}
	n := 0
	for i := range c {
		n += len(c[i].young) + len(c[i].old)
	}
	if n > 2*shards*perShard {
		t.Errorf("%d entries, want at most %d", n, 2*shards*perShard)
	}
	// What is used all the time stays.
	hot := fingerprint{1}
	c.put(hot, caller.Caller{UserID: "hot"})
	for i := range 5 * perShard {
		c.put(fingerprint{1, 1, byte(i), byte(i >> 8)}, caller.Caller{})
		if got, ok := c.get(hot); !ok || got.UserID != "hot" {
			t.Fatalf("the hot entry is gone after %d others", i)
		}
	}
}

func BenchmarkVerifyHotToken(b *testing.B) {
	s := setup(b)
	text, _ := s.user(b, "s1")
	show := Presented{Bearer: text, APIKey: anonKey}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Verify(context.Background(), show); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyColdToken(b *testing.B) {
	s := setup(b)
	text, _ := s.user(b, "s1")
	b.ReportAllocs()
	for b.Loop() {
		s.Verifier.cache = cache{}
		if _, err := s.Verify(context.Background(), Presented{Bearer: text}); err != nil {
			b.Fatal(err)
		}
	}
}
