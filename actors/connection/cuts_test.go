package connection

import (
	"fmt"
	"testing"
)

// TestCutsRemembersTheLast: the newest first, as many as fit.
func TestCutsRemembersTheLast(t *testing.T) {
	var c cuts
	if got := c.find(ListCuts{}); got == nil || len(got) != 0 {
		t.Fatalf("got %v of nothing", got)
	}
	for i := range keptCuts + 10 {
		c.add(Cut{Connection: Connection{ID: fmt.Sprint(i), Tenant: fmt.Sprint("t", i%2), UserID: "u"}, Reason: "r"})
	}
	all := c.find(ListCuts{})
	if len(all) != keptCuts || all[0].ID != fmt.Sprint(keptCuts+9) || all[keptCuts-1].ID != "10" {
		t.Fatalf("%d cuts from %s to %s", len(all), all[0].ID, all[len(all)-1].ID)
	}
	if some := c.find(ListCuts{Tenant: "t1"}); len(some) != keptCuts/2 || some[0].Tenant != "t1" {
		t.Errorf("%d of a tenant", len(some))
	}
	if c.counts["t0"]+c.counts["t1"] != keptCuts+10 {
		t.Errorf("counted %v", c.counts)
	}
	if one := c.find(ListCuts{Tenant: "t0", UserID: "u", ID: "20"}); len(one) != 1 || one[0].ID != "20" {
		t.Errorf("found %v", one)
	}
	if none := c.find(ListCuts{UserID: "other"}); len(none) != 0 {
		t.Errorf("found %v", none)
	}
}
