package rest

import (
	"errors"
	"testing"
)

// FuzzParse checks that no query string is answered with anything but one of the
// dialect's own refusals.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"select=a,b(c)&b.c=eq.1", "a=eq.1&or=(b.is.null)&limit=1", "order=a.desc&not.and=(a.in.(1,2))", "columns=a,b&on_conflict=c", "a.b.c=eq.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		_, _, err := parse(raw, nil)
		var r *refusal
		if err != nil && (!errors.As(err, &r) || r.status != 400 && r.status != 416) {
			t.Fatalf("%q: %v", raw, err)
		}
	})
}

func FuzzCSV(f *testing.F) {
	f.Add([]byte("a,b\n1,NULL\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if out, err := fromCSV(raw); err == nil && (out[0] != '[' || out[len(out)-1] != ']') {
			t.Fatalf("%q gives %s", raw, out)
		}
	})
}
