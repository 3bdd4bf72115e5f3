package scenario

import (
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
)

// TestClientsResumeAcrossCrashes is the scenario with little of everything: what
// each client saw, over all its connections, is the history that it may see, in
// the order of each row, without a hole and without a double. `bench crash` does
// it a hundred times with 200 clients.
func TestClientsResumeAcrossCrashes(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "fluxbase")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", binary, "fluxbase/cmd/fluxbase").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	node, err := target.Open(t.Context(), target.Options{Binary: binary, Environment: crash().Environment})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := node.Close(); err != nil {
			t.Error(err)
		}
	}()
	load := crashLoad{nodes: 2, clients: 20, users: 5, writers: 3, rate: 60, kills: 3, pause: 500 * time.Millisecond}
	var report measure.Report
	if err := load.run(t.Context(), node, &report); err != nil {
		t.Fatal(err)
	}
	row := report.Rows[0]
	if row.Value("to see") == 0 || row.Value("reconnects") == 0 {
		t.Errorf("nothing was tried: %v changes to see, %v reconnects", row.Value("to see"), row.Value("reconnects"))
	}
	for _, figure := range []string{"lost", "not to be seen, or twice", "rows out of order"} {
		if n := row.Value(figure); n != 0 {
			t.Errorf("%s: %v", figure, n)
		}
	}
}
