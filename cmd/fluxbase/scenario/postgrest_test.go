package scenario

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"fluxbase/persistence/postgres/npmtest"
)

// TestPostgrestClient: postgrest-js, as npm has it, finds in a node what it knows
// from PostgREST.
func TestPostgrestClient(t *testing.T) {
	t.Parallel()
	folder := npmtest.Install(t, "realtime-js")
	n := startTables(t, restDDL+callDDL, "API_PLAN_ENABLED=true")
	n.exec(t, restSeed)
	const script = "testdata/postgrest.mjs"
	// Opened here, so that go test knows that its result depends on it.
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "CLIENTS="+folder, "URL_="+n.URL, "ANON="+n.AnonKey, "SERVICE="+n.ServiceKey, "ANN="+n.ann.AccessToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
