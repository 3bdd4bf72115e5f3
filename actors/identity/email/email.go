// Package email says which addresses may belong to an account, and brings them
// into the one form in which they are compared and stored.
package email

import (
	"net/mail"
	"strings"
	"unicode/utf8"

	"fluxbase/persistence/fault"
)

const (
	minLength = 3
	maxLength = 254
)

// Normalize gives the stored form of an address: without surrounding space, in
// lower case. An address that cannot belong to an account is an INVALID_INPUT
// fault.
func Normalize(address string) (string, error) {
	a := Fold(address)
	if n := len(a); n < minLength || n > maxLength {
		return "", invalid()
	}
	if strings.ContainsAny(a, "<>[]\"'\\ \t\r\n") {
		return "", invalid()
	}
	parsed, err := mail.ParseAddress(a)
	if err != nil || parsed.Address != a || parsed.Name != "" {
		return "", invalid()
	}
	_, domain, _ := strings.Cut(a, "@")
	dot := strings.LastIndexByte(domain, '.')
	if dot <= 0 || dot == len(domain)-1 {
		return "", invalid()
	}
	return a, nil
}

// Fold gives the form in which addresses are compared, without judging them: a
// sign-in with an impossible address must look like one with an unknown address.
// Text that PostgreSQL cannot hold folds to "", which is nobody's address.
func Fold(address string) string {
	if !utf8.ValidString(address) || strings.ContainsRune(address, 0) {
		return ""
	}
	return strings.ToLower(strings.TrimSpace(address))
}

func invalid() error { return fault.New(fault.InvalidInput, "Email address is not valid") }
