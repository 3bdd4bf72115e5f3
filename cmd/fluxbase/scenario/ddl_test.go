package scenario

import (
	"strings"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// TestDDL: administrators make schemas and tables, which are served at once.
func TestDDL(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "API_EXPOSED_SCHEMAS=public,shop")
	ann := n.SignUp("ann@example.com")
	const columns = `"columns":[{"name":"id","type":"serial","primaryKey":true},{"name":"price","type":"numeric(10,2)","nullable":true,"defaultValue":1.5},` +
		`{"name":"tags","type":"text[]","defaultValue":"'{new}'"},{"name":"made","type":"timestamptz","defaultValue":"now()"},{"name":"open","type":"boolean","defaultValue":true}]`
	for _, c := range []struct {
		method, path, token, body string
		status                    int
		answer                    string // a part of it
	}{
		{"POST", "/api/v1/admin/ddl/schemas", n.ServiceKey, `{"name":"shop"}`, 201, `{"success":true,"schema":"shop","message":"Schema 'shop' created"}`},
		{"POST", "/api/v1/admin/ddl/schemas", n.ServiceKey, `{"name":"shop"}`, 409, `"code":"ALREADY_EXISTS"`},
		{"POST", "/api/v1/admin/ddl/schemas", n.ServiceKey, `{"name":"a b"}`, 400, `"code":"INVALID_INPUT"`},
		{"POST", "/api/v1/admin/ddl/schemas", n.ServiceKey, `{}`, 400, `"code":"MISSING_REQUIRED_FIELD"`},
		{"GET", "/api/v1/admin/ddl/schemas", n.ServiceKey, "", 200, `{"name":"shop","owner":"fluxbase_owner"}`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"schema":"shop","name":"items",` + columns + `}`, 201, `{"success":true,"schema":"shop","table":"items"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"items",` + columns + `}`, 201, `"schema":"public","table":"items"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"items",` + columns + `}`, 409, `"code":"ALREADY_EXISTS"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"schema":"nowhere","name":"items",` + columns + `}`, 404, `"code":"NOT_FOUND"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"t","columns":[{"name":"a","type":"int); drop table items; --"}]}`, 400, `is no type of a column`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"t","columns":[{"name":"a","type":"int","defaultValue":"1); drop table items; --"}]}`, 400, `"code":"INVALID_INPUT"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"t","columns":[{"name":"a","type":"int","defaultValue":["x"]}]}`, 400, `"code":"INVALID_INPUT"`},
		{"POST", "/api/v1/admin/ddl/tables", n.ServiceKey, `{"name":"t","columns":[{"name":"a","type":"int","defaultValue":"no_such_function()"}]}`, 400, `no_such_function`},
		{"GET", "/api/v1/admin/ddl/tables?schema=shop", n.ServiceKey, "", 200, `{"tables":[{"schema":"shop","name":"items"}]}`},
		{"GET", "/api/v1/admin/ddl/tables", n.ServiceKey, "", 200, `{"schema":"public","name":"items"}`},

		// It is served, to service keys alone.
		{"POST", "/api/v1/tables/shop/items", n.ServiceKey, `{}`, 201, `"price":1.50,"tags":["new"]`},
		{"GET", "/api/v1/tables/items", n.ServiceKey, "", 200, `[]`},
		{"GET", "/api/v1/tables/items", ann.AccessToken, "", 403, `"code":"INSUFFICIENT_PERMISSIONS"`},
		{"GET", "/api/v1/tables/items", n.AnonKey, "", 401, ``},
		{"GET", "/api/v1/tables/", n.ServiceKey, "", 200, `"path":"/api/v1/tables/shop/items","columns":[{"name":"id","type":"integer","nullable":false,"default":"nextval(`},
		{"GET", "/api/v1/tables?schema=shop", n.ServiceKey, "", 200, `[{"schema":"shop","name":"items","type":"table"`},
		{"GET", "/api/v1/tables?schema=auth", n.ServiceKey, "", 400, `is not exposed`},
		{"POST", "/api/v1/admin/schema/refresh", n.ServiceKey, "", 200, `{"message":"Schema cache refreshed","tables":2,"views":0}`},

		{"DELETE", "/api/v1/admin/ddl/tables/shop/items", n.ServiceKey, "", 200, `{"success":true,`},
		{"DELETE", "/api/v1/admin/ddl/tables/shop/items", n.ServiceKey, "", 404, `"code":"TABLE_NOT_FOUND"`},
		{"DELETE", "/api/v1/admin/ddl/tables/auth/users", n.ServiceKey, "", 403, `"code":"INSUFFICIENT_PERMISSIONS"`},
		{"GET", "/api/v1/tables/shop/items", n.ServiceKey, "", 404, `"code":"TABLE_NOT_FOUND"`},

		// Nobody else has anything to do with it.
		{"GET", "/api/v1/admin/ddl/schemas", ann.AccessToken, "", 403, `"code":"INSUFFICIENT_PERMISSIONS"`},
		{"POST", "/api/v1/admin/ddl/schemas", n.AnonKey, `{"name":"mine"}`, 403, ``},
		{"POST", "/api/v1/admin/ddl/tables", ann.AccessToken, `{}`, 403, ``},
		{"DELETE", "/api/v1/admin/ddl/tables/public/items", ann.AccessToken, "", 403, ``},
		{"POST", "/api/v1/admin/schema/refresh", "", "", 401, ``},
		{"GET", "/api/v1/tables", ann.AccessToken, "", 403, ``},
	} {
		var body any
		if c.body != "" {
			body = c.body
		}
		if r := n.Do(c.method, c.path, c.token, body); r.Status != c.status || !strings.Contains(string(r.Body), c.answer) {
			t.Errorf("%s %s %s: got %d %s, want %d %s", c.method, c.path, c.body, r.Status, r.Body, c.status, c.answer)
		}
	}
}
