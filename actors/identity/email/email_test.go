package email

import (
	"strings"
	"testing"

	"fluxbase/persistence/fault"
)

func TestNormalize(t *testing.T) {
	for in, want := range map[string]string{
		"Ada@Example.COM":                      "ada@example.com",
		"  a.b+c@d-e.co  ":                     "a.b+c@d-e.co",
		"müller@example.org":                   "müller@example.org",
		"x@y.z":                                "x@y.z",
		"plain":                                "",
		"@b.c":                                 "",
		"a@b":                                  "",
		"a@.c":                                 "",
		"a@b.":                                 "",
		"a@@b.c":                               "",
		"a b@c.de":                             "",
		"<a@b.cd>":                             "",
		`"a"@b.cd`:                             "",
		"o'brien@b.cd":                         "",
		`a\b@c.de`:                             "",
		"Ada <ada@b.cd>":                       "",
		"a@b.cd\nBcc: x@y.z":                   "",
		"a@b.cd, x@y.z":                        "",
		"\xff@b.cd":                            "",
		"a@[127.0.0.1]":                        "",
		"":                                     "",
		"a@" + strings.Repeat("b", 260) + ".c": "",
	} {
		got, err := Normalize(in)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("Normalize(%q) = %q, %v; want %q", in, got, err, want)
		}
		if err != nil && fault.CodeOf(err) != fault.InvalidInput {
			t.Errorf("Normalize(%q) code = %s", in, fault.CodeOf(err))
		}
	}
}
