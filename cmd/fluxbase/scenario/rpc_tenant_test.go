package scenario

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// Procedures and executions are a tenant's own, also of tenants that live in one
// database; and what is scheduled runs while nobody uses the tenant.
func TestProceduresOfTenants(t *testing.T) {
	t.Parallel()
	address := dbtest.Create(t)
	admin, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	if _, err := admin.Exec(t.Context(), `INSERT INTO platform.tenants (slug, name, status) VALUES ('acme', 'Acme', 'active')`); err != nil {
		t.Fatal(err)
	}
	n := servertest.On(t, address)
	acme := []string{"X-FB-Tenant", "acme"}
	useParser(t)
	n.Want(200, "POST", "/api/v1/admin/rpc/sync", n.ServiceKey, `{"procedures":[
		{"name":"who","code":"SELECT current_user AS role, current_setting('app.current_tenant_id') <> '' AS tenant"},
		{"name":"tick","code":"-- @fluxbase:schedule @every 1s\nSELECT current_user AS role"}]}`, acme...)
	n.Want(404, "POST", "/api/v1/rpc/default/who", n.ServiceKey, `{}`)
	var x execution
	r := n.Want(200, "POST", "/api/v1/rpc/default/who", n.ServiceKey, `{}`, acme...)
	r.Decode(t, &x)
	if !holds(t, r.Body, `{"status":"completed","result":[{"role":"tenant_service","tenant":true}]}`) {
		t.Errorf("%s", r.Body)
	}
	n.Want(200, "GET", "/api/v1/rpc/executions/"+x.ExecutionID, n.ServiceKey, nil, acme...)
	n.Want(404, "GET", "/api/v1/rpc/executions/"+x.ExecutionID, n.ServiceKey, nil)
	n.Want(404, "POST", "/api/v1/admin/rpc/executions/"+x.ExecutionID+"/cancel", n.ServiceKey, nil)
	var list struct{ Total int }
	n.Want(200, "GET", "/api/v1/admin/rpc/executions", n.ServiceKey, nil).Decode(t, &list)
	if list.Total != 0 {
		t.Errorf("the default tenant sees %d executions", list.Total)
	}
	ticks := func() (count int) {
		if err := admin.QueryRow(t.Context(), `SELECT count(*) FROM rpc.executions WHERE procedure_name = 'tick' AND status = 'completed' AND user_role = 'service_role'`).Scan(&count); err != nil {
			t.Fatal(err)
		}
		return count
	}
	eventually(t, "a tick", func() bool { return ticks() > 0 })
	n.Stop()
	before := ticks()
	servertest.On(t, address) // nobody asks it for anything
	eventually(t, "ticks go on", func() bool { return ticks() > before })
}
