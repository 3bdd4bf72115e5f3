package scenario

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"golang.org/x/sync/errgroup"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// randomSecret signs the tokens of the people: the nodes are told it.
const randomSecret = "n8Qw3ErTy6UiOp9AsDf2GhJk5LzXcV7b"

// TestWhatSubscribersSeeIsWhatSelectShows lets writers loose on tables under
// row-level security while users follow them, kills the listener's connections,
// restarts the server, and compares in the end what each user has seen with what
// SELECT shows that user. FLUXBASE_TEST_SEED and FLUXBASE_TEST_TRANSACTIONS
// repeat or lengthen a run.
func TestWhatSubscribersSeeIsWhatSelectShows(t *testing.T) {
	seed := setting(t, "FLUXBASE_TEST_SEED", uint64(time.Now().UnixNano()))
	transactions := int(setting(t, "FLUXBASE_TEST_TRANSACTIONS", 150))
	t.Logf("FLUXBASE_TEST_SEED=%d", seed)

	node := startRandom(t, "")
	url := node.DatabaseURL
	execAll(t, url, wildSchema)
	for _, table := range wildTables {
		node.Want(201, "POST", "/api/v1/admin/realtime/tables", node.ServiceKey, map[string]string{"table": table})
	}
	people := []*person{
		newPerson(t, "ann", "red"), newPerson(t, "ben", "blue"), newPerson(t, "cleo", "red"), newPerson(t, "dan", ""),
	}
	awaitTables(t, node, people[0])
	views := followAll(t, node.URL, people)

	// First round: writers and killed listeners, sockets that stay.
	rampage(t, url, people, seed, transactions, true)
	settle(t, node.URL, url, views)
	for _, v := range views {
		if v.counts["INSERT"] == 0 || v.counts["UPDATE"] == 0 || v.counts["DELETE"] == 0 {
			t.Errorf("%s saw only %v: the writers did not do their work", v.user.name, v.counts)
		}
	}
	if t.Failed() {
		return
	}

	// Second round: the server restarts while the writers write. Subscribers join
	// the new one, read what is there, and go on.
	for _, v := range views {
		v.close()
	}
	var writing errgroup.Group
	writing.Go(func() error { return scribble(t.Context(), url, people, seed+100, transactions) })
	node.Stop()
	node = startRandom(t, url)
	views = followAll(t, node.URL, people)
	for _, v := range views {
		if err := v.load(node.URL); err != nil {
			t.Fatal(err)
		}
	}
	rampage(t, url, people, seed+200, transactions/2, false)
	if err := writing.Wait(); err != nil {
		t.Fatal(err)
	}
	settle(t, node.URL, url, views)
}

func startRandom(t *testing.T, database string) *servertest.Node {
	t.Helper()
	settings := []string{"AUTH_JWT_SECRET=" + randomSecret}
	if database == "" {
		return servertest.Start(t, settings...)
	}
	return servertest.On(t, database, settings...)
}

func setting(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// newPerson signs a token with a claim of the application's own.
func newPerson(t *testing.T, name, team string) *person {
	t.Helper()
	id := fmt.Sprintf("00000000-0000-4000-8000-%012x", name)
	claims := jwt.MapClaims{
		"iss": "fluxbase", "aud": []string{"fluxbase"}, "sub": id, "user_id": id, "role": "authenticated",
		"token_type": "access", "iat": time.Now().Unix(), "exp": time.Now().Add(time.Hour).Unix(), "jti": name,
	}
	if team != "" {
		claims["team"] = team
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(randomSecret))
	if err != nil {
		t.Fatal(err)
	}
	return &person{name: name, token: token, id: id, team: team}
}

// awaitTables waits until the node knows the tables that were just made.
func awaitTables(t *testing.T, node *servertest.Node, p *person) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		_, err := selectAs(t.Context(), node.URL, p, wildTables[len(wildTables)-1])
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the node does not know its tables: %v", err)
		}
	}
}

func followAll(t *testing.T, base string, people []*person) []*view {
	t.Helper()
	views := make([]*view, len(people))
	for i, p := range people {
		v, err := follow(t, base, p, wildTables, maySee(p))
		if err != nil {
			t.Fatalf("follow as %s: %v", p.name, err)
		}
		t.Cleanup(v.close)
		views[i] = v
	}
	return views
}

// rampage runs four writers, beside a transaction that stays open for the whole
// time, and, if asked, kills the connections that listen.
func rampage(t *testing.T, url string, people []*person, seed uint64, transactions int, kill bool) {
	t.Helper()
	idle, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer idle.Close(context.Background())
	if _, err := idle.Exec(t.Context(), "begin; select pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	var writers, killer errgroup.Group
	var done atomic.Bool
	for w := range 4 {
		writers.Go(func() error { return scribble(t.Context(), url, people, seed+uint64(w), transactions) })
	}
	kills := 0
	if kill {
		killer.Go(func() error {
			conn, err := pgx.Connect(t.Context(), url)
			if err != nil {
				return err
			}
			defer conn.Close(context.Background())
			for !done.Load() {
				var n int
				if err := conn.QueryRow(t.Context(), `
					select count(pg_terminate_backend(pid)) from pg_stat_activity
					 where query ilike 'listen%' and datname = current_database()`).Scan(&n); err != nil {
					return err
				}
				kills += n
				time.Sleep(150 * time.Millisecond)
			}
			return nil
		})
	}
	err = writers.Wait()
	done.Store(true)
	if err != nil {
		t.Fatal(err)
	}
	if err := killer.Wait(); err != nil {
		t.Fatal(err)
	}
	if kill && kills == 0 {
		t.Error("no listening connection was found to kill")
	}
}

// settle writes one last row per person and table, which comes behind everything
// else, waits until each has seen theirs, and compares.
func settle(t *testing.T, base, url string, views []*view) {
	t.Helper()
	for i, v := range views {
		id := 90000 + i
		execAll(t, url, fmt.Sprintf(`
			insert into notes   values (%[1]d, '%[2]s') on conflict (id) do update set level = notes.level + 1, owner = excluded.owner;
			insert into items   values (%[1]d, %[1]d, '%[2]s') on conflict (id) do update set n = items.n + 1, owner = excluded.owner;
			insert into parcels values (%[1]d, 'sea', '%[2]s') on conflict (id, region) do update set weight = parcels.weight + 1, owner = excluded.owner`, id, v.user.id))
		for table, key := range map[string]string{"notes": fmt.Sprint(id), "items": fmt.Sprint(id), "parcels": fmt.Sprint(id, " sea")} {
			if !v.await(table, key, 30*time.Second) {
				v.compare(base)
				t.Fatalf("%s has not seen the last row of %s: %s of %d rows, %v", v.user.name, table, key, len(v.tables[table]), v.counts)
			}
		}
	}
	// A moment for what should not come: duplicates, rows of others.
	time.Sleep(300 * time.Millisecond)
	for _, v := range views {
		v.compare(base)
	}
}

func execAll(t *testing.T, url, sql string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.PgConn().Exec(t.Context(), sql).ReadAll(); err != nil {
		t.Fatalf("%v in %s", err, sql)
	}
}
