package scenario

import (
	"fmt"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// TestWhatWasJustMadeIsThere makes and changes tables and uses them at once, over
// and over: the server may not have heard of them yet, but must find them.
func TestWhatWasJustMadeIsThere(t *testing.T) {
	node := servertest.Start(t)
	for i := range 20 {
		table := fmt.Sprintf("fresh_%d", i)
		execAll(t, node.DatabaseURL, fmt.Sprintf("create table %s (id int primary key)", table))
		node.Want(201, "POST", "/api/v1/tables/"+table, node.ServiceKey, `{"id":1}`)
		execAll(t, node.DatabaseURL, fmt.Sprintf("alter table %s add column note text", table))
		node.Want(200, "PATCH", "/api/v1/tables/"+table+"?id=eq.1", node.ServiceKey, `{"note":"x"}`)
		execAll(t, node.DatabaseURL, fmt.Sprintf("alter table %s rename to %[1]s_again", table))
		node.Want(200, "GET", "/api/v1/tables/"+table+"_again/1", node.ServiceKey, nil)
		node.Want(404, "GET", "/api/v1/tables/"+table, node.ServiceKey, nil)
	}
}
