package schema

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
)

func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

type pet struct {
	Name   string     `json:"name" doc:"What it is called"`
	Owner  *string    `json:"owner" format:"uuid"`
	Born   *time.Time `json:"born,omitempty"`
	Kind   string     `json:"kind" enum:"cat,dog"`
	Traits []string   `json:"traits" enum:"shy,loud"`
	Parent *pet       `json:"parent,omitempty"`
	hidden int
	Skip   string `json:"-"`
}

type shelter struct {
	pet
	Pets  []pet          `json:"pets"`
	Extra map[string]any `json:"extra,omitempty"`
	Free  *pet           `json:"free"`
}

// A Go type is described as encoding/json writes it; what is left out when it is
// empty is not required, and what may be null says so.
func TestSchemaOfGoValues(t *testing.T) {
	c := NewComponents()
	if got := text(t, c.Of([]shelter{})); got != `{"type":"array","items":{"$ref":"#/components/schemas/SchemaShelter"}}` {
		t.Errorf("%s", got)
	}
	want := map[string]string{
		"SchemaPet": `{"type":"object","properties":{"name":{"type":"string","description":"What it is called"},` +
			`"owner":{"type":"string","format":"uuid","nullable":true},"born":{"type":"string","format":"date-time"},` +
			`"kind":{"type":"string","enum":["cat","dog"]},"traits":{"type":"array","items":{"type":"string","enum":["shy","loud"]}},` +
			`"parent":{"$ref":"#/components/schemas/SchemaPet"}},"required":["name","owner","kind","traits"]}`,
		"SchemaShelter": `{"type":"object","properties":{"name":{"type":"string","description":"What it is called"},` +
			`"owner":{"type":"string","format":"uuid","nullable":true},"born":{"type":"string","format":"date-time"},` +
			`"kind":{"type":"string","enum":["cat","dog"]},"traits":{"type":"array","items":{"type":"string","enum":["shy","loud"]}},` +
			`"parent":{"$ref":"#/components/schemas/SchemaPet"},` +
			`"pets":{"type":"array","items":{"$ref":"#/components/schemas/SchemaPet"}},"extra":{"type":"object","additionalProperties":{"nullable":true}},` +
			`"free":{"nullable":true,"allOf":[{"$ref":"#/components/schemas/SchemaPet"}]}},"required":["name","owner","kind","traits","pets","free"]}`,
	}
	for name, form := range want {
		if got := text(t, c.Schemas()[name]); got != form {
			t.Errorf("%s\n got %s\nwant %s", name, got, form)
		}
	}
	if len(c.Schemas()) != len(want) {
		t.Errorf("components: %v", c.Schemas())
	}
	_ = pet{}.hidden
}

// Two types of one name do not share a component.
func TestSameNamesAreToldApart(t *testing.T) {
	c := NewComponents()
	first := c.Of(pet{})
	type pet struct{ Other bool }
	if second := c.Of(pet{}); text(t, first) == text(t, second) || text(t, second) != `{"$ref":"#/components/schemas/SchemaPet2"}` {
		t.Errorf("%s and %s", text(t, first), text(t, second))
	}
}

// What is written down may contain Go values, and keeps the order of its members.
func TestSchemaWrittenDown(t *testing.T) {
	c := NewComponents()
	s := Object(Required("z", Array(From(pet{}))), Optional("a", From(pet{}).OrNull()), Optional("n", Whole().Between(1, 10)))
	want := `{"type":"object","properties":{"z":{"type":"array","items":{"$ref":"#/components/schemas/SchemaPet"}},` +
		`"a":{"nullable":true,"allOf":[{"$ref":"#/components/schemas/SchemaPet"}]},"n":{"type":"integer","minimum":1,"maximum":10}},"required":["z"]}`
	if got := text(t, c.Of(s)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	// null is one of the values, as OpenAPI asks for.
	if got := text(t, Enum("a").OrNull()); got != `{"type":"string","nullable":true,"enum":["a",null]}` {
		t.Errorf("%s", got)
	}
}

// FuzzName: names of components have no characters that may not stand in one, and
// those of different texts are different.
func FuzzName(f *testing.F) {
	f.Add("public", "posts", "public", "posts.x")
	f.Add("a.b", "c", "a", "b.c")
	f.Add("a-2e", "b", "a.", "b")
	f.Add("größe", "", "gr", "")
	f.Fuzz(func(t *testing.T, a, b, c, d string) {
		first, second := Name(a, b), Name(c, d)
		if (first == second) != (a == c && b == d) {
			t.Fatalf("%q.%q and %q.%q are %s and %s", a, b, c, d, first, second)
		}
		if strings.Trim(first, ".-_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") != "" {
			t.Fatalf("%q.%q is %s", a, b, first)
		}
	})
}
