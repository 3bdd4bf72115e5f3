// Package rest serves the tables, views and functions of a tenant in PostgREST's dialect, for
// the clients of that: under /rest/v1, with its parameters, preferences, media
// types, statuses and error bodies.
//
// It parses into the same tree as the native dialect and sends the same messages;
// what differs is what PostgREST's clients rely on: a write answers nothing unless
// it is asked to, a total is a status as well, an error has exactly the members
// code, message, details and hint.
package rest

import (
	"fluxbase/actors/data"
	"fluxbase/transport/route"
)

const base = "/rest/v1"

// The scopes that keys need.
const (
	scopeRead  = "tables:read"
	scopeWrite = "tables:write"
	scopeCall  = "rpc:execute"
)

// Routes are the routes of the dialect.
func Routes() []route.Route {
	return []route.Route{
		table("GET", scopeRead, data.List{}, read),
		table("POST", scopeWrite, data.Create{}, create),
		table("PATCH", scopeWrite, data.Update{}, update),
		table("PUT", scopeWrite, data.Create{}, put),
		table("DELETE", scopeWrite, data.Delete{}, remove),
		function("GET", call), function("POST", call),
		function("PATCH", misused), function("PUT", misused), function("DELETE", misused),
	}
}

func function(method string, handle func(*route.Request) error) route.Route {
	return route.Route{Method: method, Path: base + "/rpc/{function}", Access: route.Authenticated, Scope: scopeCall,
		Message: data.Call{}, BodyLimit: route.LimitRPC, Failure: writeFailure, Handle: handle}
}

func table(method, scope string, message any, handle func(*route.Request) error) route.Route {
	return route.Route{Method: method, Path: base + "/{table}", Access: route.Authenticated, Scope: scope,
		Message: message, BodyLimit: route.LimitBulk, Failure: writeFailure, Handle: handle}
}
