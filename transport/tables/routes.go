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
	d := anyRelation
	return []route.Route{
		indexRoute,
		read("/{table}", data.List{}, one(list), d.list()),
		read("/{table}/{id}", data.Get{}, two(list, get), d.either(d.list(), d.get())),
		read("/{schema}/{table}/{id}", data.Get{}, three(get), d.get()),
		write("POST", "/{table}", data.Create{}, one(create), d.create()),
		write("POST", "/{table}/{id}", data.Create{}, two(create, nil), d.either(d.create(), d.create())),
		write("PATCH", "/{table}", data.Update{}, one(update), d.update()),
		write("PATCH", "/{table}/{id}", data.UpdateOne{}, two(update, updateOne), d.either(d.update(), d.updateOne())),
		write("PATCH", "/{schema}/{table}/{id}", data.UpdateOne{}, three(updateOne), d.updateOne()),
		write("PUT", "/{table}/{id}", data.UpdateOne{}, two(nil, updateOne), d.updateOne()),
		write("PUT", "/{schema}/{table}/{id}", data.UpdateOne{}, three(updateOne), d.updateOne()),
		write("DELETE", "/{table}", data.Delete{}, one(remove), d.remove()),
		write("DELETE", "/{table}/{id}", data.DeleteOne{}, two(remove, removeOne), d.either(d.remove(), d.removeOne())),
		write("DELETE", "/{schema}/{table}/{id}", data.DeleteOne{}, three(removeOne), d.removeOne()),

		download("/{table}/export", one(export), d.export()),
		download("/{schema}/{table}/export", named(export), d.export()),
		search("/{table}/query", one(find), d.search()),
		search("/{schema}/{table}/query", named(find), d.search()),
		bulk("POST", "/{table}/bulk", data.Create{}, one(bulkCreate), d.bulkCreate()),
		bulk("POST", "/{schema}/{table}/bulk", data.Create{}, named(bulkCreate), d.bulkCreate()),
		bulk("PATCH", "/{table}/bulk", data.UpdateEach{}, one(bulkUpdate), d.bulkUpdate()),
		bulk("PATCH", "/{schema}/{table}/bulk", data.UpdateEach{}, named(bulkUpdate), d.bulkUpdate()),
		bulk("DELETE", "/{table}/bulk", data.Delete{}, one(bulkRemove), d.bulkRemove()),
		bulk("DELETE", "/{schema}/{table}/bulk", data.Delete{}, named(bulkRemove), d.bulkRemove()),
	}
}

func read(path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
	return route.Route{Method: "GET", Path: base + path, Access: route.Authenticated, Scope: scopeRead,
		Message: message, BodyLimit: route.LimitREST, Doc: doc, Handle: handle}
}

func write(method, path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
	return route.Route{Method: method, Path: base + path, Access: route.Authenticated, Scope: scopeWrite,
		Message: message, BodyLimit: route.LimitREST, Doc: doc, Handle: handle}
}

// bulk is a route that takes many rows.
func bulk(method, path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
	r := write(method, path, message, handle, doc)
	r.BodyLimit = route.LimitBulk
	return r
}

// search is a read whose query stands in the body.
func search(path string, handle func(*route.Request) error, doc route.Doc) route.Route {
	r := read(path, data.List{}, handle, doc)
	r.Method = "POST"
	return r
}

// download is a route whose answer is streamed.
func download(path string, handle func(*route.Request) error, doc route.Doc) route.Route {
	r := read(path, data.Export{}, handle, doc)
	r.Timeout = exportTimeout
	return r
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
