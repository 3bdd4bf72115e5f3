package prefer

import (
	"slices"
	"strings"
	"testing"

	"fluxbase/persistence/query"
)

func read(words []Word, headers ...string) Preferences {
	raw := make([][]byte, len(headers))
	for i, h := range headers {
		raw[i] = []byte(h)
	}
	return Read(words, raw)
}

func TestRead(t *testing.T) {
	t.Parallel()
	p := read(Native, `return=minimal, resolution=merge-duplicates; foo=bar`, `Missing="default",count=exact,return=representation,tz=x`)
	if p.Returning != ReturnMinimal || p.Conflict != query.ConflictMerge || p.Missing(query.MissingNull) != query.MissingDefaultMerge || p.Count != query.CountExact {
		t.Errorf("preferences %+v", p)
	}
	if want := "resolution=merge-duplicates, missing=default, return=minimal, count=exact"; p.Applied != want {
		t.Errorf("applied %q, want %q", p.Applied, want)
	}
	if !slices.Equal(p.Unknown, []string{"tz=x"}) {
		t.Errorf("unknown %q", p.Unknown)
	}
}

// TestWords: what one dialect understands is unknown to the other.
func TestWords(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]struct{ native, postgrest string }{
		"tx=rollback":                       {"", "tx=rollback"},
		"count=none":                        {"count=none", ""},
		"count=exact":                       {"count=exact", "count=exact"},
		"timezone=Europe/Berlin":            {"", "timezone=Europe/Berlin"},
		"timezone=Jupiter/Red_Spot":         {"", ""},
		"timezone=Local":                    {"", ""},
		"timezone=":                         {"", ""},
		"timezone=../../etc/passwd":         {"", ""},
		"max-affected=5":                    {"", ""},
		"handling=strict, max-affected=5":   {"handling=strict", "handling=strict, max-affected=5"},
		"max-affected=-1, handling=strict":  {"handling=strict", "handling=strict"},
		"max-affected=1x, handling=strict":  {"handling=strict", "handling=strict"},
		"handling=lenient, max-affected=5":  {"handling=lenient", "handling=lenient"},
		"RETURN=minimal, return=nonsense":   {"return=minimal", "return=minimal"},
		"return=nonsense, return=minimal":   {"return=minimal", "return=minimal"},
		"missing=null, missing=default,,= ": {"missing=null", "missing=null"},
	} {
		if got := read(Native, header).Applied; got != want.native {
			t.Errorf("%q in the native dialect: applied %q, want %q", header, got, want.native)
		}
		if got := read(PostgREST, header).Applied; got != want.postgrest {
			t.Errorf("%q in PostgREST's dialect: applied %q, want %q", header, got, want.postgrest)
		}
	}
}

// FuzzRead: whatever comes, nothing is both honoured and unknown, and a bound is
// only there where it is binding.
func FuzzRead(f *testing.F) {
	f.Add("return=minimal,handling=strict")
	f.Add("max-affected=-1,timezone=,;=,==")
	f.Fuzz(func(t *testing.T, header string) {
		for _, words := range [][]Word{Native, PostgREST} {
			p := read(words, header)
			if p.MaxAffected != nil && (!p.Strict || *p.MaxAffected < 0) {
				t.Fatalf("%q: %+v", header, p)
			}
			if strings.Contains(p.Applied, "handling=strict") != p.Strict {
				t.Fatalf("%q: applied %q, strict %v", header, p.Applied, p.Strict)
			}
		}
	})
}
