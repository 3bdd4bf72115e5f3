package execution

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
	store "fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/jackc/pgx/v5/pgxpool.(*Pool).backgroundHealthCheck"))
}

const (
	ann = "11111111-1111-4111-8111-111111111111"
	bob = "22222222-2222-4222-8222-222222222222"
)

// shelf is the procedures of a test.
type shelf struct {
	mu  sync.Mutex
	all map[string]*procedure.Procedure
}

func (s *shelf) Find(_ context.Context, _, name string) (*procedure.Procedure, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p, ok := s.all[name]; ok {
		return p, nil
	}
	return nil, procedure.ErrNotFound
}

func (s *shelf) scheduled(context.Context) (list []*procedure.Procedure, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.all {
		if p.Schedule != "" {
			list = append(list, p)
		}
	}
	return list, nil
}

func (s *shelf) remove(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, name)
}

type bundle struct {
	*dbtest.Database
	t       *testing.T
	shelf   *shelf
	store   *store.Store
	catalog *catalog.Catalog
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE notes (id serial PRIMARY KEY, body text, by uuid DEFAULT auth.uid());
		CREATE FUNCTION wait_for(seconds float8) RETURNS TABLE (waited float8, n int) LANGUAGE plpgsql AS $$
		BEGIN
		  INSERT INTO notes (body) VALUES ('waited');
		  RAISE NOTICE 'waiting for % s', seconds;
		  PERFORM pg_sleep(seconds);
		  RETURN QUERY SELECT seconds, 1;
		END $$`)
	b := &bundle{Database: d, t: t, store: store.New(d.DB, d.Tenant), shelf: &shelf{all: map[string]*procedure.Procedure{}}}
	var err error
	if b.catalog, err = catalog.Open(t.Context(), d.DB, catalog.Options{}); err != nil {
		t.Fatal(err)
	}
	b.define("echo", `-- @fluxbase:input n:int
		SELECT $n AS n, auth.uid() AS uid, current_user AS role`)
	b.define("note", `INSERT INTO notes (body) VALUES ($body) RETURNING id`)
	b.define("wait", `SELECT * FROM wait_for($seconds)`)
	b.define("fail", `-- @fluxbase:input n:int
		SELECT 1 / $n AS n`)
	return b
}

func (b *bundle) define(name, code string) *procedure.Procedure {
	b.t.Helper()
	p, err := procedure.Compile("default", name, code, procedure.Limits{})
	if err != nil {
		b.t.Fatal(err)
	}
	b.shelf.mu.Lock()
	defer b.shelf.mu.Unlock()
	p.Enabled, p.Revision = true, int64(len(b.shelf.all)+1)
	b.shelf.all[name] = p
	return p
}

// node is a node's share of a tenant.
type node struct {
	*bundle
	system *kernel.System
	runner kernel.Ref
	desk   Desk
}

func (b *bundle) node(name string, change func(*Options)) *node {
	b.t.Helper()
	o := Options{
		Store: b.store, Logs: store.NewLogs(b.DB), Procedures: b.shelf, Planner: procedure.NewPlanner(b.DB, b.catalog),
		Node: name, Kind: store.Kind(b.Tenant), Lease: time.Minute, Look: 50 * time.Millisecond,
	}
	if change != nil {
		change(&o)
	}
	n := &node{bundle: b, system: kernel.NewSystem(kernel.SystemOptions{Name: name, Logger: slog.New(slog.DiscardHandler)})}
	b.t.Cleanup(n.shutdown)
	var err error
	if n.runner, err = n.system.Spawn(RunnerProps("executions", o)); err != nil {
		b.t.Fatal(err)
	}
	records, err := n.system.SpawnPool(kernel.PoolProps{Name: "records", Workers: 2, Queue: 8, New: func() kernel.Worker { return NewWorker(o) }})
	if err != nil {
		b.t.Fatal(err)
	}
	n.desk = Desk{Records: records, Runner: n.runner}
	return n
}

func (n *node) shutdown() {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := n.system.Shutdown(ctx); err != nil {
		n.t.Error(err)
	}
}

func (n *node) try(c caller.Caller, name, params string, async bool) (*Outcome, error) {
	ctx, cancel := context.WithTimeout(n.t.Context(), 20*time.Second)
	defer cancel()
	return n.desk.Call(ctx, Invoke{Caller: c, Namespace: "default", Name: name, Params: json.RawMessage(params), Async: async})
}

func (n *node) call(name, params string) *Outcome {
	n.t.Helper()
	out, err := n.try(n.User(ann), name, params, false)
	if err != nil {
		n.t.Fatalf("%s: %v", name, err)
	}
	return out
}

func (n *node) enqueue(name, params string) string {
	n.t.Helper()
	out, err := n.try(n.User(ann), name, params, true)
	if err != nil || out.Status != store.Pending || out.ID == "" {
		n.t.Fatalf("%s: %+v, %v", name, out, err)
	}
	return out.ID
}

// await waits until an execution has a status, and gives its record.
func (b *bundle) await(id string, want func(*store.Record) bool) *store.Record {
	b.t.Helper()
	for start := time.Now(); ; time.Sleep(5 * time.Millisecond) {
		r, err := b.store.Get(b.t.Context(), id)
		if err != nil {
			b.t.Fatal(err)
		}
		if want(r) {
			return r
		}
		if time.Since(start) > 15*time.Second {
			b.t.Fatalf("it stays %s: %+v", r.Status, r)
		}
	}
}

func ended(r *store.Record) bool   { return r.Status.Ended() }
func running(r *store.Record) bool { return r.Status == store.Running }

// only waits until one execution is there and runs, and gives its id.
func (b *bundle) only() string {
	b.t.Helper()
	for start := time.Now(); time.Since(start) < 10*time.Second; time.Sleep(5 * time.Millisecond) {
		list, _, err := b.store.List(b.t.Context(), store.Filter{Limit: 5, Status: store.Running})
		if err != nil {
			b.t.Fatal(err)
		}
		if len(list) == 1 && b.sleeping() > 0 {
			return list[0].ID
		}
	}
	b.t.Fatal("nothing runs")
	return ""
}

// sleeping is how many procedures wait inside of PostgreSQL.
func (b *bundle) sleeping() (n int) {
	b.QueryRow(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'`, &n)
	return n
}

func (b *bundle) awaitSleeping(want int) {
	b.t.Helper()
	for start := time.Now(); b.sleeping() != want; time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			b.t.Fatalf("%d procedures sleep, want %d", b.sleeping(), want)
		}
	}
}

func (b *bundle) notes() (n int) {
	b.QueryRow(`SELECT count(*) FROM notes`, &n)
	return n
}

func (b *bundle) log(id string) (lines []string) {
	b.t.Helper()
	for start := time.Now(); ; time.Sleep(10 * time.Millisecond) {
		got, err := store.NewLogs(b.DB).Read(b.t.Context(), id, 0, 100)
		if err != nil {
			b.t.Fatal(err)
		}
		if len(got) > 1 && !strings.HasSuffix(got[len(got)-1].Message, "started") && !strings.HasPrefix(got[len(got)-1].Message, "waiting") {
			for i, line := range got {
				if line.Number != i+1 {
					b.t.Errorf("line %d has the number %d", i+1, line.Number)
				}
				lines = append(lines, line.Level+" "+line.Message)
			}
			return lines
		}
		if time.Since(start) > 10*time.Second {
			b.t.Fatalf("the log is %+v", got)
		}
	}
}

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

// Two nodes see the same ticks come; each tick is one execution.
func TestSchedulesOnTwoNodes(t *testing.T) {
	b := setup(t)
	b.define("tidy", `SELECT current_user AS role, $_trigger AS by`).Schedule = "@every 1s"
	scheduler := func(n *node) kernel.Ref {
		service := b.Service()
		ref, err := n.system.Spawn(SchedulerProps("schedules", ScheduleOptions{Store: b.store, Scheduled: b.shelf.scheduled, Caller: service}))
		if err != nil {
			t.Fatal(err)
		}
		return ref
	}
	first, second := b.node("a", nil), b.node("b", nil)
	scheduler(first)
	ref := scheduler(second)
	count := func() (list []*store.Record) {
		list, _, err := b.store.List(t.Context(), store.Filter{Limit: 100, Status: store.Completed})
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	for start := time.Now(); len(count()) < 2; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 15*time.Second {
			t.Fatal("no ticks")
		}
	}
	first.shutdown() // the other goes on
	for start := time.Now(); len(count()) < 4; time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > 15*time.Second {
			t.Fatal("no ticks after a node is gone")
		}
	}
	b.shelf.remove("tidy")
	if err := ref.Tell(Changed{}); err != nil {
		t.Fatal(err)
	}
	seen := map[time.Time]bool{}
	for _, r := range count() {
		if r.ScheduledAt == nil || seen[r.ScheduledAt.UTC()] || r.UserRole != string(caller.Service) {
			t.Errorf("%+v is there twice or for no tick", r)
			continue
		}
		seen[r.ScheduledAt.UTC()] = true
		full, err := b.store.Get(t.Context(), r.ID)
		if err != nil || string(full.Result) != `[{"role":"service_role","by":"cron"}]` {
			t.Errorf("it ran as %s, %v", full.Result, err)
		}
	}
}

func TestMissedTicks(t *testing.T) {
	day := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		schedule        string
		at, now         time.Time
		last, following time.Time
	}{
		{"0 * * * *", day.Add(time.Hour), day.Add(time.Hour + time.Second), day.Add(time.Hour), day.Add(2 * time.Hour)},
		{"0 * * * *", day.Add(time.Hour), day.Add(5*time.Hour + time.Minute), day.Add(5 * time.Hour), day.Add(6 * time.Hour)},
		{"*/10 * * * * *", day, day.Add(100 * 24 * time.Hour), day.Add(100 * 24 * time.Hour), day.Add(100*24*time.Hour + 10*time.Second)},
		{"0 0 1 1 *", day, day.Add(48 * time.Hour), day, time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)},
		{"@every 90s", day, day.Add(4 * time.Minute), day.Add(3 * time.Minute), day.Add(270 * time.Second)},
	} {
		last, following := missed(store.Tick{Scheduled: store.Scheduled{Schedule: test.schedule}, At: test.at}, test.now)
		if !last.Equal(test.last) || !following.Equal(test.following) {
			t.Errorf("%s: last %v, following %v, want %v and %v", test.schedule, last, following, test.last, test.following)
		}
	}
}

// Tenants that are due are opened, again and again, whatever fails.
func TestTenantsThatAreDueAreOpened(t *testing.T) {
	t.Parallel()
	system := kernel.NewSystem(kernel.SystemOptions{Name: "waker", Logger: slog.New(slog.DiscardHandler)})
	opened := make(chan string, 16)
	looks := 0
	if _, err := system.Spawn(WakerProps("waker", WakerOptions{
		Every: time.Millisecond,
		Due: func(context.Context) ([]string, error) {
			if looks++; looks == 2 {
				return nil, fault.New(fault.ServiceUnavailable, "no")
			}
			return []string{"a", "b"}, nil
		},
		Open: func(_ context.Context, id string) error {
			select {
			case opened <- id:
			default:
			}
			if id == "a" {
				return fault.New(fault.TenantNotFound, "no")
			}
			return nil
		},
	})); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"a", "b", "a", "b"} {
		if got := <-opened; got != want {
			t.Errorf("%s was opened, want %s", got, want)
		}
	}
	if err := system.Shutdown(context.Background()); err != nil {
		t.Error(err)
	}
}
