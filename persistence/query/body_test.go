package query

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
)

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

// FuzzReadBody compares the outline with what encoding/json reads.
func FuzzReadBody(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[{"a":[{"b":"]"}]},{"c":null}]`, `[{},{"\u0041":"\\\""}]`, `[ ]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := ReadBody([]byte(text))
		if err != nil {
			return
		}
		var rows []map[string]json.RawMessage
		if b.Array {
			err = json.Unmarshal(b.JSON, &rows)
		} else {
			rows = make([]map[string]json.RawMessage, 1)
			err = json.Unmarshal(b.JSON, &rows[0])
		}
		if err != nil {
			t.Fatalf("outline of what is no rows: %v", err)
		}
		keys := map[string]bool{}
		for _, r := range rows {
			for k := range r {
				keys[k] = true
			}
		}
		uniform := true
		for _, r := range rows {
			uniform = uniform && len(r) == len(keys)
		}
		got := slices.Clone(b.Keys)
		slices.Sort(got)
		want := []string{}
		for k := range keys {
			want = append(want, k)
		}
		slices.Sort(want)
		if len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) || b.Rows != len(rows) || b.Uniform != uniform {
			t.Fatalf("outline %+v of %s", b, text)
		}
	})
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
