// Package vector serves what goes beyond ordering a table by a distance: the search for
// the nearest rows, the embedding of texts, and what of it a database can do.
package vector

import (
	"fluxbase/actors/data"
	"fluxbase/actors/embedding"
	"fluxbase/transport/route"
)

// Options say what is configured.
type Options struct {
	// Provider is the name of the default embedding provider, empty for none; Model is
	// what it is asked for.
	Provider, Model string
}

// Routes are the routes of this package.
func Routes(o Options) []route.Route {
	h := handler{o}
	return []route.Route{
		{Method: "GET", Path: "/api/v1/capabilities/vector", Access: route.Optional, Doc: capabilitiesDoc, Handle: h.capabilities},
		{Method: "POST", Path: "/api/v1/vector/search", Access: route.Authenticated, Scope: "tables:read", Message: data.Search{},
			BodyLimit: route.LimitREST, Doc: searchDoc, Handle: search},
		{Method: "POST", Path: "/api/v1/vector/embed", Access: route.Authenticated, Message: embedding.Embed{},
			BodyLimit: route.LimitAI, Doc: embedDoc, Handle: embed},
	}
}

type handler struct{ options Options }
