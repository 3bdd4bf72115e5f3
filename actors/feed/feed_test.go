package feed_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

const owned = `CREATE TABLE a (id int PRIMARY KEY, owner uuid, v text); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
	CREATE POLICY own ON a USING (owner = auth.uid());`

// The verdict table: what an UPDATE, INSERT or DELETE is to somebody depends on
// what he may see of the old and of the new row.
func TestWhatAnIdentitySees(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(owned)
	f.enable("a")
	one, two, nobody, service := f.client(f.User(user(1))), f.client(f.User(user(2))), f.client(f.Anonymous()), f.client(f.Service())
	for _, c := range []*client{one, two, nobody, service} {
		c.subscribe("a", "*", nil)
	}
	f.Exec(`INSERT INTO a VALUES (1, $1, 'mine')`, user(1))
	f.Exec(`UPDATE a SET v = 'still mine'`)
	f.Exec(`UPDATE a SET owner = $1, v = 'yours'`, user(2))
	f.Exec(`UPDATE a SET id = 7, owner = $1, v = 'back'`, user(1))
	f.Exec(`DELETE FROM a`)
	f.Exec(`TRUNCATE a`)
	row := func(id, owner int, v string) string {
		return fmt.Sprintf(`{"id":%d,"owner":"%s","v":"%s"}`, id, user(owner), v)
	}
	one.expect("INSERT → "+row(1, 1, "mine"), "UPDATE "+row(1, 1, "mine")+" → "+row(1, 1, "still mine"), `DELETE {"id":1} left`,
		`UPDATE {"id":1} → `+row(7, 1, "back")+" entered", "DELETE "+row(7, 1, "back"), "TRUNCATE")
	two.expect(`UPDATE {"id":1} → `+row(1, 2, "yours")+" entered", `DELETE {"id":1} left`, "TRUNCATE")
	nobody.expect("TRUNCATE")
	service.expect("INSERT → "+row(1, 1, "mine"), "UPDATE "+row(1, 1, "mine")+" → "+row(1, 1, "still mine"), "UPDATE "+row(1, 1, "still mine")+" → "+row(1, 2, "yours"),
		"UPDATE "+row(1, 2, "yours")+" → "+row(7, 1, "back"), "DELETE "+row(7, 1, "back"), "TRUNCATE")
}

func TestFiltersAndEvents(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, n int)`)
	f.enable("a")
	all, inserts, deletes, filtered := f.client(f.Service()), f.client(f.Anonymous()), f.client(f.Anonymous()), f.client(f.Anonymous())
	all.subscribe("a", "", nil)
	inserts.subscribe("a", "INSERT", nil)
	deletes.subscribe("a", "DELETE", compare("n", query.Greater, "10"))
	filtered.subscribe("a", "UPDATE", compare("n", query.Greater, "10"))
	f.Exec(`INSERT INTO a VALUES (1, 5), (2, 50)`)
	f.Exec(`UPDATE a SET n = 20 WHERE id = 1`)
	f.Exec(`UPDATE a SET n = 6 WHERE id = 2`)
	f.Exec(`DELETE FROM a`)
	all.expect(`INSERT → {"id":1,"n":5}`, `INSERT → {"id":2,"n":50}`, `UPDATE {"id":1,"n":5} → {"id":1,"n":20}`, `UPDATE {"id":2,"n":50} → {"id":2,"n":6}`,
		`DELETE {"id":1,"n":20}`, `DELETE {"id":2,"n":6}`)
	inserts.expect(`INSERT → {"id":1,"n":5}`, `INSERT → {"id":2,"n":50}`)
	deletes.expect(`DELETE {"id":2} left`, `DELETE {"id":1,"n":20}`)
	filtered.expect(`UPDATE {"id":1} → {"id":1,"n":20} entered`, `DELETE {"id":2} left`)
}

func TestSeveralSubscriptionsOfOneConnection(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, n int)`)
	f.enable("a")
	c := f.client(f.Anonymous())
	all := c.subscribe("a", "*", nil)
	again := c.subscribe("a", "*", nil)
	few := c.subscribe("a", "*", compare("n", query.Greater, "10"))
	if all == again || all == few {
		t.Fatal("two subscriptions have one id")
	}
	f.Exec(`INSERT INTO a VALUES (1, 20); UPDATE a SET n = 5`)
	f.eventually("three messages", func() bool { return len(c.seen()) == 3 })
	got := ""
	for _, e := range c.seen() {
		got += fmt.Sprintf("%s %d;", e.Change.Type, len(e.IDs))
	}
	// The insert for all three at once; the update for two, and as a leave for one.
	if got != "INSERT 3;UPDATE 2;DELETE 1;" && got != "INSERT 3;DELETE 1;UPDATE 2;" {
		t.Error(got)
	}
	c.forget()
	if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Unsubscribe{Subscriber: c.ref, SubscriptionID: few}); err != nil {
		t.Fatal(err)
	}
	f.Exec(`UPDATE a SET n = 30`)
	c.expect(`UPDATE {"id":1,"n":5} → {"id":1,"n":30}`)
	if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Unsubscribe{Subscriber: c.ref}); err != nil {
		t.Fatal(err)
	}
	if s := f.stats(); s.Subscriptions != 0 || s.Tables != 0 {
		t.Errorf("%+v", s)
	}
}

func TestColumnsThatMayNotBeRead(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, secret text, internal text, v text); REVOKE ALL ON a FROM authenticated, anon;
		GRANT SELECT (id, internal, v) ON a TO authenticated`)
	f.enable("a", "internal")
	c, service := f.client(f.User(user(1))), f.client(f.Service())
	c.subscribe("a", "*", nil)
	service.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a VALUES (1, 's', 'i', 'a, "b" {'); UPDATE a SET v = 'w'; DELETE FROM a`)
	c.expect(`INSERT → {"id":1,"v":"a, \"b\" {"}`, `UPDATE {"id":1,"v":"a, \"b\" {"} → {"id":1,"v":"w"}`, `DELETE {"id":1,"v":"w"}`)
	service.expect(`INSERT → {"id":1,"secret":"s","v":"a, \"b\" {"}`, `UPDATE {"id":1,"secret":"s","v":"a, \"b\" {"} → {"id":1,"secret":"s","v":"w"}`, `DELETE {"id":1,"secret":"s","v":"w"}`)

	for _, refused := range []struct {
		client *client
		ask    feed.Subscribe
		code   fault.Code
	}{
		{c, feed.Subscribe{Table: "a", Filter: compare("secret", query.Equal, "s")}, fault.UnknownColumn},
		{service, feed.Subscribe{Table: "a", Filter: compare("internal", query.Equal, "s")}, fault.UnknownColumn},
		{c, feed.Subscribe{Table: "a", Columns: []string{"id", "secret"}}, fault.UnknownColumn},
		{service, feed.Subscribe{Table: "a", Columns: []string{"none"}}, fault.UnknownColumn},
		{c, feed.Subscribe{Table: "a", Filter: compare("id", query.Equal, "one")}, fault.InvalidInput},
		{f.client(f.Anonymous()), feed.Subscribe{Table: "a"}, fault.InsufficientPermissions},
		{c, feed.Subscribe{Table: "none"}, fault.RealtimeNotEnabled},
		{c, feed.Subscribe{Table: "a", Event: "insert"}, fault.InvalidInput},
	} {
		if _, err := refused.client.ask(refused.ask); fault.CodeOf(err) != refused.code {
			t.Errorf("%+v: %v", refused.ask, err)
		}
	}
}

func TestEnablingIsSeenAtOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY)`)
	f.enable("a")
	c := f.client(f.Anonymous())
	c.subscribe("a", "*", nil)
	for range 5 {
		f.enable("b")
		c.subscribe("b", "*", nil)
		f.Exec(`INSERT INTO b VALUES (1)`)
		c.expect(`INSERT → {"id":1}`)
		if err := f.log.Disable(f.ctx, "public", "b"); err != nil {
			t.Fatal(err)
		}
		f.Exec(`DELETE FROM b`)
		c.expect("error REALTIME_NOT_ENABLED")
	}
	f.Exec(`DROP TABLE a`)
	c.expect("error REALTIME_NOT_ENABLED")
	if s := f.stats(); s.Subscriptions != 0 {
		t.Errorf("%+v", s)
	}
}

func TestPoliciesAndGrantsHoldFromTheirCommitOn(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, secret text)`)
	f.enable("a")
	c := f.client(f.User(user(1)))
	c.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a VALUES (1, 's')`)
	c.expect(`INSERT → {"id":1,"secret":"s"}`)
	f.Exec(`REVOKE SELECT ON a FROM authenticated; GRANT SELECT (id) ON a TO authenticated`)
	f.Exec(`INSERT INTO a VALUES (2, 's')`)
	c.expect(`INSERT → {"id":2}`)
	f.Exec(`ALTER TABLE a ENABLE ROW LEVEL SECURITY`)
	f.Exec(`INSERT INTO a VALUES (3, 's')`)
	f.Exec(`CREATE POLICY p ON a USING (id % 2 = 0)`)
	f.Exec(`INSERT INTO a VALUES (4, 's'), (5, 's')`)
	c.expect(`INSERT → {"id":4}`)
	f.Exec(`REVOKE SELECT (id) ON a FROM authenticated`)
	f.Exec(`INSERT INTO a VALUES (6, 's')`)
	c.expect("error INSUFFICIENT_PERMISSIONS")
	f.Exec(`GRANT SELECT ON a TO authenticated; ALTER TABLE a DISABLE ROW LEVEL SECURITY`)
	f.Exec(`INSERT INTO a VALUES (7, 's')`)
	c.expect(`INSERT → {"id":7,"secret":"s"}`)
}

func TestChangesBehindAnotherShapeAreSaidToBeMissing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	c := f.client(f.User(user(1)))
	c.subscribe("a", "*", nil)
	f.Exec(`BEGIN; INSERT INTO a VALUES (1, 'x'); ALTER TABLE a RENAME v TO w; INSERT INTO a VALUES (2, 'y'); COMMIT`)
	c.expect("resume_failed schema_changed", `INSERT → {"id":2,"w":"y"}`)
	f.Exec(`ALTER TABLE a ADD n int`)
	f.Exec(`INSERT INTO a VALUES (3, 'z', 1)`)
	c.expect(`INSERT → {"id":3,"w":"z","n":1}`)
}

func TestAFailingPolicyIsTold(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON a USING (CASE WHEN auth.uid() = '` + user(1) + `' THEN 1 / (id - 1) = 0 ELSE true END)`)
	f.enable("a")
	broken, well := f.client(f.User(user(1))), f.client(f.User(user(2)))
	broken.subscribe("a", "*", nil)
	well.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a VALUES (1)`)
	well.expect(`INSERT → {"id":1}`)
	broken.expect("error INVALID_INPUT")
}

func TestTablesWithoutAKeyAndLargeRows(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE nokey (id int, v text); CREATE TABLE a (id int PRIMARY KEY, owner uuid, v text); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON a USING (owner = auth.uid())`)
	if err := f.log.Configure(f.ctx, 1000); err != nil {
		t.Fatal(err)
	}
	f.enable("nokey")
	f.enable("a")
	c, service := f.client(f.User(user(1))), f.client(f.Service())
	c.subscribe("nokey", "*", compare("id", query.Greater, "1"))
	c.subscribe("a", "*", nil)
	service.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO nokey VALUES (1, 'x'); UPDATE nokey SET id = 2; UPDATE nokey SET v = 'y'; UPDATE nokey SET id = 1`)
	c.expect(`UPDATE → {"id":2,"v":"x"} entered`, `UPDATE {"id":2,"v":"x"} → {"id":2,"v":"y"}`, `DELETE {"id":2,"v":"y"} left`)
	f.Exec(`INSERT INTO a SELECT g, $1, repeat('x', 2000) FROM generate_series(1, 2) g`, user(1))
	c.expect(`INSERT → {"id":1} truncated`, `INSERT → {"id":2} truncated`)
	service.expect(`INSERT → {"id":1} truncated`, `INSERT → {"id":2} truncated`)
	f.Exec(`DELETE FROM a WHERE id = 1`)
	service.expect(`DELETE {"id":1} truncated`)
	c.expect("view_changed not_judged")
}

func TestTheBytesAreShared(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, owner uuid); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY p ON a USING (owner = auth.uid() OR id > 100)`)
	f.enable("a")
	var clients []*client
	for n := range 20 {
		c := f.client(f.User(user(n % 5)))
		c.subscribe("a", "*", compare("id", query.Greater, "0"))
		clients = append(clients, c)
	}
	f.Exec(`INSERT INTO a VALUES (101, NULL), (102, NULL)`)
	frames := map[any]bool{}
	for _, c := range clients {
		c.expect(`INSERT → {"id":101,"owner":null}`, `INSERT → {"id":102,"owner":null}`)
		for frame := range c.frames {
			frames[frame] = true
		}
	}
	if len(frames) != 1 {
		t.Errorf("%d frames for 20 connections that saw the same", len(frames))
	}
}

func TestReadingWaitsForStuckConnections(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *feed.Options) { o.RingBytes = 200_000; o.Batch.Entries = 100 })
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	stuck, well := f.client(f.Anonymous()), f.client(f.Anonymous())
	stuck.hold = true
	stuck.subscribe("a", "*", nil)
	well.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a SELECT g, repeat('x', 500) FROM generate_series(1, 10000) g`)
	f.eventually("the window is full", func() bool { return f.stats().WindowBytes >= 200_000 })
	time.Sleep(1500 * time.Millisecond) // longer than it waits between reads
	if used := f.stats().WindowBytes; used > 1_000_000 {
		t.Errorf("%d bytes are on their way", used)
	}
	stuck.release()
	f.eventually("everything arrived", func() bool { return len(stuck.seen()) == 10000 && len(well.seen()) == 10000 })
	for i, e := range stuck.seen() {
		if !strings.HasPrefix(string(e.Change.Record), fmt.Sprintf(`{"id":%d,`, i+1)) {
			t.Fatalf("message %d is %s", i, e.Change.Record)
		}
	}
	f.eventually("the window is empty", func() bool { return f.stats().WindowBytes == 0 })
}

// TestStuckConnectionsAreCutForTheOthers: who fills the window and stands still is
// told to go, who has everything is not meant, and what follows is delivered.
func TestStuckConnectionsAreCutForTheOthers(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *feed.Options) { o.RingBytes = 200_000; o.Batch.Entries = 100 })
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	stuck, well := f.client(f.Anonymous()), f.client(f.Anonymous())
	cut := make(chan delivery.Evict, 1)
	stuck.hold = true
	stuck.evict = func(e delivery.Evict) {
		if stuck.hold && len(stuck.held) > 0 && stuck.held[0].Overdue(e) {
			stuck.hold = false
			for _, frame := range stuck.held {
				frame.Done()
			}
			cut <- e
		}
	}
	stuck.subscribe("a", "*", nil)
	well.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a SELECT g, repeat('x', 500) FROM generate_series(1, 3000) g`)
	select {
	case e := <-cut:
		if !e.Still {
			t.Errorf("cut %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody was cut")
	}
	f.eventually("the other one has everything", func() bool { return len(well.seen()) == 3000 })
}

func TestAnotherCallerSeesOtherRows(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(owned)
	f.enable("a")
	c := f.client(f.User(user(1)))
	c.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a VALUES (1, $1), (2, $2)`, user(1), user(2))
	c.expect(fmt.Sprintf(`INSERT → {"id":1,"owner":"%s","v":null}`, user(1)))
	c.caller = f.User(user(2))
	if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Reidentify{Subscriber: c.subscriber()}); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO a VALUES (3, $1), (4, $2)`, user(1), user(2))
	c.expect(fmt.Sprintf(`INSERT → {"id":4,"owner":"%s","v":null}`, user(2)))
}

func TestGoneConnectionsAreForgotten(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	one, two := f.client(f.Anonymous()), f.client(f.Anonymous())
	one.subscribe("a", "*", nil)
	two.subscribe("a", "*", nil)
	one.ref.Stop()
	f.eventually("the first is forgotten", func() bool { return f.stats().Subscribers == 1 })
	if err := f.feed.Tell(feed.Gone{Subscriber: two.ref}); err != nil {
		t.Fatal(err)
	}
	f.eventually("both are forgotten", func() bool { s := f.stats(); return s.Subscribers == 0 && s.Tables == 0 })
	reads := f.stats().Reads
	f.Exec(`INSERT INTO a VALUES (1)`)
	time.Sleep(1200 * time.Millisecond)
	if now := f.stats().Reads; now != reads {
		t.Error("it reads for nobody")
	}
	three := f.client(f.Anonymous())
	three.subscribe("a", "*", nil)
	f.Exec(`INSERT INTO a VALUES (2)`)
	three.expect(`INSERT → {"id":2}`)
}

func TestTheLogBecomesAnother(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	c := f.client(f.Anonymous())
	c.subscribe("a", "*", nil)
	f.Exec(`UPDATE realtime.log_state SET random_id = gen_random_uuid()`)
	f.killListeners()
	c.expect("resume_failed epoch_changed")
	f.eventually("reading goes on", func() bool {
		f.Exec(`DELETE FROM a; INSERT INTO a VALUES (1)`)
		return len(c.seen()) > 0
	})
	// Pruned behind a feed that could not read.
	f.Exec(`LOCK TABLE realtime.log_state; TRUNCATE realtime.changes; UPDATE realtime.ring SET pruned_min = '3', pruned_max = pg_current_xact_id(), pruned_snapshot = pg_current_snapshot() WHERE slot = 3`)
	f.eventually("it is told", func() bool {
		for _, e := range c.seen() {
			if e.brief() == "resume_failed too_old" {
				return true
			}
		}
		return false
	})
}

func (f *fixture) killListeners() {
	f.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'`)
}

func TestIDs(t *testing.T) {
	in := func(values ...string) query.Condition {
		return &query.Compare{Path: query.Column("a"), Op: query.In, Values: values}
	}
	seen := map[string]string{}
	for name, id := range map[string]string{
		"plain": feed.ID("public", "a", "*", nil, 0), "second": feed.ID("public", "a", "*", nil, 1), "event": feed.ID("public", "a", "INSERT", nil, 0),
		"names": feed.ID("publica", "", "*", nil, 0), "in": feed.ID("public", "a", "*", in("x", "y"), 0), "in one": feed.ID("public", "a", "*", in("x,y"), 0),
		"not": feed.ID("public", "a", "*", query.Not{Condition: in("x", "y")}, 0), "and": feed.ID("public", "a", "*", query.And{in("x"), in("y")}, 0),
		"or": feed.ID("public", "a", "*", query.Or{in("x"), in("y")}, 0),
	} {
		if other, ok := seen[id]; ok {
			t.Errorf("%s and %s have the same id", name, other)
		}
		seen[id] = name
	}
	first, again := feed.ID("public", "a", "*", in("x", "y"), 0), feed.ID("public", "a", "*", in("x", "y"), 0)
	if first != again {
		t.Error("an id is made up")
	}
}

func withClaims(c caller.Caller, claims string) caller.Caller {
	c.Claims = json.RawMessage(claims)
	return c
}
