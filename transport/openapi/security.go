package openapi

import "fluxbase/transport/route"

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
