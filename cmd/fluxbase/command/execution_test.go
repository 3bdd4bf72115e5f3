package command

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server"
)

// post sends JSON as a service key and reads the answer.
func post(t *testing.T, k server.Keys, method, path, body string, into any) {
	t.Helper()
	req, err := http.NewRequest(method, k.URL+path, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+k.ServiceKey)
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		t.Fatalf("%s %s: %d %s, %v", method, path, res.StatusCode, raw, err)
	}
	if err := json.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", raw, err)
	}
}

// TestExecutionsOutliveTheirNode: a node is killed while it runs procedures and others
// wait. All that nobody waits for is run, and what they do is there once.
func TestExecutionsOutliveTheirNode(t *testing.T) {
	p := newProgram(t, "FLUXBASE_RPC_LEASE_TTL=2s", "FLUXBASE_RPC_ASYNC_WORKERS=2", "FLUXBASE_RPC_MAX_CONCURRENT_PER_CALLER=4")
	p.env = append(p.env, "FLUXBASE_SERVER_ADDRESS=127.0.0.1:"+freePorts(t, 2))
	c := p.start("cluster", "--nodes", "2")
	c.say("Fluxbase is ready", 2)
	r, err := server.ReadRuntime(filepath.Join(p.dir, "node2"))
	if err != nil {
		t.Fatal(err)
	}
	survivor := r.Keys
	owner, err := server.ReadRuntime(p.dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, errs, code := p.run(`
		create table done (name text);
		create function slowly(name text) returns table (a int, b int) language plpgsql as $$
		begin insert into done values (name); perform pg_sleep(1.5); return query select 1, 2; end $$;`, "sql"); code != 0 {
		t.Fatal(errs)
	}
	var synced struct{ Errors []any }
	post(t, survivor, "POST", "/api/v1/admin/rpc/sync", `{"procedures":[{"name":"slowly","code":"SELECT * FROM slowly($name)"}]}`, &synced)
	if len(synced.Errors) > 0 {
		t.Fatal(synced.Errors)
	}
	const calls = 6
	for i := range calls {
		var x struct{ Status string }
		post(t, owner.Keys, "POST", "/api/v1/rpc/default/slowly", fmt.Sprintf(`{"async":true,"params":{"name":"n%d"}}`, i), &x)
		if x.Status != "pending" {
			t.Fatalf("call %d: %+v", i, x)
		}
	}
	running := func() string {
		out, errs, code := p.run("", "sql", "select count(*) as n from queue.tasks where claim is not null")
		if code != 0 {
			t.Fatal(errs)
		}
		return out
	}
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(running(), "4"); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("four are never held: %s", running())
		}
	}
	if err := syscall.Kill(owner.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	var list struct {
		Executions []struct{ Status string }
		Total      int
	}
	for deadline := time.Now().Add(60 * time.Second); list.Total < calls; time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d completed", list.Total, calls)
		}
		post(t, survivor, "GET", "/api/v1/admin/rpc/executions?status=completed", "", &list)
	}
	out, errs, code := p.run("", "sql", "-o", "json", "select count(*) as n, count(distinct name) as names, (select count(*) from rpc.executions) as executions, (select count(*) from queue.tasks) as tasks from done")
	if want := fmt.Sprintf(`[{"executions":"%d","n":"%d","names":"%d","tasks":"0"}]`, calls, calls, calls); code != 0 || strings.TrimSpace(out) != want {
		t.Errorf("got %s %s, want %s", out, errs, want)
	}
	c.stop()
}
