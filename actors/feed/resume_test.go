package feed_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"fluxbase/actors/delivery"
	"fluxbase/actors/feed"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// last waits until n events were seen and gives the cursor of the last.
func (c *client) last(n int) string {
	c.t.Helper()
	c.f.eventually(fmt.Sprint(n, " events"), func() bool { return len(c.seen()) >= n })
	return c.seen()[n-1].cursor()
}

func (c *client) resume(cursor string) {
	c.t.Helper()
	begun, err := c.ask(feed.Subscribe{Table: "a", Cursor: cursor})
	if err != nil {
		c.t.Fatal(err)
	}
	if begun.Cursor == "" || begun.Snapshot || !begun.Waits {
		c.t.Errorf("resumed: %+v", begun)
	}
}

func TestAClientGoesOnFromItsCursor(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int)`)
	f.enable("a")
	f.enable("b")
	first := f.client(f.Service())
	begun, err := first.ask(feed.Subscribe{Table: "a"})
	if err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO a VALUES (1, 'x'), (2, 'x'), (3, 'x')`)
	middle := first.last(2)
	f.Exec(`UPDATE a SET v = 'y' WHERE id = 1`)
	end := first.last(4)
	first.ref.Stop()
	f.eventually("it is gone", func() bool { return f.stats().Subscriptions == 0 })
	f.Exec(`INSERT INTO b VALUES (1); DELETE FROM a WHERE id = 2`)

	for _, node := range []string{"the same node", "another node"} {
		all, some, rest := f.client(f.Service()), f.client(f.Service()), f.client(f.Service())
		if node == "another node" {
			other := f.node("other")
			all.feed, some.feed, rest.feed = other, other, other
		}
		all.resume(begun.Cursor)
		some.resume(middle)
		rest.resume(end)
		all.expect(`INSERT → {"id":1,"v":"x"}`, `INSERT → {"id":2,"v":"x"}`, `INSERT → {"id":3,"v":"x"}`, `UPDATE {"id":1,"v":"x"} → {"id":1,"v":"y"}`, `DELETE {"id":2,"v":"x"}`)
		some.expect(`INSERT → {"id":3,"v":"x"}`, `UPDATE {"id":1,"v":"x"} → {"id":1,"v":"y"}`, `DELETE {"id":2,"v":"x"}`)
		rest.expect(`DELETE {"id":2,"v":"x"}`)
		f.Exec(`INSERT INTO a VALUES (9, 'live'); DELETE FROM a WHERE id = 9`)
		for _, c := range []*client{all, some, rest} {
			c.expect(`INSERT → {"id":9,"v":"live"}`, `DELETE {"id":9,"v":"live"}`)
			c.ref.Stop()
		}
		f.Exec(`DELETE FROM realtime.changes WHERE (coalesce(record, old_record) ->> 'id')::int = 9`)
	}
}

func TestCursorsThatAreNoGoodAreRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int)`)
	f.enable("a")
	f.enable("b")
	c := f.client(f.Service())
	begun, err := c.ask(feed.Subscribe{Table: "a"})
	if err != nil {
		t.Fatal(err)
	}
	refused := func(m feed.Subscribe, reason string) {
		t.Helper()
		_, err := f.client(f.Service()).ask(m)
		var gone *delivery.ResumeError
		if !errors.As(err, &gone) || gone.Reason != reason || fault.CodeOf(err) != fault.ResumeFailed {
			t.Errorf("%+v: %v, want %s", m, err, reason)
		}
	}
	filter := compare("id", query.Equal, "1")
	refused(feed.Subscribe{Table: "a", Cursor: "nonsense"}, delivery.InvalidCursor)
	refused(feed.Subscribe{Table: "b", Cursor: begun.Cursor}, delivery.InvalidCursor)
	refused(feed.Subscribe{Table: "a", Event: "INSERT", Cursor: begun.Cursor}, delivery.InvalidCursor)
	refused(feed.Subscribe{Table: "a", Filter: filter, Cursor: begun.Cursor}, delivery.InvalidCursor)
	refused(feed.Subscribe{Table: "a", Cursor: begun.Cursor[:len(begun.Cursor)-3] + "abc"}, delivery.InvalidCursor)

	f.Exec(`INSERT INTO a VALUES (1, 'x')`)
	f.Exec(`ALTER TABLE a ADD w int`)
	refused(feed.Subscribe{Table: "a", Cursor: begun.Cursor}, delivery.SchemaChanged)
	// The change in between is no hindrance where there was nothing to judge before it.
	begun = mustAsk(t, c, feed.Subscribe{Table: "b"})
	f.Exec(`ALTER TABLE b ADD w int; INSERT INTO b VALUES (1, 2)`)
	other := f.client(f.Service())
	mustAsk(t, other, feed.Subscribe{Table: "b", Cursor: begun.Cursor})
	other.expect(`INSERT → {"id":1,"w":2}`)

	late := mustAsk(t, c, feed.Subscribe{Table: "a"}).Cursor
	f.Exec(`INSERT INTO a VALUES (2, 'x')`)
	c.last(3)
	f.eventually("the log is pruned", func() bool {
		if _, _, err := f.log.Prune(f.ctx, 0, 0); err != nil {
			t.Fatal(err)
		}
		f.Exec(`INSERT INTO b VALUES (1, 1)`)
		_, err := f.client(f.Service()).ask(feed.Subscribe{Table: "a", Cursor: late})
		return err != nil
	})
	refused(feed.Subscribe{Table: "a", Cursor: late}, delivery.TooOld)

	early := mustAsk(t, c, feed.Subscribe{Table: "a"}).Cursor
	f.Exec(`UPDATE realtime.log_state SET random_id = gen_random_uuid()`)
	f.killListeners()
	f.eventually("the epoch is another one", func() bool {
		for _, e := range c.seen() {
			if e.Notice != nil && e.Notice.Code == delivery.EpochChanged {
				return true
			}
		}
		return false
	})
	refused(feed.Subscribe{Table: "a", Cursor: early}, delivery.EpochChanged)
}

func mustAsk(t *testing.T, c *client, m feed.Subscribe) feed.Subscribed {
	t.Helper()
	begun, err := c.ask(m)
	if err != nil {
		t.Fatal(err)
	}
	return begun
}

func TestASubscriptionBeginsWithRows(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *feed.Options) { o.Snapshot.Rows = 5 })
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text, secret text); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON a USING (v <> 'hidden'); INSERT INTO a VALUES (1, 'x', 's'), (2, 'y', 's'), (3, 'hidden', 's')`)
	f.enable("a", "secret")
	rows := func(c *client, m feed.Subscribe, order []query.Order, limit int64) (feed.Subscribed, error) {
		m.Table, m.Snapshot = "a", &delivery.SnapshotRequest{Order: order, Limit: limit}
		return c.ask(m)
	}
	down := []query.Order{{Path: query.Column("id"), Desc: true}}
	all, one, none := f.client(f.User(user(1))), f.client(f.User(user(1))), f.client(f.User(user(1)))
	begun, err := rows(all, feed.Subscribe{}, down, 0)
	if err != nil || !begun.Snapshot || !begun.Waits || begun.Cursor == "" {
		t.Fatalf("%+v, %v", begun, err)
	}
	all.expect(`rows {"id":2,"v":"y"} {"id":1,"v":"x"}`)
	if _, err := rows(one, feed.Subscribe{}, down, 1); err != nil {
		t.Fatal(err)
	}
	one.expect(`rows {"id":2,"v":"y"}`)
	if _, err := rows(none, feed.Subscribe{Filter: compare("id", query.Greater, "5")}, nil, 0); err != nil {
		t.Fatal(err)
	}
	f.eventually("no rows are told", func() bool { return len(none.seen()) == 1 })
	if r := none.seen()[0].Rows; r == nil || !r.Begin || !r.Done || r.Position == "" || len(r.Columns) != 2 {
		t.Errorf("%+v", r)
	}
	none.forget()
	f.Exec(`INSERT INTO a VALUES (6, 'new', 's')`)
	all.expect(`INSERT → {"id":6,"v":"new"}`)
	one.expect(`INSERT → {"id":6,"v":"new"}`)
	none.expect(`INSERT → {"id":6,"v":"new"}`)

	// More rows than are allowed, and what may not be read.
	f.Exec(`INSERT INTO a SELECT g, 'many', 's' FROM generate_series(10, 20) g`)
	c := f.client(f.User(user(1)))
	if _, err := rows(c, feed.Subscribe{}, nil, 0); fault.CodeOf(err) != fault.PayloadTooLarge {
		t.Errorf("too many rows: %v", err)
	}
	if _, err := rows(c, feed.Subscribe{}, nil, 5); err != nil {
		t.Errorf("as many rows as are allowed: %v", err)
	}
	f.Exec(`CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)`)
	f.enable("b", "id")
	if _, err := c.ask(feed.Subscribe{Table: "b", Snapshot: &delivery.SnapshotRequest{}}); fault.CodeOf(err) != fault.InsufficientPermissions {
		t.Errorf("rows without a column: %v", err)
	}
	if _, err := rows(c, feed.Subscribe{}, []query.Order{{Path: query.Column("secret")}}, 1); fault.CodeOf(err) != fault.UnknownColumn {
		t.Errorf("an order by what is not told: %v", err)
	}
}

func TestQuietSubscriptionsHearHowFarTheLogWasRead(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *feed.Options) { o.PositionEvery = 50 * time.Millisecond })
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE b (id int)`)
	f.enable("a")
	f.enable("b")
	c := f.client(f.Service())
	begun := mustAsk(t, c, feed.Subscribe{Table: "a"})
	f.Exec(`INSERT INTO a VALUES (1, 'before'); INSERT INTO b VALUES (1)`)
	f.eventually("the position is told", func() bool {
		n := len(c.seen())
		return n > 1 && c.seen()[n-1].Notice != nil && c.seen()[n-1].Notice.Type == "position"
	})
	events := c.seen()
	if cursor := events[len(events)-1].cursor(); cursor == "" || cursor == begun.Cursor || events[len(events)-1].IDs[0] != begun.ID {
		t.Fatalf("told %+v", events)
	}
	later := f.client(f.Service())
	later.resume(events[len(events)-1].cursor())
	f.Exec(`INSERT INTO a VALUES (2, 'after')`)
	f.eventually("the change behind it comes", func() bool {
		var briefs []string
		for _, e := range later.seen() {
			if e.Change != nil {
				briefs = append(briefs, e.brief())
			}
		}
		return strings.Join(briefs, " | ") == `INSERT → {"id":2,"v":"after"}`
	})
}

// A policy that reads another table lets rows come and go without a word in the log.
func TestWhoseViewChangesIsToldOrGetsTheRowsAgain(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE member (org text, who uuid, PRIMARY KEY (org, who)); GRANT SELECT ON member TO authenticated;
		CREATE TABLE a (id int PRIMARY KEY, org text); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY org ON a USING (org IN (SELECT m.org FROM member m WHERE m.who = auth.uid()));
		INSERT INTO a VALUES (1, 'red'), (2, 'blue')`)
	f.enable("a")
	f.enable("member")
	f.Exec(`INSERT INTO member VALUES ('red', $1)`, user(1))
	plain, withRows, service := f.client(f.User(user(1))), f.client(f.User(user(1))), f.client(f.Service())
	plain.subscribe("a", "*", nil)
	service.subscribe("a", "*", nil)
	mustAsk(t, withRows, feed.Subscribe{Table: "a", Snapshot: &delivery.SnapshotRequest{}})
	limited := f.client(f.User(user(1)))
	mustAsk(t, limited, feed.Subscribe{Table: "a", Snapshot: &delivery.SnapshotRequest{Limit: 5}})
	limited.expect(`rows {"id":1,"org":"red"}`)
	withRows.expect(`rows {"id":1,"org":"red"}`)
	f.Exec(`INSERT INTO member VALUES ('blue', $1)`, user(1))
	plain.expect(`view_changed policy_data_changed`)
	withRows.expect(`UPDATE {"id":2} → {"id":2,"org":"blue"} entered`, `position `)
	limited.expect(`rows {"id":1,"org":"red"} {"id":2,"org":"blue"}`)
	limited.ref.Stop()
	f.Exec(`UPDATE a SET id = 3 WHERE id = 2; DELETE FROM member WHERE org = 'red'`)
	withRows.expect(`UPDATE {"id":2,"org":"blue"} → {"id":3,"org":"blue"}`, `DELETE {"id":1} left`, `position `)
	plain.expect(`UPDATE {"id":2,"org":"blue"} → {"id":3,"org":"blue"}`, `view_changed policy_data_changed`)
	service.expect(`UPDATE {"id":2,"org":"blue"} → {"id":3,"org":"blue"}`)
	// It is live again.
	f.Exec(`DELETE FROM a WHERE id = 3`)
	withRows.expect(`DELETE {"id":3,"org":"blue"}`)
	// What happened while a client was away counts, too.
	away := f.client(f.User(user(1)))
	cursor := mustAsk(t, away, feed.Subscribe{Table: "a"}).Cursor
	away.ref.Stop()
	f.Exec(`INSERT INTO member VALUES ('red', $1)`, user(1))
	back, backForRows := f.client(f.User(user(1))), f.client(f.User(user(1)))
	mustAsk(t, back, feed.Subscribe{Table: "a", Cursor: cursor})
	mustAsk(t, backForRows, feed.Subscribe{Table: "a", Cursor: cursor, Snapshot: &delivery.SnapshotRequest{}})
	back.expect(`view_changed policy_data_changed`)
	backForRows.expect(`rows {"id":1,"org":"red"}`)
}

// Another caller on the same connection sees other rows: who began with rows gets
// them anew, and nobody gets what was judged for the caller before.
func TestAnotherCallerGetsItsOwnRows(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, owner uuid); ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON a USING (owner = auth.uid())`)
	f.enable("a")
	f.Exec(`INSERT INTO a VALUES (1, $1), (2, $2)`, user(1), user(2))
	c := f.client(f.User(user(1)))
	begun := mustAsk(t, c, feed.Subscribe{Table: "a", Snapshot: &delivery.SnapshotRequest{}})
	c.expect(`rows {"id":1,"owner":"` + user(1) + `"}`)
	c.caller = f.User(user(2))
	mustAsk(t, c, feed.Subscribe{Table: "a", SubscriptionID: begun.ID, Again: true})
	c.expect(`rows {"id":2,"owner":"` + user(2) + `"}`)
	f.Exec(`UPDATE a SET id = id + 10`)
	c.expect(`UPDATE {"id":2,"owner":"` + user(2) + `"} → {"id":12,"owner":"` + user(2) + `"}`)
	if _, err := c.ask(feed.Subscribe{Table: "a", SubscriptionID: "none", Again: true}); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a subscription that is not there goes on: %v", err)
	}
}

// A client that goes before it has got its rows, or replaces the subscription, leaves
// nothing behind.
func TestSubscriptionsThatEndWhileTheyBegin(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); INSERT INTO a SELECT g, repeat('x', 1000) FROM generate_series(1, 2000) g`)
	f.enable("a")
	for range 5 {
		c := f.client(f.Service())
		c.hold = true // takes nothing
		begun := mustAsk(t, c, feed.Subscribe{Table: "a", Snapshot: &delivery.SnapshotRequest{}})
		again := mustAsk(t, c, feed.Subscribe{Table: "a", SubscriptionID: begun.ID, Cursor: begun.Cursor})
		if again.ID != begun.ID || f.stats().Subscriptions != 1 {
			t.Errorf("%+v: %+v", again, f.stats())
		}
		if err := f.feed.Tell(feed.Unsubscribe{Subscriber: c.ref, SubscriptionID: begun.ID}); err != nil {
			t.Fatal(err)
		}
		mustAsk(t, c, feed.Subscribe{Table: "a", Snapshot: &delivery.SnapshotRequest{}})
		c.ref.Stop()
		c.release()
		f.eventually("all is forgotten", func() bool {
			s := f.stats()
			return s.Subscriptions == 0 && s.Replaying == 0 && s.WindowBytes == 0 && s.Tables == 0
		})
	}
}
