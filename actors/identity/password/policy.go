package password

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"fluxbase/persistence/fault"
)

// MaxBytes is the longest password, in bytes: what bcrypt could tell apart, so
// that accounts moved here and accounts made here obey one rule.
const MaxBytes = 72

// DefaultMinLength is the shortest password where the configuration says nothing.
const DefaultMinLength = 12

// Policy is the one rule for passwords: at sign-up, at reset and at change.
// The zero value asks for DefaultMinLength characters and nothing else.
type Policy struct {
	MinLength        int
	RequireUppercase bool
	RequireLowercase bool
	RequireNumber    bool
	RequireSpecial   bool
}

// Length is the least number of characters that the policy asks for.
func (p Policy) Length() int {
	if p.MinLength <= 0 {
		return DefaultMinLength
	}
	return p.MinLength
}

// Check gives nil, or a WEAK_PASSWORD fault whose details name every reason
// (length, too_long, uppercase, lowercase, number, special, characters).
func (p Policy) Check(password string) error {
	var reasons, wants []string
	miss := func(reason, want string) { reasons, wants = append(reasons, reason), append(wants, want) }

	if utf8.RuneCountInString(password) < p.Length() {
		miss("length", fmt.Sprintf("at least %d characters", p.Length()))
	}
	if len(password) > MaxBytes {
		miss("too_long", fmt.Sprintf("at most %d bytes", MaxBytes))
	}
	if !utf8.ValidString(password) || strings.ContainsRune(password, 0) {
		miss("characters", "only valid characters")
	}
	var upper, lower, number, special bool
	for _, r := range password {
		switch {
		case unicode.IsUpper(r):
			upper = true
		case unicode.IsLower(r):
			lower = true
		case unicode.IsNumber(r):
			number = true
		case !unicode.IsLetter(r):
			special = true
		}
	}
	if p.RequireUppercase && !upper {
		miss("uppercase", "an upper-case letter")
	}
	if p.RequireLowercase && !lower {
		miss("lowercase", "a lower-case letter")
	}
	if p.RequireNumber && !number {
		miss("number", "a digit")
	}
	if p.RequireSpecial && !special {
		miss("special", "a special character")
	}
	if reasons == nil {
		return nil
	}
	message := "Password is too weak: it needs " + strings.Join(wants, ", ")
	weak := map[string]any{"reasons": reasons, "message": message}
	return fault.New(fault.WeakPassword, message).
		WithDetails(map[string]any{"reasons": reasons}).
		WithField("weak_password", weak)
}
