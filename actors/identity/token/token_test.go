package token

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"

	"fluxbase/persistence/fault"
)

var secret = bytes.Repeat([]byte("k"), 32)

func authority(t testing.TB, now *time.Time) *Authority {
	t.Helper()
	o := Options{Secret: secret}
	if now != nil {
		o.Now = func() time.Time { return *now }
	}
	a, err := NewAuthority(o)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestShortSecretIsRefused(t *testing.T) {
	if _, err := NewAuthority(Options{Secret: secret[:31]}); err == nil {
		t.Fatal("a secret of 31 bytes was accepted")
	}
}

func TestAccessToken(t *testing.T) {
	now := time.Now()
	a := authority(t, &now)
	text, expiresIn, err := a.Access(User{
		ID: uuid.NewString(), Email: "a@b.cd", Role: "authenticated", SessionID: "s", TenantID: "t",
		UserMetadata: json.RawMessage(`{"theme":"dark"}`),
	})
	if err != nil || expiresIn != 900 {
		t.Fatalf("Access = %d, %v; want 900 seconds", expiresIn, err)
	}
	c, err := a.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.Type != TypeAccess || c.Role != "authenticated" || c.SessionID != "s" || c.TenantID != "t" || c.Email != "a@b.cd" {
		t.Errorf("claims = %+v", c)
	}
	for name, want := range map[string]string{
		"aud": `["fluxbase"]`, "iss": `"fluxbase"`, "user_metadata": `{"theme":"dark"}`, "app_metadata": `{}`, "token_type": `"access"`,
	} {
		if got := string(c.All[name]); got != want {
			t.Errorf("claim %s = %s, want %s", name, got, want)
		}
	}
	if string(c.All["sub"]) != string(c.All["user_id"]) {
		t.Errorf("sub %s and user_id %s differ", c.All["sub"], c.All["user_id"])
	}
	if _, err := a.ParseRefresh(text); fault.CodeOf(err) != fault.InvalidToken {
		t.Errorf("an access token passes as a refresh token: %v", err)
	}

	now = now.Add(15 * time.Minute)
	if _, err := a.Parse(text); fault.CodeOf(err) != fault.ExpiredToken {
		t.Errorf("at exp: %v, want EXPIRED_TOKEN", err)
	}
	now = now.Add(-20 * time.Minute)
	if _, err := a.Parse(text); fault.CodeOf(err) != fault.InvalidToken {
		t.Errorf("five minutes before iat: %v, want INVALID_TOKEN", err)
	}
}

func TestRefreshTokenIsAFunctionOfTheSession(t *testing.T) {
	a := authority(t, nil)
	s := Session{ID: uuid.NewString(), UserID: uuid.NewString(), Generation: 3, RotatedAt: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}
	one, err := a.Refresh(s)
	if err != nil {
		t.Fatal(err)
	}
	if two, _ := a.Refresh(s); two != one {
		t.Error("the same generation gave two tokens")
	}
	s.Generation++
	if three, _ := a.Refresh(s); three == one {
		t.Error("two generations gave one token")
	}
	c, err := a.ParseRefresh(one)
	if err != nil || c.Generation != 3 || c.SessionID != s.ID || c.Role != "" {
		t.Errorf("ParseRefresh = %+v, %v", c, err)
	}
}

func TestForgeriesAreRefused(t *testing.T) {
	a := authority(t, nil)
	good, _, err := a.Access(User{ID: uuid.NewString(), Role: "authenticated"})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(good, ".")
	b64 := base64.RawURLEncoding.EncodeToString
	claims := jwt.MapClaims{"sub": uuid.NewString(), "role": "service_role", "exp": time.Now().Add(time.Hour).Unix()}
	sign := func(m jwt.SigningMethod, key any, c jwt.Claims) string {
		s, err := jwt.NewWithClaims(m, c).SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for name, text := range map[string]string{
		"empty":                "",
		"dots":                 "..",
		"no signature":         parts[0] + "." + parts[1] + ".",
		"alg none":             sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims),
		"alg HS512":            sign(jwt.SigningMethodHS512, secret, claims),
		"other secret":         sign(jwt.SigningMethodHS256, bytes.Repeat([]byte("x"), 32), claims),
		"changed payload":      parts[0] + "." + b64([]byte(`{"role":"service_role"}`)) + "." + parts[2],
		"changed header":       b64([]byte(`{"alg":"none"}`)) + "." + parts[1] + "." + parts[2],
		"array payload":        sign(jwt.SigningMethodHS256, secret, raw(`[]`)),
		"null payload":         sign(jwt.SigningMethodHS256, secret, raw(`null`)),
		"numeric role":         sign(jwt.SigningMethodHS256, secret, raw(`{"role":1}`)),
		"two subjects":         sign(jwt.SigningMethodHS256, secret, raw(`{"sub":"a","user_id":"b"}`)),
		"exp as text":          sign(jwt.SigningMethodHS256, secret, raw(`{"exp":"soon"}`)),
		"far in the future":    sign(jwt.SigningMethodHS256, secret, jwt.MapClaims{"nbf": time.Now().Add(time.Minute).Unix()}),
		"longer than a header": good + strings.Repeat("A", MaxBytes),
	} {
		if c, err := a.Parse(text); fault.CodeOf(err) != fault.InvalidToken {
			t.Errorf("%s: Parse = %+v, %v; want INVALID_TOKEN", name, c, err)
		}
	}
}

// raw is a payload as it stands.
type raw string

func (r raw) MarshalJSON() ([]byte, error)                 { return []byte(r), nil }
func (r raw) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (r raw) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (r raw) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (r raw) GetIssuer() (string, error)                   { return "", nil }
func (r raw) GetSubject() (string, error)                  { return "", nil }
func (r raw) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// FuzzParse holds that nothing but our signature opens the door, and that no
// input makes the parser panic.
func FuzzParse(f *testing.F) {
	a := authority(f, nil)
	good, _, err := a.Access(User{ID: uuid.NewString(), Role: "authenticated"})
	if err != nil {
		f.Fatal(err)
	}
	parts := strings.Split(good, ".")
	for _, s := range []string{good, "", "a.b.c", parts[0] + ".e30." + parts[2], "eyJhbGciOiJub25lIn0.e30."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := a.Parse(text)
		if err != nil {
			if code := fault.CodeOf(err); code != fault.InvalidToken && code != fault.ExpiredToken {
				t.Fatalf("Parse(%q) failed with %s", text, code)
			}
			return
		}
		dot := strings.LastIndexByte(text, '.')
		h := hmac.New(sha256.New, secret)
		h.Write([]byte(text[:dot]))
		if text[dot+1:] != base64.RawURLEncoding.EncodeToString(h.Sum(nil)) {
			t.Fatalf("Parse(%q) accepted %+v", text, c)
		}
	})
}
