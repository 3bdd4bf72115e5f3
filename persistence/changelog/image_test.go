package changelog_test

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"testing"

	"fluxbase/persistence/changelog"
)

func TestProject(t *testing.T) {
	keep := func(column string) bool { return column == "a" || column == `q"\` }
	for image, want := range map[string]string{
		`{}`:                               `{}`,
		`{"b":1}`:                          `{}`,
		`{"a":1,"b":2}`:                    `{"a":1}`,
		`{"b":{"a":[1,{"a":"}"}]},"a":[]}`: `{"a":[]}`,
		`{"b":"x,\"a\":1","a":"y\\"}`:      `{"a":"y\\"}`,
		`{"q\"\\":1.50,"b":null}`:          `{"q\"\\":1.50}`,
		`{"a" : 1, "b" : 2}`:               `{"a" : 1}`,
		`{"a":{"k" : "\u0000"},"b":1}`:     `{"a":{"k" : "\u0000"}}`,
		"{\"b\":[1,\n2],\n\"a\":\n 3 }":    "{\"a\":\n 3}",
	} {
		got, err := changelog.Project(json.RawMessage(image), keep)
		if err != nil || string(got) != want {
			t.Errorf("%s: got %s, %v, want %s", image, got, err, want)
		}
	}
	for _, image := range []string{``, `[]`, `{`, `1`, `{a:1}`} {
		if got, err := changelog.Project(json.RawMessage(image), keep); err == nil {
			t.Errorf("%q: got %s", image, got)
		}
	}
}

func FuzzProject(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":{"c":[true,"}"]}}`), byte(1))
	f.Add([]byte(`{"a" : "\"", "" : null}`), byte(2))
	f.Fuzz(func(t *testing.T, image []byte, pick byte) {
		var members map[string]json.RawMessage
		// PostgreSQL prints valid JSON with each column once.
		if json.Unmarshal(image, &members) != nil || members == nil || bytes.Count(image, []byte(`"`)) > 40 {
			return
		}
		names := slices.Sorted(maps.Keys(members))
		keep := func(column string) bool {
			i := slices.Index(names, column)
			return i >= 0 && pick>>(i%8)&1 == 1
		}
		projected, err := changelog.Project(image, keep)
		if err != nil {
			t.Fatalf("%s: %v", image, err)
		}
		var got map[string]json.RawMessage
		if err := json.Unmarshal(projected, &got); err != nil {
			t.Fatalf("%s became %s: %v", image, projected, err)
		}
		for name, value := range members {
			if keep(name) != (got[name] != nil) || keep(name) && !bytes.Equal(bytes.TrimSpace(got[name]), bytes.TrimSpace(value)) {
				t.Fatalf("%s became %s", image, projected)
			}
		}
	})
}
