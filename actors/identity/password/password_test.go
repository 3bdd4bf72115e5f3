package password

import (
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"fluxbase/persistence/fault"
)

var cheap = Cost{MemoryKiB: 64, Passes: 1, Lanes: 1}

func TestHashRoundTrip(t *testing.T) {
	h := hash("correct horse", cheap)
	if !strings.HasPrefix(h, "$argon2id$v=19$m=64,t=1,p=1$") {
		t.Fatalf("hash = %q", h)
	}
	if h == hash("correct horse", cheap) {
		t.Error("two hashes of one password are equal: no salt")
	}
	for _, c := range []struct {
		password  string
		cost      Cost
		ok, stale bool
	}{
		{"correct horse", cheap, true, false},
		{"correct horse", Cost{MemoryKiB: 128, Passes: 1, Lanes: 1}, true, true},
		{"Correct horse", cheap, false, false},
		{"", cheap, false, false},
	} {
		ok, stale, err := verify(c.password, h, c.cost)
		if err != nil || ok != c.ok || (ok && stale != c.stale) {
			t.Errorf("verify(%q) = %t, %t, %v; want %t, %t", c.password, ok, stale, err, c.ok, c.stale)
		}
	}
}

func TestBcryptIsAcceptedAndStale(t *testing.T) {
	b, err := bcrypt.GenerateFromPassword([]byte("old password"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if ok, stale, err := verify("old password", string(b), cheap); !ok || !stale || err != nil {
		t.Errorf("verify = %t, %t, %v; want a stale match", ok, stale, err)
	}
	if ok, _, err := verify("new password", string(b), cheap); ok || err != nil {
		t.Errorf("verify(wrong) = %t, %v", ok, err)
	}
}

func TestMalformedHashesAreErrors(t *testing.T) {
	for _, h := range []string{
		"x", "$argon2id$", "$argon2i$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=0,p=1$c2FsdHNhbHQ$AAAAAAAAAAAAAAAAAAAAAA",
		"$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$", "$2a$", "$2a$99$abc",
	} {
		if ok, _, err := verify("x", h, cheap); ok || err == nil {
			t.Errorf("verify(%q) = %t, %v; want an error", h, ok, err)
		}
	}
}

func TestPolicyNamesEveryReason(t *testing.T) {
	all := Policy{MinLength: 8, RequireUppercase: true, RequireLowercase: true, RequireNumber: true, RequireSpecial: true}
	for _, c := range []struct {
		policy   Policy
		password string
		want     []string
	}{
		{Policy{}, "twelve chars", nil},
		{Policy{}, "eleven char", []string{"length"}},
		{Policy{}, "", []string{"length"}},
		{Policy{}, "pässwörtchen", nil},
		{Policy{}, strings.Repeat("a", 73), []string{"too_long"}},
		{Policy{}, "twelve chars\x00", []string{"characters"}},
		{all, "aB3$aB3$", nil},
		{all, "abc", []string{"length", "uppercase", "number", "special"}},
		{all, "ABCDEFGH1!", []string{"lowercase"}},
	} {
		err := c.policy.Check(c.password)
		if c.want == nil {
			if err != nil {
				t.Errorf("Check(%q) = %v", c.password, err)
			}
			continue
		}
		f := fault.From(err)
		if f.Code != fault.WeakPassword {
			t.Fatalf("Check(%q) = %v, want WEAK_PASSWORD", c.password, err)
		}
		if got := f.Details.(map[string]any)["reasons"].([]string); !slices.Equal(got, c.want) {
			t.Errorf("Check(%q) reasons = %v, want %v", c.password, got, c.want)
		}
	}
}
