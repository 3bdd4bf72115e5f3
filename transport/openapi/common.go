package openapi

import (
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

// errorBody is the envelope of errors. Some codes come with members of their own.
var errorBody = func() *schema.Schema {
	s := schema.Object(
		schema.Required("error", schema.Text().Described("For people")),
		schema.Required("code", schema.Text().Described("Stable, for programs")),
		schema.Optional("message", schema.Text()),
		schema.Optional("hint", schema.Text()),
		schema.Optional("details", schema.Any()),
		schema.Optional("request_id", schema.Text()),
	)
	s.Additional = schema.Any()
	return s.Named("Error")
}()

// tenantHeader chooses a tenant for those who may enter several.
var tenantHeader = route.Parameter{Name: "X-FB-Tenant", In: route.InHeader, Description: "The tenant, by its id or slug; the credential's own or the default one if it is left out"}

// The security schemes.
const (
	bearer     = "bearerAuth"
	apiKey     = "apiKey"
	serviceKey = "serviceKey"
	clientKey  = "clientKey"
)

var credentials = map[string]credential{
	bearer:     {Type: "http", Scheme: "bearer", BearerFormat: "JWT", Description: "A user's or an operator's access token, or any key"},
	apiKey:     {Type: "apiKey", In: "header", Name: "apikey", Description: "The anon key or a service key"},
	serviceKey: {Type: "apiKey", In: "header", Name: "X-Service-Key", Description: "A service key"},
	clientKey:  {Type: "apiKey", In: "header", Name: "X-Client-Key", Description: "A client key"},
}

// security are the ways in.
func security(a route.Access) []map[string][]string {
	way := func(name string) map[string][]string { return map[string][]string{name: {}} }
	all := []map[string][]string{way(bearer), way(apiKey), way(serviceKey), way(clientKey)}
	switch {
	case !a.ReadsCredentials():
		return []map[string][]string{}
	case a.Anonymous():
		return append([]map[string][]string{{}}, all...)
	case a.String() == route.User.String():
		return all[:1]
	case len(a.Required()) > 0:
		return all[:3]
	}
	return all
}

const description = `Errors have a stable ` + "`code`" + `. Rows are JSON as PostgreSQL writes it: every digit of a number; a float or numeric that is no number is the text
NaN, Infinity or -Infinity, and an infinite date the text infinity or -infinity.

This document has what its reader may use: with other credentials it is another one.`
