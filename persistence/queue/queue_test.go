package queue

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

type bundle struct {
	*dbtest.Database
	queue *Queue
	t     *testing.T
}

func setup(t *testing.T) *bundle {
	t.Helper()
	t.Parallel()
	d := dbtest.New(t)
	return &bundle{Database: d, queue: New(d.DB), t: t}
}

// add enqueues tasks of the kind "work", named by their payload.
func (b *bundle) add(lane string, maxAttempts int, names ...string) {
	b.t.Helper()
	for _, n := range names {
		b.Exec(`SELECT queue.enqueue(gen_random_uuid(), 'work', $1, $2, jsonb_build_object('name', $3::text))`, lane, maxAttempts, n)
	}
}

func (b *bundle) claim(w Want) []Task {
	b.t.Helper()
	w.Kind = "work"
	if w.Node == "" {
		w.Node = "a"
	}
	if w.Lease == 0 {
		w.Lease = time.Minute
	}
	tasks, err := b.queue.Claim(b.t.Context(), w)
	if err != nil {
		b.t.Fatal(err)
	}
	return tasks
}

func held(tasks []Task) []Held {
	var all []Held
	for _, t := range tasks {
		all = append(all, Held{t.ID, t.Claim})
	}
	return all
}

// names are those of the tasks, sorted: an UPDATE returns its rows in no order.
func names(tasks []Task) string {
	var all []string
	for _, t := range tasks {
		all = append(all, strings.TrimSuffix(strings.TrimPrefix(string(t.Payload), `{"name": "`), `"}`))
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

// settle ends a task as somebody who has no rights but its claim.
func (b *bundle) settle(h Held) error {
	return b.DB.Run(b.t.Context(), b.Anonymous(), db.Statement{SQL: `SELECT queue.settle($1, $2)`, Args: []any{h.ID, h.Claim}})
}

func TestLanesTakeTurns(t *testing.T) {
	b := setup(t)
	b.add("a", 1, "a1", "a2", "a3", "a4", "a5")
	b.add("b", 1, "b1", "b2")
	b.add("c", 1, "c1")
	for _, step := range []struct {
		after, want string
		count       int
	}{
		{"", "a1 b1", 2},
		{"b", "a2 c1", 2}, // c's turn comes first, then around to a
		{"a", "a3 b2", 2},
		{"b", "a4 a5", 9},
		{"", "", 9},
	} {
		if got := names(b.claim(Want{Count: step.count, After: step.after})); got != step.want {
			t.Errorf("after %q: got %q, want %q", step.after, got, step.want)
		}
	}
}

func TestALaneIsHeldToItsLimitByAllNodesTogether(t *testing.T) {
	b := setup(t)
	for i := range 40 {
		b.add("busy", 1, fmt.Sprint("t", i))
	}
	b.add("other", 1, "o")
	var mu sync.Mutex
	var all []Task
	var nodes sync.WaitGroup
	for n := range 8 {
		nodes.Go(func() {
			got, err := b.queue.Claim(t.Context(), Want{Kind: "work", Node: fmt.Sprint(n), Count: 4, Lease: time.Minute, LaneLimit: 5})
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			all = append(all, got...)
		})
	}
	nodes.Wait()
	lanes := map[string]int{}
	for _, task := range all {
		lanes[task.Lane]++
	}
	if lanes["busy"] != 5 || lanes["other"] != 1 {
		t.Errorf("held: %v, want 5 of the busy lane and the other one", lanes)
	}
	// Whoever ends one makes room for one.
	if err := b.settle(held(all[:1])[0]); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(Want{Count: 9, LaneLimit: 5}); len(got) > 1 || len(got) == 0 && all[0].Lane == "busy" {
		t.Errorf("then %d were claimed", len(got))
	}
}

func TestEveryTaskIsClaimedOnceWhoeverAsks(t *testing.T) {
	b := setup(t)
	b.Exec(`SELECT queue.enqueue(gen_random_uuid(), 'work', 'lane' || i % 7, 1, jsonb_build_object('name', i::text)) FROM generate_series(1, 300) i`)
	var mu sync.Mutex
	seen := map[string]string{}
	var nodes sync.WaitGroup
	for n := range 6 {
		nodes.Go(func() {
			after := ""
			for {
				got, err := b.queue.Claim(t.Context(), Want{Kind: "work", Node: fmt.Sprint(n), Count: 5, Lease: time.Minute, After: after})
				if err != nil {
					t.Error(err)
					return
				}
				if len(got) == 0 {
					return
				}
				mu.Lock()
				for _, task := range got {
					if other, twice := seen[task.ID]; twice {
						t.Errorf("%s was claimed as %s and as %s", task.ID, other, task.Claim)
					}
					seen[task.ID] = task.Claim
				}
				mu.Unlock()
				after = got[0].Lane
			}
		})
	}
	nodes.Wait()
	if len(seen) != 300 {
		t.Errorf("%d of 300 were claimed", len(seen))
	}
}

// A holder that comes back after its lease has run out and somebody else began finds
// that it holds nothing, and what it did in the transaction is undone.
func TestALateWriterIsRefused(t *testing.T) {
	b := setup(t)
	b.Exec(`CREATE TABLE effects (by text)`)
	b.add("", 3, "t")
	first := b.claim(Want{Count: 1, Lease: 50 * time.Millisecond, Node: "dead"})
	if len(b.claim(Want{Count: 1})) != 0 {
		t.Fatal("a task that is held was claimed")
	}
	var second []Task
	for start := time.Now(); len(second) == 0 && time.Since(start) < 5*time.Second; time.Sleep(10 * time.Millisecond) {
		second = b.claim(Want{Count: 1, Node: "alive"})
	}
	if len(second) != 1 || second[0].Attempt != 2 || second[0].Claim == first[0].Claim {
		t.Fatalf("the second claim is %+v", second)
	}
	effect := func(by string, h Held) error {
		return b.DB.Run(t.Context(), b.Service(),
			db.Statement{SQL: `INSERT INTO effects VALUES ($1)`, Args: []any{by}},
			db.Statement{SQL: `SELECT queue.settle($1, $2)`, Args: []any{h.ID, h.Claim}})
	}
	if err := effect("dead", held(first)[0]); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("the late writer got %v", err)
	}
	if lost, err := b.queue.Renew(t.Context(), append(held(first), held(second)...), time.Minute); err != nil || !slices.Equal(lost, []string{first[0].ID}) {
		t.Errorf("renewed, lost %v, %v", lost, err)
	}
	if err := b.queue.Release(t.Context(), held(first), 0, false); err != nil {
		t.Error(err)
	}
	if err := effect("alive", held(second)[0]); err != nil {
		t.Error(err)
	}
	if err := effect("alive again", held(second)[0]); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("ending twice: %v", err)
	}
	var who string
	b.QueryRow(`SELECT string_agg(by, ',') FROM effects`, &who)
	if who != "alive" {
		t.Errorf("effects of %s are there", who)
	}
}

func TestReleaseAndExhaustion(t *testing.T) {
	b := setup(t)
	b.add("", 2, "t")
	for _, step := range []struct {
		undone    bool
		attempt   int
		exhausted bool
	}{{true, 1, false}, {false, 1, false}, {false, 2, false}, {false, 3, true}} {
		got := b.claim(Want{Count: 1})
		if len(got) != 1 || got[0].Attempt != step.attempt || got[0].Exhausted() != step.exhausted {
			t.Fatalf("got %+v, want attempt %d", got, step.attempt)
		}
		if err := b.queue.Release(t.Context(), held(got), 0, step.undone); err != nil {
			t.Fatal(err)
		}
	}
	got := b.claim(Want{Count: 1})
	if err := b.queue.Release(t.Context(), held(got), time.Hour, false); err != nil {
		t.Fatal(err)
	}
	if got := b.claim(Want{Count: 1}); len(got) != 0 {
		t.Errorf("a task that is due in an hour was claimed: %+v", got)
	}
}

// Whoever asks rings, and nobody but the owner touches the queue.
func TestEnqueueRingsAndCallersMayNot(t *testing.T) {
	b := setup(t)
	b.Admin(func(ctx context.Context, c *pgx.Conn) error {
		if _, err := c.Exec(ctx, `LISTEN `+Channel); err != nil {
			return err
		}
		b.add("", 1, "t")
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		n, err := c.WaitForNotification(ctx)
		if err == nil && n.Payload != "work" {
			t.Errorf("rang with %q", n.Payload)
		}
		return err
	})
	for _, sql := range []string{
		`SELECT * FROM queue.tasks`, `DELETE FROM queue.tasks`,
		`SELECT queue.enqueue(gen_random_uuid(), 'work', '', 1)`,
	} {
		for _, c := range []string{"user", "service"} {
			who := b.User("11111111-1111-4111-8111-111111111111")
			if c == "service" {
				who = b.Service()
			}
			if err := b.DB.Run(t.Context(), who, db.Statement{SQL: sql}); fault.CodeOf(err) != fault.InsufficientPermissions {
				t.Errorf("%s as %s: %v", sql, c, err)
			}
		}
	}
	task := b.claim(Want{Count: 1})[0]
	if err := b.settle(Held{task.ID, "00000000-0000-4000-8000-000000000000"}); fault.CodeOf(err) != fault.ClaimLost {
		t.Errorf("a guessed claim: %v", err)
	}
}
