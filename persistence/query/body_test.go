package query

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"fluxbase/persistence/fault"
)

// alphabet is more keys than are looked through one by one.
var alphabet = strings.Split("abcdefghijklmnopqrstuvwxyz", "")

func TestReadBody(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text    string
		array   bool
		rows    int
		keys    string
		uniform bool
	}{
		{`{}`, false, 1, "", true},
		{`[{"` + strings.Join(alphabet, `":1,"`) + `":1},{"z":1,"a":2}]`, true, 2, strings.Join(alphabet, " "), false},
		{` { "a" : 1 , "b" : [ { "x" : "}" } , [ ] ] } `, false, 1, "a b", true},
		{`[]`, true, 0, "", true},
		{`[{}]`, true, 1, "", true},
		{`[{"a":1},{"a":2}]`, true, 2, "a", true},
		{`[{"a":1,"b":"\"{"},{"b":null,"a":{"c":[1,2]}}]`, true, 2, "a b", true},
		{`[{"a":1},{"b":2}]`, true, 2, "a b", false},
		{`[{"a":1},{}]`, true, 2, "a", false},
		{`[{"a":1,"a":2},{"b":1}]`, true, 2, "a b", false},
		{`[{"a":1},{"a":1,"a":2},{}]`, true, 3, "a", false},
		{`{"a\u0062":1,"ab":2}`, false, 1, "ab", true},
		{`{"":-1.5e3}`, false, 1, "", true},
	} {
		b, err := ReadBody([]byte(c.text))
		if err != nil {
			t.Errorf("ReadBody(%s): %v", c.text, err)
			continue
		}
		if b.Array != c.array || b.Rows != c.rows || strings.Join(b.Keys, " ") != c.keys || b.Uniform != c.uniform {
			t.Errorf("ReadBody(%s) = %+v", c.text, b)
		}
	}
	for _, c := range []struct {
		text string
		code fault.Code
	}{
		{``, fault.InvalidRequestBody}, {`null`, fault.InvalidRequestBody}, {`1`, fault.InvalidRequestBody}, {`"x"`, fault.InvalidRequestBody},
		{`{`, fault.InvalidRequestBody}, {`{"a":1}{}`, fault.InvalidRequestBody}, {`[1]`, fault.InvalidRequestBody}, {`[{},null]`, fault.InvalidRequestBody},
		{`{"a":01}`, fault.InvalidRequestBody}, {`[[{}]]`, fault.InvalidRequestBody},
		{`{"a":` + strings.Repeat("[", 64) + strings.Repeat("]", 64) + `}`, fault.JSONTooDeep},
	} {
		if _, err := ReadBody([]byte(c.text)); fault.CodeOf(err) != c.code {
			t.Errorf("ReadBody(%.20s): %v, want %s", c.text, err, c.code)
		}
	}
	if _, err := ReadBody([]byte(`{"a":` + strings.Repeat("[", 63) + strings.Repeat("]", 63) + `}`)); err != nil {
		t.Errorf("64 levels are refused: %v", err)
	}
}

// FuzzReadBody compares the outline with what encoding/json reads: what it takes is
// read alike, and of what it refuses encoding/json makes no rows either.
func FuzzReadBody(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[{"a":[{"b":"]"}]},{"c":null}]`, `[{},{"\u0041":"\\\""}]`, `[ ]`, `{"a":-0.5E+10,"b":true,"c":false}`,
		`{"a":"\ud83d\ude00","b":"é"}`, `{"a":1e}`, `{"a":.5}`, `{"a":-}`, "{\"a\":\"\n\"}", `{"a":"\x"}`, `{"a":"\u12g4"}`, `{"a" 1}`, `{"a":1,}`, `[{"a":1}{}]`, `{"a":tru}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ReadBody([]byte(text))
		rows, array, ok := decodeRows(text)
		if err != nil {
			if ok && fault.CodeOf(err) != fault.JSONTooDeep {
				t.Fatalf("%q is refused: %v", text, err)
			}
			return
		}
		if !ok || array != b.Array {
			t.Fatalf("outline of what is no rows: %q", text)
		}
		keys := map[string]int{}
		for _, r := range rows {
			for k := range r {
				keys[k]++
			}
		}
		uniform := true
		var want, common []string
		for k, n := range keys {
			want = append(want, k)
			if n == len(rows) {
				common = append(common, k)
			}
			uniform = uniform && n == len(rows)
		}
		if !sameSet(b.Keys, want) || !sameSet(b.Common, common) || b.Rows != len(rows) || b.Uniform != uniform {
			t.Fatalf("outline %+v of %s", b, text)
		}
	})
}

// decodeRows reads rows as encoding/json does.
func decodeRows(text string) (rows []map[string]json.RawMessage, array, ok bool) {
	raw := bytes.TrimSpace([]byte(text))
	if !utf8.Valid(raw) || len(raw) == 0 {
		return nil, false, false
	}
	if array = raw[0] == '['; !array {
		rows = make([]map[string]json.RawMessage, 1)
		return rows, false, json.Unmarshal(raw, &rows[0]) == nil && rows[0] != nil
	}
	if json.Unmarshal(raw, &rows) != nil {
		return nil, true, false
	}
	return rows, true, !slices.ContainsFunc(rows, func(r map[string]json.RawMessage) bool { return r == nil })
}

func sameSet(a, b []string) bool {
	a, b = slices.Clone(a), slices.Clone(b)
	slices.Sort(a)
	slices.Sort(b)
	return slices.Equal(a, b)
}

// BenchmarkReadBody reads the rows of a bulk insert.
func BenchmarkReadBody(b *testing.B) {
	row := `{"owner":"0190d3a2-7c62-7f5e-9a55-3d6d1a9d1a11","n":123456,"body":"a new row"}`
	text := []byte("[" + strings.Repeat(row+",", 99) + row + "]")
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := ReadBody(text); err != nil {
			b.Fatal(err)
		}
	}
}

func TestLabel(t *testing.T) {
	t.Parallel()
	for want, p := range map[string]Path{
		"a": {Column: "a"}, "k": {Column: "a", Steps: []Step{{Key: "k"}, {Key: "0", Index: true}}}, "b": {Column: "b", Steps: []Step{{Key: "3", Index: true}}},
	} {
		if got := p.Label(); got != want {
			t.Errorf("label of %s is %s, want %s", p, got, want)
		}
	}
}
