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
	d, f := anyRelation, anyFunction
	return []route.Route{
		table("GET", "/{table}", scopeRead, data.List{}, read, d.read()),
		table("POST", "/{table}", scopeWrite, data.Create{}, create, d.create()),
		table("PATCH", "/{table}", scopeWrite, data.Update{}, update, d.update()),
		table("PUT", "/{table}", scopeWrite, data.Create{}, put, d.put()),
		table("DELETE", "/{table}", scopeWrite, data.Delete{}, remove, d.remove()),
		table("OPTIONS", "/{table}", scopeRead, nil, tableOptions, hidden),
		function("OPTIONS", "/{function}", functionOptions, hidden),
		function("GET", "/{function}", call, f.get()), function("POST", "/{function}", call, f.post()),
		function("PATCH", "/{function}", misused, hidden), function("PUT", "/{function}", misused, hidden), function("DELETE", "/{function}", misused, hidden),
	}
}

func function(method, path string, handle func(*route.Request) error, doc route.Doc) route.Route {
	return route.Route{Method: method, Path: base + "/rpc" + path, Access: route.Authenticated, Scope: scopeCall,
		Message: data.Call{}, BodyLimit: route.LimitRPC, Failure: writeFailure, Doc: doc, Handle: handle}
}

func table(method, path, scope string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
	return route.Route{Method: method, Path: base + path, Access: route.Authenticated, Scope: scope,
		Message: message, BodyLimit: route.LimitBulk, Failure: writeFailure, Doc: doc, Handle: handle}
}
