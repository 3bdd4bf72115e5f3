package execution

import (
	"context"
	"encoding/json"
	"log/slog"
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
