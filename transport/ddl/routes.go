// Package ddl lets administrators make and drop schemas and tables: it turns requests
// under /admin/ddl and /admin/schema into messages of actors/ddl.
package ddl

import (
	"encoding/json"
	"strings"

	"fluxbase/actors/ddl"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	store "fluxbase/persistence/ddl"
	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Routes are the routes of this package.
func Routes() []route.Route {
	entry := func(method, path string, message any, handle func(*route.Request) error, doc route.Doc) route.Route {
		return route.Route{
			Method: method, Path: "/api/v1/admin" + path, Access: route.Roles(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin),
			BodyLimit: route.LimitAdmin, Message: message, Doc: doc, Handle: handle,
		}
	}
	return []route.Route{
		entry("GET", "/ddl/schemas", ddl.ListSchemas{}, listSchemas, listSchemasDoc),
		entry("POST", "/ddl/schemas", ddl.CreateSchema{}, createSchema, createSchemaDoc),
		entry("GET", "/ddl/tables", ddl.ListTables{}, listTables, listTablesDoc),
		entry("POST", "/ddl/tables", ddl.CreateTable{}, createTable, createTableDoc),
		entry("DELETE", "/ddl/tables/{schema}/{table}", ddl.DropTable{}, dropTable, dropTableDoc),
		entry("POST", "/schema/refresh", ddl.Refresh{}, refresh, refreshDoc),
	}
}

// ask sends a message to the tenant's pool. A tenant that lives in the default
// tenant's database has no schema of its own to look after.
func ask[R any](r *route.Request, message any) (R, error) {
	if t := r.Tenant(); t.DDL == nil {
		var none R
		return none, fault.New(fault.AccessDenied, "The tenant has no database of its own")
	}
	return kernel.Ask[R](r.Context(), r.Tenant().DDL, message)
}

func listSchemas(r *route.Request) error {
	found, err := ask[[]store.Schema](r, ddl.ListSchemas{})
	if err != nil {
		return err
	}
	all := schemas{Schemas: make([]schemaView, 0, len(found))}
	for _, s := range found {
		all.Schemas = append(all.Schemas, schemaView{s.Name, s.Owner})
	}
	return r.JSON(200, all)
}

func createSchema(r *route.Request) error {
	var body schemaBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if _, err := ask[ddl.Done](r, ddl.CreateSchema{Name: body.Name}); err != nil {
		return err
	}
	return r.JSON(201, schemaMade{true, body.Name, "Schema '" + body.Name + "' created"})
}

func listTables(r *route.Request) error {
	found, err := ask[[]store.Table](r, ddl.ListTables{Schema: r.Query("schema")})
	if err != nil {
		return err
	}
	all := tables{Tables: make([]tableView, 0, len(found))}
	for _, t := range found {
		all.Tables = append(all.Tables, tableView{t.Schema, t.Name})
	}
	return r.JSON(200, all)
}

func createTable(r *route.Request) error {
	var body tableBody
	if err := r.Decode(&body); err != nil {
		return err
	}
	if body.Schema == "" {
		body.Schema = "public"
	}
	m := ddl.CreateTable{Table: store.Table{Schema: body.Schema, Name: body.Name}}
	for _, c := range body.Columns {
		expression, err := c.expression()
		if err != nil {
			return err
		}
		m.Columns = append(m.Columns, store.Column{Name: c.Name, Type: c.Type, Nullable: c.Nullable, PrimaryKey: c.PrimaryKey, Default: expression})
	}
	if _, err := ask[ddl.Done](r, m); err != nil {
		return err
	}
	return r.JSON(201, tableMade{true, body.Schema, body.Name, "Table '" + body.Schema + "." + body.Name + "' created"})
}

// expression is the SQL of a default: a text is SQL, numbers and truth values are
// themselves.
func (c *columnBody) expression() (string, error) {
	text := strings.TrimSpace(string(c.DefaultValue))
	switch {
	case text == "" || text == "null":
		return "", nil
	case text[0] == '"':
		var expression string
		err := json.Unmarshal([]byte(text), &expression)
		return strings.TrimSpace(expression), err
	case text[0] == '{' || text[0] == '[':
		return "", fault.Newf(fault.InvalidInput, "The default of column %s must be SQL in a text, a number, true or false", c.Name)
	}
	return text, nil
}

func dropTable(r *route.Request) error {
	t := store.Table{Schema: r.Param("schema"), Name: r.Param("table")}
	if _, err := ask[ddl.Done](r, ddl.DropTable{Table: t}); err != nil {
		return err
	}
	return r.JSON(200, confirmation{true, "Table '" + t.Schema + "." + t.Name + "' deleted"})
}

func refresh(r *route.Request) error {
	read, err := ask[ddl.Refreshed](r, ddl.Refresh{})
	if err != nil {
		return err
	}
	answer := refreshed{Message: "Schema cache refreshed"}
	for _, relation := range read.Snapshot.Relations() {
		switch relation.Kind {
		case catalog.View, catalog.MaterializedView:
			answer.Views++
		default:
			answer.Tables++
		}
	}
	return r.JSON(200, answer)
}
