package feed_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/actors/delivery"
	"fluxbase/actors/feed"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// viewer keeps what a client would show: the rows that it may see and asked for.
type viewer struct {
	*client
	where string // the filter as SQL
	rows  map[string]string
	taken int
	// cursor is the place behind what was taken; empty in the middle of rows.
	cursor string
	// loose: rows may come and go without a word, because policies read other tables.
	loose bool
}

// replay applies what came since; an event that does not fit what the client has
// means that something was lost, came twice or in the wrong order.
func (v *viewer) replay() {
	v.t.Helper()
	events := v.seen()
	for _, e := range events[v.taken:] {
		v.taste(e)
	}
	v.taken = len(events)
}

// taste applies one event.
func (v *viewer) taste(e event) {
	v.t.Helper()
	if cursor := e.cursor(); cursor != "" {
		v.cursor = cursor
	}
	switch {
	case e.Rows != nil:
		if e.Rows.Begin {
			clear(v.rows)
			v.cursor = "" // until the last of them
		}
		for _, record := range e.Rows.Records {
			v.put(record)
		}
		if e.Rows.Done {
			v.cursor = e.Rows.Position
		}
	case e.Notice != nil && e.Notice.Type != "position":
		v.t.Errorf("%s: %+v", v.where, e.Notice)
	case e.Change != nil:
		v.apply(e.Change)
	}
}

// id is the key of an image.
func (v *viewer) id(image json.RawMessage) string {
	v.t.Helper()
	var row struct{ ID int }
	if err := json.Unmarshal(image, &row); err != nil {
		v.t.Errorf("%s: %v", image, err)
	}
	return fmt.Sprint(row.ID)
}

func (v *viewer) put(image json.RawMessage) {
	v.t.Helper()
	key := v.id(image)
	if have, ok := v.rows[key]; ok && !v.loose {
		v.t.Errorf("%s: %s hits %q", v.where, image, have)
	}
	v.rows[key] = string(image)
}

func (v *viewer) apply(c *delivery.Change) {
	v.t.Helper()
	gone := func(image json.RawMessage, whole bool) {
		key := v.id(image)
		have, ok := v.rows[key]
		if (!ok || whole && have != string(image)) && !v.loose {
			v.t.Errorf("%s %s: %s → %s starts from %q", v.where, c.Type, c.OldRecord, c.Record, have)
		}
		delete(v.rows, key)
	}
	switch {
	case c.Type == delivery.Truncate:
		clear(v.rows)
	case c.Type == delivery.Insert || c.Entered:
		v.put(c.Record)
	case c.Type == delivery.Update:
		gone(c.OldRecord, true)
		v.put(c.Record)
	default:
		gone(c.OldRecord, !c.Left)
	}
}

// want is what SELECT gives the client's user.
func (v *viewer) want() map[string]string {
	v.t.Helper()
	rows := map[string]string{}
	// Connections that were cut are noticed when they are used.
	var err error
	for range 20 {
		clear(rows)
		if err = v.f.DB.Run(v.f.ctx, v.caller, db.Statement{SQL: "SELECT id::text, row_to_json(a)::text FROM a WHERE " + v.where, Read: func(r pgx.Rows) error {
			var id, image string
			_, err := pgx.ForEachRow(r, []any{&id, &image}, func() error { rows[id] = image; return nil })
			return err
		}}); fault.CodeOf(err) != fault.ServiceUnavailable {
			break
		}
	}
	if err != nil {
		v.t.Fatal(err)
	}
	return rows
}

// Writers of all kinds, identities that see different rows, filters, and a
// listener that is killed again and again: in the end every client has the rows
// that SELECT gives its user, and each change fitted what it had before.
func TestEveryClientEndsWithWhatItMaySee(t *testing.T) {
	t.Parallel()
	f := setup(t, func(o *feed.Options) { o.Batch.Entries = 50 })
	f.wildTable()
	var viewers []*viewer
	for i, c := range f.wildCallers() {
		for _, filter := range wildFilters {
			v := &viewer{client: f.client(c), where: filter.where, rows: map[string]string{}}
			v.codec = lines{fmt.Sprint("lines", i%2)}
			v.subscribe("a", "*", filter.condition)
			viewers = append(viewers, v)
		}
	}

	stop := f.wildWriters()
	time.Sleep(6 * time.Second)
	stop()

	// The last change reaches everybody, and nothing else comes behind it.
	f.Exec(`TRUNCATE a`)
	f.Exec(`INSERT INTO a SELECT g, $1, 'red', g, NULL FROM generate_series(1, 40) g`, user(1))
	f.wildEnd(viewers)
}

// wildTable makes a table whose rows are seen by all kinds of policies, and enables
// it.
func (f *fixture) wildTable() {
	f.t.Helper()
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, owner uuid, org text, n int NOT NULL DEFAULT 0, v text);
		ALTER TABLE a ENABLE ROW LEVEL SECURITY;
		CREATE POLICY own ON a USING (owner = auth.uid() AND n % 5 <> 4);
		CREATE POLICY org ON a TO authenticated USING (org = auth.jwt()->>'org' AND n % 3 = 0);
		CREATE POLICY small ON a AS RESTRICTIVE USING (n < 30 OR auth.role() = 'anon');
		CREATE POLICY zero ON a TO anon USING (n = 0);
		CREATE FUNCTION bump() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF NEW.n % 7 = 1 THEN UPDATE a SET v = coalesce(v, '') || '+', n = n + 1 WHERE id = NEW.id; END IF; RETURN NULL; END $$;
		CREATE TRIGGER bump AFTER INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION bump()`)
	f.enable("a")
}

// wildCallers see different rows.
func (f *fixture) wildCallers() []caller.Caller {
	return []caller.Caller{
		f.Anonymous(), f.Service(), f.User(user(1)), f.User(user(2)), f.User(user(1)),
		withClaims(f.User(user(1)), `{"role":"authenticated","org":"red","sub":"`+user(1)+`"}`),
		withClaims(f.User(user(3)), `{"role":"authenticated","org":"blue","sub":"`+user(3)+`"}`),
		withClaims(f.User(user(3)), `{"role":"authenticated","org":"red","sub":"`+user(3)+`"}`),
	}
}

var wildFilters = []struct {
	condition query.Condition
	where     string
}{{nil, "true"}, {compare("n", query.Greater, "3"), "n > 3"}, {compare("org", query.Equal, "red"), "org = 'red'"}}

// wildWriters write until they are stopped, while listeners are killed.
func (f *fixture) wildWriters() (stopAll func()) {
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range 4 {
		c := f.connect()
		random := rand.New(rand.NewPCG(uint64(seed), 11))
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					change(f, c, random)
				}
			}
		})
	}
	writers.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(700 * time.Millisecond):
				f.killListeners()
			}
		}
	})
	return func() {
		close(stop)
		writers.Wait()
	}
}

// wildEnd waits until every viewer has what SELECT gives it, and nothing more comes.
func (f *fixture) wildEnd(viewers []*viewer) {
	t := f.t
	t.Helper()
	for _, v := range viewers {
		want := v.want()
		f.eventually("the client has everything", func() bool { v.replay(); return t.Failed() || maps.Equal(v.rows, want) })
	}
	time.Sleep(1200 * time.Millisecond)
	total := 0
	for _, v := range viewers {
		v.replay()
		total += len(v.seen())
		if want := v.want(); !maps.Equal(v.rows, want) {
			t.Errorf("%s %s: the client has %d rows, SELECT %d", v.caller.Claims, v.where, len(v.rows), len(want))
		}
	}
	t.Logf("%d events, %+v", total, f.stats())
}

// change does one random transaction.
func change(f *fixture, c *pgx.Conn, random *rand.Rand) {
	tx, err := c.Begin(f.ctx)
	if err != nil {
		return
	}
	for range 1 + random.IntN(3) {
		k, n := random.IntN(40), random.IntN(35)
		owner := user(1 + random.IntN(3))
		org := []string{"red", "blue", "green"}[random.IntN(3)]
		var sql string
		switch random.IntN(7) {
		case 0, 1:
			sql = fmt.Sprintf("INSERT INTO a VALUES (%d, '%s', '%s', %d) ON CONFLICT (id) DO UPDATE SET n = excluded.n, owner = excluded.owner", k, owner, org, n)
		case 2:
			sql = fmt.Sprintf("UPDATE a SET n = n + 1 WHERE id BETWEEN %d AND %d", k, k+3)
		case 3:
			sql = fmt.Sprintf("UPDATE a SET org = '%s' WHERE id = %d", org, k)
		case 4:
			sql = fmt.Sprintf("DELETE FROM a WHERE id = %d", k)
		case 5:
			sql = fmt.Sprintf("UPDATE a SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM a WHERE id = %d)", k, n, k)
		case 6:
			if random.IntN(30) > 0 {
				continue
			}
			sql = "TRUNCATE a"
		}
		if _, err := tx.Exec(f.ctx, sql); err != nil {
			tx.Rollback(f.ctx)
			return
		}
	}
	if random.IntN(8) == 0 {
		tx.Rollback(f.ctx)
		return
	}
	tx.Commit(f.ctx)
	time.Sleep(time.Duration(random.IntN(10)) * time.Millisecond)
}
