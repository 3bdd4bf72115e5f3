package sql

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func TestReadRecord(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`(a,b)`: "[a b]", `(,"")`: "[<nil> ]", `("a ""b""","c\\d",)`: `[a "b" c\d <nil>]`, `()`: "[<nil>]", "(\"1\n2\",3)": "[1\n2 3]",
		`a`: "", `(`: "", `("a)`: "", `("a"b)`: "",
	} {
		fields, err := readRecord([]byte(text), nil)
		got := ""
		if err == nil {
			shown := make([]any, len(fields))
			for i, f := range fields {
				if f != nil {
					shown[i] = string(f)
				}
			}
			got = fmt.Sprint(shown)
		}
		if got != want {
			t.Errorf("%s: got %s, want %s (%v)", text, got, want, err)
		}
	}
}

func FuzzReadRecord(f *testing.F) {
	f.Add([]byte(`(a,"b ""c""",)`))
	f.Add([]byte(`("\\"`))
	f.Fuzz(func(t *testing.T, text []byte) {
		fields, err := readRecord(text, nil)
		if err != nil {
			return
		}
		if len(fields) == 0 {
			t.Fatalf("a record without fields: %q", text)
		}
		written := append(appendRecord([]byte("("), fields), ')')
		again, err := readRecord(written, nil)
		if err != nil || !slices.EqualFunc(fields, again, func(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }) {
			t.Fatalf("%q is written as %s, which is read as %q, %v", fields, written, again, err)
		}
	})
}
