package rest

import (
	"strings"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/route"
)

// tableOptions answers a table's OPTIONS with the methods that PostgreSQL can serve.
// What the caller may do is another matter.
func tableOptions(r *route.Request) error {
	of, err := place(r, r.Param("table"))
	if err != nil {
		return err
	}
	rel := relation(r, of)
	if rel == nil {
		return sql.NotFound(of)
	}
	methods := []string{"OPTIONS", "GET", "HEAD"}
	for _, m := range []struct {
		name string
		can  bool
	}{
		{"POST", rel.Insertable}, {"PUT", rel.Insertable && rel.Updatable && len(rel.PrimaryKey) > 0},
		{"PATCH", rel.Updatable}, {"DELETE", rel.Deletable},
	} {
		if m.can {
			methods = append(methods, m.name)
		}
	}
	return allow(r, methods)
}

// functionOptions answers a function's OPTIONS: one that writes is no matter for
// GET.
func functionOptions(r *route.Request) error {
	of, err := place(r, r.Param("function"))
	if err != nil {
		return err
	}
	overloads := r.Tenant().Catalog.Current().Routines(of.Schema, of.Name)
	if len(overloads) == 0 {
		_, _, err := sql.Choose(nil, &query.Call{Function: of})
		return err
	}
	methods := []string{"OPTIONS", "POST"}
	for _, f := range overloads {
		if f.Volatility != catalog.Volatile {
			methods = []string{"OPTIONS", "GET", "HEAD", "POST"}
		}
	}
	return allow(r, methods)
}

func allow(r *route.Request, methods []string) error {
	r.SetHeader("Allow", strings.Join(methods, ","))
	r.Fast().Response.ResetBody()
	r.Fast().Response.SetStatusCode(200)
	r.Fast().Response.Header.SetNoDefaultContentType(true)
	return nil
}
