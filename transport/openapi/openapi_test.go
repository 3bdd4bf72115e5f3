package openapi

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

func handle(*route.Request) error { return nil }

// operationOf is a route's operation as JSON.
func operationOf(t *testing.T, r route.Route) (*document, string) {
	t.Helper()
	b := newBuilder()
	b.add(r)
	path, _ := template(r.Path)
	text, err := json.Marshal(b.doc.Paths[path][strings.ToLower(r.Method)])
	if err != nil {
		t.Fatal(err)
	}
	return &b.doc, string(text)
}

// What a route says by its other members is in the document without being said twice.
func TestOperationOfARoute(t *testing.T) {
	r := route.Route{
		Method: "PATCH", Path: "/api/v1/things/{thing}/{rest:*}", Access: route.Roles(caller.Admin), Scope: "things:write", Message: 1, Handle: handle,
		Doc: route.Doc{
			Tag: "Things", Summary: "Change a thing",
			Parameters: []route.Parameter{
				{Name: "n", In: route.InQuery, Schema: 0}, {Name: "n", In: route.InQuery, Description: "a column of the same name"},
				{Name: "thing", In: route.InPath, Schema: schema.Formatted("uuid")},
			},
			Body: struct {
				A int `json:"a"`
			}{},
			Answers: route.Answers{200: route.Content{"text/plain": ""}, 2: nil},
			Faults:  []fault.Code{fault.AlreadyExists},
		},
	}
	doc, got := operationOf(t, r)
	want := `{"operationId":"patchThingsByThingByRest","tags":["Things"],"summary":"Change a thing",` +
		`"parameters":[{"$ref":"#/components/parameters/thing"},{"$ref":"#/components/parameters/rest"},{"$ref":"#/components/parameters/n"},{"$ref":"#/components/parameters/X-FB-Tenant"}],` +
		`"requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}}},` +
		`"responses":{"200":{"$ref":"#/components/responses/Answer200"},"2XX":{"$ref":"#/components/responses/Answer2XX"},"400":{"$ref":"#/components/responses/Error400"},"401":{"$ref":"#/components/responses/Error401"},` +
		`"403":{"$ref":"#/components/responses/Error403"},"404":{"$ref":"#/components/responses/Error404"},"409":{"$ref":"#/components/responses/Error409"},"413":{"$ref":"#/components/responses/Error413"},` +
		`"429":{"$ref":"#/components/responses/Error429"},"500":{"$ref":"#/components/responses/Error500"},"503":{"$ref":"#/components/responses/Error503"},"504":{"$ref":"#/components/responses/Error504"},` +
		`"default":{"$ref":"#/components/responses/Error"}},"security":[{"bearerAuth":[]},{"apiKey":[]},{"serviceKey":[]}]}`
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
	if p := doc.Components.Parameters["thing"]; p.Schema.Format != "uuid" || !p.Required || p.In != "path" {
		t.Errorf("%+v", p)
	}
	if d := doc.Components.Responses["Error409"].Description; d != "ALREADY_EXISTS" {
		t.Errorf("409 is %q", d)
	}
	r.Doc.Hidden = true
	if doc, _ := operationOf(t, r); len(doc.Paths["/api/v1/things/{thing}/{rest}"]) != 0 {
		t.Error("a hidden route is shown")
	}
}

// Who may call a route is said by the ways in.
func TestSecurity(t *testing.T) {
	for access, want := range map[string]string{"public": "[]", "optional": `[{},`, "authenticated": `[{"bearerAuth":[]},{"apiKey"`, "user": `[{"bearerAuth":[]}]`} {
		all := map[string]route.Access{"public": route.Public, "optional": route.Optional, "authenticated": route.Authenticated, "user": route.User}
		text, err := json.Marshal(security(all[access]))
		if err != nil || !strings.HasPrefix(string(text), want) {
			t.Errorf("%s: %s, want %s", access, text, want)
		}
	}
}

// Operations of one name are told apart.
func TestIDsAreUnique(t *testing.T) {
	b := newBuilder()
	for _, path := range []string{"/a/b", "/a-b", "/A/b"} {
		b.add(route.Route{Method: "GET", Path: path, Access: route.Public, Handle: handle})
	}
	seen := map[string]bool{}
	for _, methods := range b.doc.Paths {
		seen[methods["get"].ID] = true
	}
	if len(seen) != 3 || !seen["getAB"] {
		t.Errorf("ids: %v", seen)
	}
}

func TestEntityTags(t *testing.T) {
	for header, want := range map[string]bool{`W/"a"`: true, `"a"`: true, `"b", W/"a"`: true, "*": true, "": false, `"b"`: false, `W/"ab"`: false} {
		if known(header, `W/"a"`) != want {
			t.Errorf("If-None-Match: %s: got %t", header, !want)
		}
	}
}

// The cache keeps the documents that were used last, makes each once, and does not
// mistake a failure for one.
func TestCache(t *testing.T) {
	c := newCache()
	made := 0
	get := func(scopes string) string {
		d, err := c.get(key{scopes: scopes}, func() ([]byte, error) { made++; return []byte(scopes), nil })
		if err != nil {
			t.Fatal(err)
		}
		return string(d.JSON)
	}
	for range 2 {
		for i := range keptDocuments {
			if scopes := strings.Repeat("x", i+1); get(scopes) != scopes {
				t.Fatalf("another document than of %s", scopes)
			}
		}
	}
	if made != keptDocuments {
		t.Errorf("%d documents were made for %d", made, keptDocuments)
	}
	get("x")   // the oldest is used again
	get("new") // and the next one goes
	get("x")
	if made != keptDocuments+1 || len(c.kept) != keptDocuments || len(c.order) != keptDocuments {
		t.Errorf("made %d, kept %d of %d", made, len(c.kept), keptDocuments)
	}
	if get("xx"); made != keptDocuments+2 {
		t.Error("a document that was let go of is still there")
	}
	if _, err := c.get(key{scopes: "bad"}, func() ([]byte, error) { return nil, errors.New("no") }); err == nil {
		t.Error("a failure is a document")
	}
}

// Large documents make room for each other, and the last one is kept.
func TestCacheIsBoundedByBytes(t *testing.T) {
	c := newCache()
	for _, scopes := range []string{"a", "b", "c", "d"} {
		if _, err := c.get(key{scopes: scopes}, func() ([]byte, error) { return make([]byte, keptBytes/2), nil }); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.kept) != 2 || c.kept[key{scopes: "d"}] == nil || c.bytes != keptBytes {
		t.Errorf("kept %d with %d bytes", len(c.kept), c.bytes)
	}
	if _, err := c.get(key{scopes: "huge"}, func() ([]byte, error) { return make([]byte, keptBytes+1), nil }); err != nil {
		t.Fatal(err)
	}
	if len(c.kept) != 1 || len(c.order) != 1 || c.bytes != keptBytes+1 {
		t.Errorf("kept %d with %d bytes", len(c.kept), c.bytes)
	}
}
