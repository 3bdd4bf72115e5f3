package openapi

import (
	"strings"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/transport/openapi/exposed"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// Dialect describes how relations and functions are served in one dialect. Its
// routes are for the document alone: they have concrete paths, that other routes
// answer.
type Dialect struct {
	Relation func(exposed.Relation) []route.Route
	// Routine gets the functions of one name; nil for a dialect without functions.
	Routine func(exposed.Function) []route.Route
}

// API is the document of everything that a server serves.
type API struct {
	dialects []Dialect
	routes   []route.Route
	kept     *cache
}

// New makes the document's routes. Describe must be called before the first request.
func New(dialects ...Dialect) *API { return &API{dialects: dialects, kept: newCache()} }

// Describe says what is served.
func (a *API) Describe(routes []route.Route) { a.routes = routes }

// Routes are the routes of this package.
func (a *API) Routes() []route.Route {
	r := route.Route{Method: "GET", Access: route.Optional, Handle: a.serve, Doc: route.Doc{
		Tag: "Operation", Summary: "Describe the API",
		Description: "An OpenAPI 3.0 document of what the caller may use. It changes with the database's schema.",
		Parameters:  []route.Parameter{{Name: "If-None-Match", In: route.InHeader, Description: "The ETag of a document that is known"}},
		Answers: route.Answers{
			200: route.Answer{Payload: schema.Open(), Headers: []route.Parameter{{Name: "ETag", Description: "Another one when the document is another one"}}},
			304: nil,
		},
	}}
	root := r
	r.Path, root.Path = "/api/v1/openapi.json", "/openapi.json"
	return []route.Route{r, root}
}

// serve answers with the caller's document.
func (a *API) serve(r *route.Request) error {
	d, err := a.For(r.Caller(), r.Tenant().Catalog.Current())
	if err != nil {
		return err
	}
	r.SetHeader("ETag", d.ETag)
	r.SetHeader("Cache-Control", "private, no-cache")
	r.AddHeader("Vary", "Authorization, apikey, X-Service-Key, X-Client-Key, X-FB-Tenant")
	if known(r.Header("If-None-Match"), d.ETag) {
		return r.NotModified()
	}
	return r.RawJSON(200, d.JSON)
}

// known compares entity tags weakly (RFC 9110 §13.1.2).
func known(header, etag string) bool {
	for tag := range strings.SplitSeq(header, ",") {
		if tag = strings.TrimSpace(tag); tag == "*" || strings.TrimPrefix(tag, "W/") == strings.TrimPrefix(etag, "W/") {
			return true
		}
	}
	return false
}

// For is the document of a caller. It is kept, and shared by all who may use the
// same.
func (a *API) For(c caller.Caller, s *catalog.Snapshot) (*Document, error) {
	everything := c.HasRole(caller.Admin, caller.InstanceAdmin, caller.Service)
	admitted := make([]byte, 0, len(a.routes))
	for i := range a.routes {
		if everything || admits(&a.routes[i], c) {
			admitted = append(admitted, '1')
		} else {
			admitted = append(admitted, '0')
		}
	}
	key := key{snapshot: s, role: c.DatabaseRole(), everything: everything, scopes: strings.Join(c.Scopes, " "), admitted: string(admitted)}
	return a.kept.get(key, func() ([]byte, error) {
		return a.build(s, c, everything, key.admitted)
	})
}

// admits tells whether a route is for the caller. A route that only wants a
// credential is for everybody: the document tells what to show.
func admits(r *route.Route, c caller.Caller) bool {
	if len(r.Access.Required()) > 0 && r.Access.Admit(c, true) != nil {
		return false
	}
	return route.CheckScope(c, r.Scope) == nil
}
