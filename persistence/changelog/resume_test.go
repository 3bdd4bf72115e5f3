package changelog_test

import (
	"bytes"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"fluxbase/persistence/changelog"
)

// followed is what a reader took, with the place behind each entry.
type followed struct {
	entry changelog.Entry
	at    changelog.Position
}

// mark is where a reader stood when it had taken some entries and nothing else of
// what its snapshot saw was left.
type mark struct {
	taken int
	seen  changelog.Snapshot
}

// follow reads one batch and keeps the positions.
func (r *tail) follow(taken *[]followed, marks *[]mark) {
	r.f.t.Helper()
	b, err := r.f.log.Read(r.f.ctx, r.at, r.plan, r.limit)
	if err != nil {
		r.f.t.Fatal(err)
	}
	if b.Plan != nil {
		r.plan = b.Plan
	}
	for i := range b.Entries {
		if b.Entries[i].Type != changelog.Marker {
			*taken = append(*taken, followed{b.Entries[i], b.Span.At(b.Entries[i].Place)})
		}
	}
	if r.at = b.Next; r.at.Reading.IsZero() {
		*marks = append(*marks, mark{len(*taken), r.at.Seen})
	}
}

// upTo reads a table's entries between a position and a snapshot, in pages.
func (r *tail) upTo(from changelog.Position, table int32, until changelog.Snapshot, limit changelog.Limit) []changelog.Entry {
	r.f.t.Helper()
	var all []changelog.Entry
	for last := false; ; {
		if from.Reading.IsZero() {
			if last {
				return rows(all)
			}
			// What was being read is done: now to the end.
			from.Reading, last = until, true
		}
		b, err := r.f.log.ReadTables(r.f.ctx, from, []int32{table}, r.plan, limit)
		if err != nil {
			r.f.t.Fatal(err)
		}
		all = append(all, b.Entries...)
		from = b.Next
	}
}

// Whoever stopped behind any entry of any history, in the middle of whatever was
// being read then, goes on from its cursor up to where another reader stands, and
// from there with what that one takes: every change once, and each starts from
// what the one before it left.
func TestAnyCutOfAnyHistoryGoesOnExactly(t *testing.T) {
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
	names := map[int32]string{f.enable("a").ID: "a", f.enable("p").ID: "p"}
	first, second := f.tail(), f.tail()
	first.limit, second.limit = changelog.Limit{Entries: 7}, changelog.Limit{Entries: 31, Bytes: 3000}

	long := f.connect()
	if _, err := long.Exec(f.ctx, "BEGIN; SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for seed := range 5 {
		c := f.connect()
		random := rand.New(rand.NewPCG(uint64(seed), 23))
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
	var ones, twos []followed
	var oneMarks, marks []mark
	for deadline := time.Now().Add(2 * time.Second); time.Now().Before(deadline); {
		first.follow(&ones, &oneMarks)
		second.follow(&twos, &marks)
	}
	close(stop)
	writers.Wait()
	if _, err := long.Exec(f.ctx, "INSERT INTO a (id, n) VALUES (1000, 1); COMMIT"); err != nil {
		t.Fatal(err)
	}
	for last := len(marks); len(marks) == last || second.at.Seen.Running(); {
		second.follow(&twos, &marks)
	}

	cursors, err := changelog.NewCursors(bytes.Repeat([]byte{1}, changelog.CursorKeySize), "t")
	if err != nil {
		t.Fatal(err)
	}
	scope := changelog.ScopeOf("public", "a", "*", "")
	random := rand.New(rand.NewPCG(5, 5))
	resumed := 0
	for range 25 {
		cut := random.IntN(len(ones))
		stopped := ones[cut]
		opened, err := cursors.Open(cursors.Seal(changelog.Cursor{Position: stopped.at, Scopes: []changelog.Scope{scope}}), scope)
		if err != nil {
			t.Fatal(err)
		}
		from := opened.Position
		reached := from.Reading // what the reader must have seen before it can be joined
		at := random.IntN(len(marks))
		for at < len(marks)-1 && !reached.Within(marks[at].seen) {
			at++
		}
		if !reached.Within(marks[at].seen) {
			continue
		}
		for table, name := range names {
			copy := newReplica(t, "id")
			for _, one := range ones[:cut+1] {
				if one.entry.Table == table {
					copy.apply(one.entry)
				}
			}
			limit := changelog.Limit{Entries: 1 + random.IntN(200)}
			for _, e := range first.upTo(from, table, marks[at].seen, limit) {
				copy.apply(e)
				resumed++
			}
			for _, two := range twos[marks[at].taken:] {
				if two.entry.Table == table {
					copy.apply(two.entry)
				}
			}
			copy.equals(f, name)
		}
		if t.Failed() {
			t.Fatalf("cut behind entry %d of %d, joined at mark %d of %d", cut, len(ones), at, len(marks))
		}
	}
	t.Logf("%d and %d entries, %d of them read again from cursors", len(ones), len(twos), resumed)
}
