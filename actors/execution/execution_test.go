package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
)

func TestACallIsRunAsItsCaller(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	out := n.call("echo", `{"n": 7}`)
	if want := `[{"n":7,"uid":"` + ann + `","role":"authenticated"}]`; out.Status != store.Completed || string(out.Result) != want || out.Rows != 1 {
		t.Errorf("got %s, %+v", out.Result, out)
	}
	r := b.await(out.ID, ended)
	if r.Status != store.Completed || string(r.Result) != string(out.Result) || r.Async {
		t.Errorf("noted: %+v", r)
	}
	if got := b.log(out.ID); !slices.Equal(got, []string{"info Execution started", "info Execution completed"}) {
		t.Errorf("logged: %q", got)
	}
}

func TestCallsThatDoNotComplete(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	b.define("slow", `SELECT * FROM wait_for(30)`).MaxExecutionTime = 200 * time.Millisecond
	b.define("off", `SELECT 1 AS n`).Enabled = false
	b.define("admins", `SELECT 1 AS n`).RequireRoles = []string{"admin"}
	for _, test := range []struct {
		name, params string
		status       store.Status
		code         fault.Code
		rejected     bool
	}{
		{"fail", `{"n": 0}`, store.Failed, fault.InvalidInput, false},
		{"slow", `{}`, store.TimedOut, fault.Timeout, false},
		{"fail", `{"n": "x"}`, store.Failed, fault.InvalidInput, true},
	} {
		for _, async := range []bool{false, true} {
			out, err := n.try(b.User(ann), test.name, test.params, async)
			if err != nil {
				t.Fatal(err)
			}
			r := b.await(out.ID, ended)
			if r.Status != test.status || r.ErrorCode != string(test.code) || r.ErrorMessage == "" || r.Async != async {
				t.Errorf("%s, async %v: noted %+v", test.name, async, r)
			}
			if !async && (out.Status != test.status || out.Err.Code != test.code) || out.Rejected != test.rejected {
				t.Errorf("%s, async %v: got %+v", test.name, async, out)
			}
		}
	}
	for name, want := range map[string]fault.Code{"missing": fault.NotFound, "off": fault.NotFound, "admins": fault.AccessDenied} {
		if _, err := n.try(b.User(ann), name, `{}`, false); fault.CodeOf(err) != want {
			t.Errorf("%s: %v", name, err)
		}
	}
	if b.notes() != 0 {
		t.Error("something was kept of what did not complete")
	}
}

// A cancelled execution ends at once, on whichever node it runs, with and without a
// bell, and nothing of it stays.
func TestCancel(t *testing.T) {
	for _, bell := range []bool{true, false} {
		t.Run(fmt.Sprint("bell ", bell), func(t *testing.T) {
			b := setup(t)
			runs := b.node("a", func(o *Options) {
				if !bell {
					o.Lease = 300 * time.Millisecond
				}
			})
			other := b.node("b", func(o *Options) { o.Limits.Async = -1 })
			for _, async := range []bool{true, false} {
				done := make(chan *Outcome, 1)
				go func() {
					out, err := runs.try(b.User(ann), "wait", `{"seconds": 60}`, async)
					if err != nil {
						t.Error(err)
					}
					done <- out
				}()
				id := b.only()
				// A bell that anybody may ring does nothing by itself.
				if err := runs.runner.Tell(Rung{Payload: "-" + id}); err != nil {
					t.Fatal(err)
				}
				if _, err := runs.try(b.User(bob), "echo", `{"n": 1}`, false); err != nil || b.sleeping() != 1 {
					t.Fatalf("after a false bell %d procedures run, %v", b.sleeping(), err)
				}
				r, err := kernel.Ask[*store.Record](t.Context(), other.desk.Records, &Cancel{ID: id})
				if err != nil || r.Status != store.Cancelled {
					t.Fatal(r, err)
				}
				if bell {
					if err := runs.runner.Tell(Rung{Payload: "-" + id}); err != nil {
						t.Fatal(err)
					}
				}
				if out := <-done; !async && (out.Status != store.Cancelled || out.Err.Code != fault.Canceled) {
					t.Errorf("the caller was told %+v", out)
				}
				b.awaitSleeping(0)
				if _, err := kernel.Ask[*store.Record](t.Context(), other.desk.Records, &Cancel{ID: id}); fault.CodeOf(err) != fault.InvalidInput {
					t.Errorf("cancelled twice: %v", err)
				}
			}
			if b.notes() != 0 {
				t.Error("something was kept of what was cancelled")
			}
		})
	}
}

func TestACallerThatGoesCancels(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = n.desk.Call(ctx, Invoke{Caller: b.User(ann), Namespace: "default", Name: "wait", Params: json.RawMessage(`{"seconds": 60}`)})
	}()
	id := b.only()
	cancel()
	if r := b.await(id, ended); r.Status != store.Cancelled || b.notes() != 0 {
		t.Errorf("it is %+v, %d notes", r, b.notes())
	}
	b.awaitSleeping(0)
}

func TestCallsTakeTheirPlacesOrAreRefused(t *testing.T) {
	b := setup(t)
	n := b.node("a", func(o *Options) { o.Limits = Limits{Sync: 2, Waiting: 1, PerCaller: 2, Pending: 2, Async: -1} })
	codes := make(chan fault.Code, 8)
	start := func(c caller.Caller) {
		go func() {
			_, err := n.try(c, "wait", `{"seconds": 1.2}`, false)
			codes <- fault.CodeOf(err)
		}()
	}
	start(b.User(ann))
	start(b.User(ann))
	b.awaitSleeping(2)
	if _, err := n.try(b.User(ann), "echo", `{"n": 1}`, false); fault.CodeOf(err) != fault.RateLimitExceeded {
		t.Errorf("a third call of one caller: %v", err)
	}
	// Of four others one finds a place to wait.
	for _, user := range []string{"3", "4", "5", "6"} {
		start(b.User(strings.ReplaceAll(bob, "2", user)))
	}
	got := map[fault.Code]int{}
	for range 6 {
		got[<-codes]++
	}
	if got[""] != 3 || got[fault.Overloaded] != 3 {
		t.Errorf("the calls ended with %v", got)
	}
	for i := range 3 {
		_, err := n.try(b.User(ann), "echo", `{"n": 1}`, true)
		if refused := fault.CodeOf(err) == fault.RateLimitExceeded; refused != (i == 2) {
			t.Errorf("call %d that nobody waits for: %v", i+1, err)
		}
	}
}

// Whoever is there takes what waits, and each is run once.
func TestNodesShareTheQueue(t *testing.T) {
	b := setup(t)
	first := b.node("a", func(o *Options) { o.Limits.Async = -1; o.Limits.Pending = -1 })
	var ids []string
	for i := range 30 {
		ids = append(ids, first.enqueue("note", fmt.Sprintf(`{"body": "n%d"}`, i)))
	}
	b.node("b", nil)
	b.node("c", nil)
	for _, id := range ids {
		if r := b.await(id, ended); r.Status != store.Completed || r.UserID != ann {
			t.Errorf("%+v", r)
		}
	}
	if n := b.notes(); n != 30 {
		t.Errorf("%d notes, want 30", n)
	}
}

// A node that stops gives back what it runs; another one runs it, and its effects
// are there once.
func TestANodeThatStopsGivesBack(t *testing.T) {
	for _, drained := range []bool{true, false} {
		t.Run(fmt.Sprint("drained ", drained), func(t *testing.T) {
			b := setup(t)
			a := b.node("a", nil)
			id := a.enqueue("wait", `{"seconds": 1}`)
			b.await(id, running)
			b.awaitSleeping(1)
			if drained {
				if _, err := kernel.Ask[any](t.Context(), a.runner, Drain{}); err != nil {
					t.Fatal(err)
				}
				if n := b.sleeping(); n != 0 {
					t.Errorf("%d procedures still run", n)
				}
				if _, err := a.try(b.User(ann), "echo", `{"n": 1}`, false); fault.CodeOf(err) != fault.ServiceUnavailable {
					t.Errorf("a call behind the drain: %v", err)
				}
			} else {
				a.shutdown()
			}
			b.node("b", nil)
			if r := b.await(id, ended); r.Status != store.Completed || b.notes() != 1 {
				t.Errorf("it is %+v, %d notes", r, b.notes())
			}
		})
	}
}

// A node that died holds its executions until their leases run out. What nobody
// waits for is begun again, a limited number of times; what somebody waited for has
// failed.
func TestWhatADeadNodeHeld(t *testing.T) {
	b := setup(t)
	call := store.Call{Namespace: "default", Procedure: "note", Params: json.RawMessage(`{"body": "x"}`), Caller: b.User(ann)}
	waited, err := b.store.Begin(t.Context(), call, "dead", time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	async, err := b.store.Enqueue(t.Context(), call, 0)
	if err != nil {
		t.Fatal(err)
	}
	poison, err := b.store.Enqueue(t.Context(), call, 0)
	if err != nil {
		t.Fatal(err)
	}
	b.Exec(`UPDATE queue.tasks SET attempt = 3 WHERE id = $1`, poison)
	if got, err := b.store.Claim(t.Context(), store.Want{Node: "dead", Count: 9, Lease: time.Millisecond}); err != nil || len(got) < 2 {
		t.Fatal(got, err)
	}
	b.node("alive", nil)
	for id, want := range map[string]store.Status{waited.Task.ID: store.Failed, async: store.Completed, poison: store.Failed} {
		if r := b.await(id, ended); r.Status != want {
			t.Errorf("got %+v, want %s", r, want)
		}
	}
	if b.notes() != 1 {
		t.Errorf("%d notes", b.notes())
	}
	if got := b.log(async); len(got) < 2 {
		t.Errorf("logged %q", got)
	}
}

// A connection that is lost under an execution that nobody waits for has it begun
// again.
func TestALostConnectionIsNoEnd(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	id := n.enqueue("wait", `{"seconds": 0.5}`)
	b.awaitSleeping(1)
	b.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`)
	if r := b.await(id, ended); r.Status != store.Completed || b.notes() != 1 {
		t.Errorf("it is %+v, %d notes", r, b.notes())
	}
	if got := b.log(id); !slices.ContainsFunc(got, func(l string) bool { return strings.Contains(l, "begun again") }) {
		t.Errorf("logged %q", got)
	}
}

// What was asked for before a credential was revoked is not done after it.
func TestRevokedCallersAreNotRunFor(t *testing.T) {
	b := setup(t)
	n := b.node("a", func(o *Options) { o.Revoked = func(c caller.Caller) bool { return c.UserID == ann } })
	if r := b.await(n.enqueue("note", `{"body": "x"}`), ended); r.Status != store.Failed || r.ErrorCode != string(fault.RevokedToken) {
		t.Errorf("%+v", r)
	}
}

// What functions say is logged while they run, in order, numbered.
func TestNoticesAreLogged(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	b.Exec(`CREATE FUNCTION talk(lines int) RETURNS TABLE (a int, b int) LANGUAGE plpgsql AS $$
		BEGIN FOR i IN 1..lines LOOP RAISE WARNING 'line %', i; END LOOP; RETURN QUERY SELECT 1, 2; END $$`)
	b.define("talk", `SELECT * FROM talk($n)`)
	b.define("quiet", `SELECT * FROM talk($n)`).DisableLogs = true
	if got := b.log(n.call("talk", `{"n": 2}`).ID); !slices.Equal(got, []string{"info Execution started", "warn line 1", "warn line 2", "info Execution completed"}) {
		t.Errorf("logged %q", got)
	}
	out := n.call("talk", `{"n": 5000}`)
	last := func() (lines []store.Line) {
		lines, err := store.NewLogs(b.DB).Read(t.Context(), out.ID, 0, 5000)
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(10 * time.Millisecond) {
		if l := last(); len(l) > 0 && l[len(l)-1].Message == "Execution completed" {
			break
		}
	}
	lines := last()
	if len(lines) != maxLines+2 || lines[maxLines].Message != "further lines are left out" {
		t.Errorf("%d lines, the last: %+v", len(lines), lines[len(lines)-2:])
	}
	quiet := n.call("quiet", `{"n": 2}`)
	if _, err := kernel.Ask[any](t.Context(), n.runner, Drain{}); err != nil { // its log would be written by then
		t.Fatal(err)
	}
	if lines, err := store.NewLogs(b.DB).Read(t.Context(), quiet.ID, 0, 10); err != nil || len(lines) != 0 {
		t.Errorf("a procedure without a log has %+v, %v", lines, err)
	}
}

func TestWhoMayRead(t *testing.T) {
	b := setup(t)
	n := b.node("a", nil)
	mine := n.call("echo", `{"n": 1}`).ID
	anonymous, err := n.try(b.Anonymous(), "echo", `{"n": 1}`, false)
	if fault.CodeOf(err) != fault.AccessDenied { // it is not public
		t.Errorf("anonymous: %v, %v", anonymous, err)
	}
	b.define("open", `SELECT 1 AS n`).Public = true
	if anonymous, err = n.try(b.Anonymous(), "open", `{}`, false); err != nil {
		t.Fatal(err)
	}
	tenantAdmin := b.User(bob)
	tenantAdmin.Role = caller.TenantAdmin
	for _, test := range []struct {
		name string
		c    caller.Caller
		id   string
		want fault.Code
	}{
		{"own", b.User(ann), mine, ""},
		{"another's", b.User(bob), mine, fault.NotFound},
		{"anonymous", b.Anonymous(), anonymous.ID, fault.NotFound},
		{"service", b.Service(), mine, ""},
		{"tenant admin", tenantAdmin, mine, ""},
		{"no such", b.Service(), "33333333-3333-4333-8333-333333333333", fault.NotFound},
		{"no uuid", b.Service(), "x' OR true --", fault.NotFound},
	} {
		if _, err := kernel.Ask[*store.Record](t.Context(), n.desk.Records, &Get{Caller: test.c, ID: test.id}); fault.CodeOf(err) != test.want {
			t.Errorf("%s: %v", test.name, err)
		}
		if _, err := kernel.Ask[[]store.Line](t.Context(), n.desk.Records, &ReadLog{Caller: test.c, ID: test.id, Limit: 10}); fault.CodeOf(err) != test.want {
			t.Errorf("the log, %s: %v", test.name, err)
		}
	}
}
