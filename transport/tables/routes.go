// Package tables serves the tables and views of a tenant in the native dialect:
// it turns requests under /tables into the messages of actors/data and their
// replies into responses.
//
// A relation is addressed as {table}, in the schema public, or as
// {schema}/{table}; a row as either of the two with /{id} behind it. Two segments
// are a schema and a table if there is such a relation, else a table and an id.
// The id of a composite key is its values in the key's order, parted by commas.
package tables

import (
	"fluxbase/actors/data"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// The scopes that keys need.
const (
	scopeRead  = "tables:read"
	scopeWrite = "tables:write"
)

const base = "/api/v1/tables"

// Routes are the routes of tables.
func Routes() []route.Route {
	return []route.Route{
		read("/{table}", data.List{}, one(list)),
		read("/{table}/{id}", data.Get{}, two(list, get)),
		read("/{schema}/{table}/{id}", data.Get{}, three(get)),
		write("POST", "/{table}", data.Create{}, one(create)),
		write("POST", "/{table}/{id}", data.Create{}, two(create, nil)),
		write("PATCH", "/{table}", data.Update{}, one(update)),
		write("PATCH", "/{table}/{id}", data.UpdateOne{}, two(update, updateOne)),
		write("PATCH", "/{schema}/{table}/{id}", data.UpdateOne{}, three(updateOne)),
		write("PUT", "/{table}/{id}", data.UpdateOne{}, two(nil, updateOne)),
		write("PUT", "/{schema}/{table}/{id}", data.UpdateOne{}, three(updateOne)),
		write("DELETE", "/{table}", data.Delete{}, one(remove)),
		write("DELETE", "/{table}/{id}", data.DeleteOne{}, two(remove, removeOne)),
		write("DELETE", "/{schema}/{table}/{id}", data.DeleteOne{}, three(removeOne)),

		download("/{table}/export", one(export)),
		download("/{schema}/{table}/export", named(export)),
		action(read("/{table}/query", data.List{}, one(search)), "POST", route.LimitREST),
		action(read("/{schema}/{table}/query", data.List{}, named(search)), "POST", route.LimitREST),
		action(write("", "/{table}/bulk", data.Create{}, one(bulkCreate)), "POST", route.LimitBulk),
		action(write("", "/{schema}/{table}/bulk", data.Create{}, named(bulkCreate)), "POST", route.LimitBulk),
		action(write("", "/{table}/bulk", data.UpdateEach{}, one(bulkUpdate)), "PATCH", route.LimitBulk),
		action(write("", "/{schema}/{table}/bulk", data.UpdateEach{}, named(bulkUpdate)), "PATCH", route.LimitBulk),
		action(write("", "/{table}/bulk", data.Delete{}, one(bulkRemove)), "DELETE", route.LimitBulk),
		action(write("", "/{schema}/{table}/bulk", data.Delete{}, named(bulkRemove)), "DELETE", route.LimitBulk),
	}
}

// download is a route whose answer is streamed.
func download(path string, handle func(*route.Request) error) route.Route {
	r := read(path, data.Export{}, handle)
	r.Timeout = exportTimeout
	return r
}

// action is a route of its own method and limit.
func action(r route.Route, method string, limit route.Limit) route.Route {
	r.Method, r.BodyLimit = method, limit
	return r
}

func read(path string, message any, handle func(*route.Request) error) route.Route {
	return route.Route{Method: "GET", Path: base + path, Access: route.Authenticated, Scope: scopeRead,
		Message: message, BodyLimit: route.LimitREST, Handle: handle}
}

func write(method, path string, message any, handle func(*route.Request) error) route.Route {
	return route.Route{Method: method, Path: base + path, Access: route.Authenticated, Scope: scopeWrite,
		Message: message, BodyLimit: route.LimitREST, Handle: handle}
}

// handler answers a request for the place that its path names.
type handler func(*route.Request, data.Place) error

// one answers /{table}.
func one(collection handler) func(*route.Request) error {
	return func(r *route.Request) error {
		return collection(r, data.Place{Relation: data.Public(r.Param("table"))})
	}
}

// two answers /{table}/{id}, which may mean /{schema}/{table} as well. A nil
// handler is a method that this kind of place does not have.
func two(collection, row handler) func(*route.Request) error {
	return func(r *route.Request) error {
		place, err := data.Locate(r.Context(), r.Tenant().Catalog, r.Param("table"), r.Param("id"))
		if err != nil {
			return err
		}
		handle := collection
		if place.ByID {
			handle = row
		}
		if handle == nil {
			return fault.Newf(fault.MethodNotAllowed, "%s is not allowed here", r.Method())
		}
		return handle(r, place)
	}
}

// named answers /{schema}/{table}/ with an action behind it.
func named(collection handler) func(*route.Request) error {
	return func(r *route.Request) error {
		return collection(r, data.Place{Relation: query.Relation{Schema: r.Param("schema"), Name: r.Param("table")}})
	}
}

// three answers /{schema}/{table}/{id}.
func three(row handler) func(*route.Request) error {
	return func(r *route.Request) error {
		if data.IsAction(r.Param("id")) {
			return fault.Newf(fault.MethodNotAllowed, "%s of a table does not take this method", r.Param("id"))
		}
		relation := query.Relation{Schema: r.Param("schema"), Name: r.Param("table")}
		return row(r, data.Place{Relation: relation, ID: r.Param("id"), ByID: true})
	}
}
