package feed_test

import (
	"testing"

	"fluxbase/actors/feed"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// everything subscribes to all tables of a schema.
func (c *client) everything(schema, event string) string {
	c.t.Helper()
	s, err := c.ask(feed.Subscribe{Schema: schema, Table: feed.Every, Event: event})
	if err != nil {
		c.t.Fatal(err)
	}
	return s.ID
}

// TestEveryTable: a wildcard follows the tables that are there and those that come, as
// far as its caller may read them, under one id.
func TestEveryTable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(owned + `CREATE TABLE b (id int PRIMARY KEY); CREATE TABLE c (id int PRIMARY KEY); REVOKE ALL ON c FROM authenticated, anon;
		CREATE SCHEMA shop; CREATE TABLE shop.d (id int PRIMARY KEY); GRANT USAGE ON SCHEMA shop TO authenticated; GRANT SELECT ON shop.d TO authenticated`)
	f.enable("a")
	f.enable("c")
	one, all, inserts := f.client(f.User(user(1))), f.client(f.Service()), f.client(f.User(user(1)))
	id := one.everything("public", "*")
	all.everything("public", "*")
	everywhere := inserts.everything(feed.Every, "INSERT")

	f.Exec(`INSERT INTO a VALUES (1, $1, 'mine')`, user(1))
	row := `{"id":1,"owner":"` + user(1) + `","v":"mine"}`
	one.expect("INSERT → " + row)
	all.expect("INSERT → " + row)
	inserts.expect("INSERT → " + row)
	// What may not be read, or is another schema's.
	f.Exec(`INSERT INTO a VALUES (2, $1, 'yours')`, user(2))
	all.expect(`INSERT → {"id":2,"owner":"` + user(2) + `","v":"yours"}`)
	f.Exec(`INSERT INTO c VALUES (1)`)
	all.expect(`INSERT → {"id":1}`)
	if _, err := f.log.Enable(f.ctx, "shop", "d", nil, nil); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO shop.d VALUES (5); DELETE FROM shop.d`)
	inserts.expect(`INSERT → {"id":5}`)
	// A table that is enabled now: nothing is missed.
	f.enable("b")
	f.Exec(`INSERT INTO b VALUES (7)`)
	for _, c := range []*client{one, all, inserts} {
		c.expect(`INSERT → {"id":7}`)
	}
	for _, e := range inserts.seen() {
		if len(e.IDs) != 1 || e.IDs[0] != everywhere {
			t.Errorf("ids %v, want %s", e.IDs, everywhere)
		}
	}
	// One that is disabled is one fewer, and may come back.
	if err := f.log.Disable(f.ctx, "public", "b"); err != nil {
		t.Fatal(err)
	}
	f.enable("b")
	f.Exec(`INSERT INTO b VALUES (8)`)
	for _, c := range []*client{one, all, inserts} {
		c.expect(`INSERT → {"id":8}`)
	}

	// Another caller follows what it may read.
	one.caller = f.Service()
	if _, err := one.ask(feed.Subscribe{SubscriptionID: id, Table: feed.Every, Again: true}); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO c VALUES (2)`)
	one.expect(`INSERT → {"id":2}`)
	all.expect(`INSERT → {"id":2}`)
	one.caller = f.User(user(1))
	if _, err := one.ask(feed.Subscribe{SubscriptionID: id, Table: feed.Every, Again: true}); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO c VALUES (3)`)
	all.expect(`INSERT → {"id":3}`)
	f.Exec(`INSERT INTO b VALUES (9)`)
	one.expect(`INSERT → {"id":9}`)

	// It ends as a whole.
	for _, c := range []*client{one, all, inserts} {
		if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Unsubscribe{Subscriber: c.ref, SubscriptionID: id}); err != nil {
			t.Fatal(err)
		}
		if _, err := kernel.Ask[any](f.ctx, f.feed, feed.Unsubscribe{Subscriber: c.ref}); err != nil {
			t.Fatal(err)
		}
	}
	if s := f.stats(); s.Subscriptions != 0 || s.Tables != 0 || s.Subscribers != 0 {
		t.Errorf("%+v", s)
	}
}

func TestEveryTableRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	c := f.client(f.Service())
	for _, m := range []feed.Subscribe{
		{Schema: feed.Every, Table: "a"},
		{Table: feed.Every, Filter: compare("id", query.Greater, "1")},
		{Table: feed.Every, Cursor: "x"},
	} {
		if _, err := c.ask(m); fault.CodeOf(err) != fault.InvalidInput {
			t.Errorf("%+v: %v", m, err)
		}
	}
	if _, err := c.ask(feed.Subscribe{SubscriptionID: "gone", Table: feed.Every, Again: true}); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
}
