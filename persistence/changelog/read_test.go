package changelog_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/changelog"
)

// Writers of all kinds run beside a reader: every committed change must come
// once, in an order in which each starts from what the one before it left.
func TestReadingIsExactBesideConcurrentWriters(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE parent (id int PRIMARY KEY);
		CREATE TABLE a (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, v text, parent int REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE);
		CREATE TABLE p (id int PRIMARY KEY, n int NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
		CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (MINVALUE) TO (50); CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (50) TO (MAXVALUE);
		CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF pg_trigger_depth() = 1 AND NEW.n % 3 = 0 THEN UPDATE a SET v = coalesce(v, '') || '*' WHERE id = NEW.id; END IF; RETURN NULL; END $$;
		CREATE TRIGGER stamp AFTER INSERT OR UPDATE ON a FOR EACH ROW EXECUTE FUNCTION stamp();
		INSERT INTO parent SELECT generate_series(1, 5)`)
	ids := map[int32]*replica{
		f.enable("a").ID: newReplica(t, "id"),
		f.enable("p").ID: newReplica(t, "id"),
	}
	names := map[int32]string{}
	r := f.tail()
	r.limit = changelog.Limit{Entries: 7, Bytes: 2000}
	for id, table := range r.plan.Tables() {
		names[id] = table.Name
	}

	// A transaction that runs all the time and writes nothing here.
	long := f.connect()
	if _, err := long.Exec(f.ctx, "BEGIN; SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range 6 {
		c := f.connect()
		random := rand.New(rand.NewPCG(uint64(seed), 7))
		writers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					write(f, c, random)
				}
			}
		})
	}
	deadline := time.After(6 * time.Second)
	entries := 0
	take := func() {
		for _, e := range rows(r.next()) {
			entries++
			ids[e.Table].apply(e)
		}
	}
	for running := true; running && !t.Failed(); {
		select {
		case <-deadline:
			running = false
		default:
			take()
		}
	}
	close(stop)
	writers.Wait()
	if !r.running {
		t.Error("the long transaction is not noticed")
	}
	take()
	for id, copy := range ids {
		copy.equals(f, names[id])
	}
	t.Logf("%d entries", entries)
}

// write does one random transaction.
func write(f *fixture, c *pgx.Conn, random *rand.Rand) {
	tx, err := c.Begin(f.ctx)
	if err != nil {
		return
	}
	fail := errors.New("rolled back")
	do := func() error {
		for range 1 + random.IntN(4) {
			var sql string
			k, m := random.IntN(100), random.IntN(100)
			switch random.IntN(12) {
			case 0:
				sql = fmt.Sprintf("INSERT INTO a (id, n, parent) SELECT g, g, 1 + g %% 5 FROM generate_series(%d, %d) g ON CONFLICT (id) DO UPDATE SET n = a.n + 1", k, k+random.IntN(5))
			case 1:
				sql = fmt.Sprintf("UPDATE a SET n = n + 1 WHERE id BETWEEN %d AND %d", k, k+random.IntN(5))
			case 2:
				sql = fmt.Sprintf("DELETE FROM a WHERE id BETWEEN %d AND %d", k, k+random.IntN(3))
			case 3:
				sql = fmt.Sprintf("UPDATE a SET id = %d WHERE id = %d AND NOT EXISTS (SELECT FROM a WHERE id = %d)", k, m, k)
			case 4:
				sql = fmt.Sprintf(`MERGE INTO a USING (SELECT %d AS id) s ON a.id = s.id WHEN MATCHED AND n > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET n = a.n + 2 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 3)`, k)
			case 5:
				sql = fmt.Sprintf("INSERT INTO p (id) VALUES (%d) ON CONFLICT (id) DO UPDATE SET n = p.n + 1", k)
			case 6:
				sql = fmt.Sprintf("UPDATE p SET id = 100 - id WHERE id = %d AND NOT EXISTS (SELECT FROM p WHERE id = 100 - %d)", k, k)
			case 7:
				sql = fmt.Sprintf("UPDATE p1 SET n = n + 1 WHERE id = %d", k)
			case 8:
				sql = fmt.Sprintf("DELETE FROM parent WHERE id = %d; INSERT INTO parent VALUES (%d)", 1+k%5, 1+k%5)
			case 11:
				sql = fmt.Sprintf(`MERGE INTO p USING generate_series(%d, %d) AS s (id) ON p.id = s.id WHEN MATCHED AND n > 5 THEN DELETE WHEN MATCHED THEN UPDATE SET n = p.n + 2 WHEN NOT MATCHED THEN INSERT (id, n) VALUES (s.id, 3)`, k, k+random.IntN(5))
			case 9:
				if random.IntN(20) > 0 {
					continue
				}
				sql = "TRUNCATE p"
			case 10:
				savepoint, err := tx.Begin(f.ctx)
				if err != nil {
					return err
				}
				_, err = savepoint.Exec(f.ctx, fmt.Sprintf("UPDATE a SET n = n + 10 WHERE id = %d; DELETE FROM p WHERE id = %d", k, m))
				if err != nil || random.IntN(2) == 0 {
					if err := savepoint.Rollback(f.ctx); err != nil {
						return err
					}
				} else if err := savepoint.Commit(f.ctx); err != nil {
					return err
				}
				continue
			}
			if _, err := tx.Exec(f.ctx, sql); err != nil {
				return err
			}
		}
		if random.IntN(10) == 0 {
			time.Sleep(time.Duration(random.IntN(30)) * time.Millisecond)
		}
		if random.IntN(10) == 0 {
			return fail
		}
		return nil
	}
	if err := do(); err != nil {
		tx.Rollback(f.ctx)
		return
	}
	tx.Commit(f.ctx)
}

func TestReadingStopsAndGoesOnInTheMiddle(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	r := f.tail()
	r.limit = changelog.Limit{Entries: 300, Bytes: 20_000}
	f.Exec(`INSERT INTO a SELECT g, repeat('x', 100) FROM generate_series(1, 10000) g`)
	b, err := f.log.Read(f.ctx, r.at, r.plan, r.limit)
	if err != nil {
		t.Fatal(err)
	}
	if !b.More || len(b.Entries) == 0 || len(b.Entries) > 300 {
		t.Fatalf("%d entries, more: %v", len(b.Entries), b.More)
	}
	// What is committed meanwhile comes behind, although it is there already.
	f.Exec(`DELETE FROM a WHERE id = 10000`)
	got := rows(r.next())
	if len(got) != 10001 || got[10000].Type != changelog.Delete {
		t.Fatalf("%d entries", len(got))
	}
	for i, e := range got[:10000] {
		if row, _ := canonical(e.New); row["id"] != float64(i+1) {
			t.Fatalf("entry %d is row %v", i, row["id"])
		}
	}
}

// What PostgreSQL could press into little counts as what it is in memory.
func TestReadsAreBoundedByWhatImagesWeigh(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	r := f.tail()
	f.Exec(`INSERT INTO a SELECT g, repeat('x', 100000) FROM generate_series(1, 50) g`)
	b, err := f.log.Read(f.ctx, r.at, r.plan, changelog.Limit{Bytes: 1_000_000})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Entries) < 9 || len(b.Entries) > 11 || !b.More {
		t.Errorf("%d images of 100 KB in 1 MB, more: %v", len(b.Entries), b.More)
	}
}

func TestPositionsOfAnotherLogAreRefused(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	r := f.tail()
	f.Exec(`INSERT INTO a VALUES (1)`)
	// What a restore or a clone changes comes to the same as this.
	f.Exec(`UPDATE realtime.log_state SET random_id = gen_random_uuid()`)
	epoch, err := f.log.Open(f.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if epoch == r.at.Epoch {
		t.Error("the epoch is the same")
	}
	if _, err := f.log.Read(f.ctx, r.at, r.plan, r.limit); !errors.Is(err, changelog.ErrEpochChanged) {
		t.Errorf("reading from a position of before: %v", err)
	}
	fresh := f.tail()
	f.Exec(`INSERT INTO a VALUES (2)`)
	f.expect(fresh.next(), `I → {"id":2}`)
	again, err := f.log.Open(f.ctx)
	if err != nil || again != epoch {
		t.Errorf("opened again: %q, %v", again, err)
	}
	// A server that crashed may have lost commits that it had confirmed to writers who
	// did not want to wait for the disk: their transaction ids are given out again.
	lost := fresh.at
	if lost.Seen, err = changelog.ParseSnapshot("99999999:99999999:"); err != nil {
		t.Fatal(err)
	}
	if _, err := f.log.Read(f.ctx, lost, fresh.plan, fresh.limit); !errors.Is(err, changelog.ErrEpochChanged) {
		t.Errorf("reading from a place that is not there yet: %v", err)
	}
}

func TestPruningTellsWhoComesTooLate(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	long := f.connect()
	if _, err := long.Exec(f.ctx, "BEGIN; SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	late, live := f.tail(), f.tail()
	prune := func(keep time.Duration, size int64) int {
		t.Helper()
		n, held, err := f.log.Prune(f.ctx, keep, size)
		if err != nil || !held {
			t.Fatalf("prune: held %v, %v", held, err)
		}
		return n
	}
	f.Exec(`INSERT INTO a SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g`)
	if n := prune(time.Hour, 1<<30); n != 0 {
		t.Errorf("%d slots of a young log were emptied", n)
	}
	if got := len(rows(live.next())); got != 1000 {
		t.Fatalf("%d entries", got)
	}
	// Transactions of other databases count as possible writers until they end:
	// only the long one may be left.
	for strings.Contains(live.at.Seen.String(), ",") {
		time.Sleep(time.Millisecond)
		live.next()
	}
	// The slot is full: writers move on to the next, and it is emptied for being
	// too old.
	prune(time.Hour, 16*1000)
	f.Exec(`INSERT INTO a VALUES (0, 'after')`)
	prune(0, 1<<30)
	f.expect(live.next(), `I → {"id":0,"v":"after"}`)
	if _, err := f.log.Read(f.ctx, late.at, late.plan, late.limit); !errors.Is(err, changelog.ErrTooOld) {
		t.Errorf("reading what was pruned: %v", err)
	}
	// However long the ring is written around, the log stays small.
	for i := range 40 {
		f.Exec(`UPDATE a SET v = $1 || v WHERE id <= 200`, fmt.Sprint(i))
		live.next()
		prune(time.Hour, 400_000)
	}
	extent, err := f.log.Extent(f.ctx)
	if err != nil || extent.Bytes > 1_500_000 || extent.Age <= 0 || extent.Age > time.Hour || extent.Emptied < 10 {
		t.Errorf("the log is %+v, %v", extent, err)
	}
	// A slot that somebody reads stays until the next time, and waits for nobody.
	blocker := f.connect()
	if _, err := blocker.Exec(f.ctx, "BEGIN; SELECT count(*) FROM realtime.changes"); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if n := prune(0, 0); n != 0 {
		t.Errorf("%d slots were emptied under a reader", n)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("pruning waited %v", took)
	}
}
