package changelog_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fluxbase/persistence/changelog"
)

func TestEntriesOfEachStatement(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	f.enable("a")
	r := f.tail()
	f.Exec(`INSERT INTO a VALUES (1, 'x'), (2, 'y')`)
	f.Exec(`UPDATE a SET v = v || '!' WHERE id = 1`)
	f.Exec(`UPDATE a SET id = 3 WHERE id = 2`)
	f.Exec(`INSERT INTO a VALUES (1, 'z'), (4, 'new') ON CONFLICT (id) DO UPDATE SET v = excluded.v`)
	f.Exec(`UPDATE a SET v = 'nobody' WHERE id = 99`)
	f.Exec(`MERGE INTO a USING (VALUES (1, 'm'), (5, 'n'), (4, NULL)) AS s (id, v) ON a.id = s.id
		WHEN MATCHED AND s.v IS NULL THEN DELETE WHEN MATCHED THEN UPDATE SET v = s.v WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.v)`)
	f.Exec(`DELETE FROM a WHERE id IN (1, 3)`)
	f.Exec(`TRUNCATE a`)
	got := briefs(r.next())
	want := []string{
		`I → {"id":1,"v":"x"}`, `I → {"id":2,"v":"y"}`,
		`U {"id":1,"v":"x"} → {"id":1,"v":"x!"}`,
		`U {"id":2,"v":"y"} → {"id":3,"v":"y"}`,
		`U {"id":1,"v":"x!"} → {"id":1,"v":"z"}`, `I → {"id":4,"v":"new"}`,
		`D {"id":4,"v":"new"}`, `U {"id":1,"v":"z"} → {"id":1,"v":"m"}`, `I → {"id":5,"v":"n"}`,
		`D {"id":1,"v":"m"}`, `D {"id":3,"v":"y"}`,
		`T`,
	}
	// Which triggers of a statement with several actions come first, and which of
	// several rows, is PostgreSQL's business.
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestEventsAreHonouredByTheTriggers(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a", "INSERT", "DELETE")
	r := f.tail()
	f.Exec(`INSERT INTO a VALUES (1); UPDATE a SET id = 2; DELETE FROM a`)
	f.expect(r.next(), `I → {"id":1}`, `D {"id":2}`)
	if err := f.log.Alter(f.ctx, "public", "a", []string{"UPDATE"}, nil); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO a VALUES (1); UPDATE a SET id = 2; DELETE FROM a; TRUNCATE a`)
	f.expect(r.next(), `U {"id":1} → {"id":2}`)
	if err := f.log.Disable(f.ctx, "public", "a"); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO a VALUES (1)`)
	f.expect(r.next())
	if len(r.plan.Tables()) != 0 {
		t.Errorf("the plan still has %d tables", len(r.plan.Tables()))
	}
}

func TestImagesDoNotDependOnTheWriter(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, at timestamptz, span interval, bytes bytea, n float8, j json)`)
	f.enable("a")
	r := f.tail()
	c := f.connect()
	for _, sql := range []string{
		"SET timezone = 'Asia/Tokyo'", "SET datestyle = 'German'", "SET intervalstyle = 'iso_8601'", "SET bytea_output = 'escape'", "SET extra_float_digits = -3", "SET search_path = ''",
		`INSERT INTO public.a VALUES (1, '2026-01-02 03:04:05.678+00', '1 day 02:03:04', '\xdeadbeef', 0.1, '{"nul": "\u0000"}')`,
	} {
		if _, err := c.Exec(f.ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	f.expect(r.next(), `I → {"id":1,"at":"2026-01-02T03:04:05.678+00:00","span":"1 day 02:03:04","bytes":"\\xdeadbeef","n":0.1,"j":{"nul": "\u0000"}}`)
}

func TestRowsThatAreTooLargeKeepTheirKey(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int, part text, v text, PRIMARY KEY (part, id)); CREATE TABLE b (v text)`)
	if err := f.log.Configure(f.ctx, 1000); err != nil {
		t.Fatal(err)
	}
	f.enable("a")
	f.enable("b")
	r := f.tail()
	f.Exec(`INSERT INTO a SELECT g, 'p', CASE WHEN g = 2 THEN repeat('x', 2000) ELSE 's' END FROM generate_series(1, 3) g`)
	f.Exec(`UPDATE a SET v = CASE WHEN id = 3 THEN repeat('y', 2000) ELSE 't' END`)
	f.Exec(`DELETE FROM a WHERE id = 3`)
	f.expect(r.next(),
		`I → {"id":1,"part":"p","v":"s"}`, `I → {"part" : "p", "id" : 2} cut`, `I → {"id":3,"part":"p","v":"s"}`,
		`U {"id":1,"part":"p","v":"s"} → {"id":1,"part":"p","v":"t"}`,
		`U {"part" : "p", "id" : 2} → {"id":2,"part":"p","v":"t"} cut`,
		`U {"id":3,"part":"p","v":"s"} → {"part" : "p", "id" : 3} cut`,
		`D {"part" : "p", "id" : 3} cut`)
	_, err := f.connect().Exec(f.ctx, `INSERT INTO b VALUES (repeat('x', 2000))`)
	if err == nil || !strings.Contains(err.Error(), "too large for realtime") {
		t.Errorf("a large row without a key: %v", err)
	}
	if err := f.log.Configure(f.ctx, 8<<20); err != nil {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO b VALUES (repeat('x', 100000))`)
	if got := rows(r.next()); len(got) != 1 || len(got[0].New) != 100000+len(`{"v":""}`) {
		t.Errorf("a row of 100 KB: %d entries", len(got))
	}
}

func TestPartitionsAreReportedOnce(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);
		CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
		CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (10) TO (20) PARTITION BY RANGE (id);
		CREATE TABLE p21 PARTITION OF p2 FOR VALUES FROM (10) TO (20)`)
	s := f.enable("p")
	f.Exec(`CREATE TABLE p3 PARTITION OF p FOR VALUES FROM (20) TO (30);
		CREATE TABLE p4 (v text, id int NOT NULL); ALTER TABLE p ATTACH PARTITION p4 FOR VALUES FROM (30) TO (40)`)
	r := f.tail()
	f.Exec(`INSERT INTO p VALUES (1, 'a'); INSERT INTO p1 VALUES (2, 'b'); INSERT INTO p2 VALUES (12, 'c'); INSERT INTO p21 VALUES (13, 'd');
		INSERT INTO p3 VALUES (23, 'e'); INSERT INTO p4 (id, v) VALUES (34, 'f')`)
	f.Exec(`UPDATE p SET id = id + 13 WHERE id < 10`)
	f.Exec(`UPDATE p4 SET v = 'g'`)
	f.Exec(`TRUNCATE p1`)
	f.Exec(`TRUNCATE p`)
	f.Exec(`BEGIN; TRUNCATE p; INSERT INTO p VALUES (1, 'h'); TRUNCATE p1; COMMIT`)
	got := r.next()
	for _, e := range rows(got) {
		if e.Table != s.ID {
			t.Errorf("%s is reported under table %d", brief(e), e.Table)
		}
	}
	f.expect(got, `I → {"id":1,"v":"a"}`, `I → {"id":2,"v":"b"}`, `I → {"id":12,"v":"c"}`, `I → {"id":13,"v":"d"}`, `I → {"id":23,"v":"e"}`, `I → {"v":"f","id":34}`,
		`U {"id":1,"v":"a"} → {"id":14,"v":"a"}`, `U {"id":2,"v":"b"} → {"id":15,"v":"b"}`,
		`U {"v":"f","id":34} → {"v":"g","id":34}`, `T`, `T`, `T`, `I → {"id":1,"v":"h"}`, `T`)

	f.Exec(`ALTER TABLE p DETACH PARTITION p4; INSERT INTO p4 (id) VALUES (35)`)
	f.expect(r.next())
}

// PostgreSQL 15 alone puts the inserted row into the NEW TABLE of the UPDATE.
func TestMergeIntoPartitions(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE p (id int, part text, n int, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
		CREATE TABLE p1 PARTITION OF p FOR VALUES IN ('a', 'b'); CREATE TABLE p2 PARTITION OF p DEFAULT;
		INSERT INTO p VALUES (2, 'a', 0), (4, 'c', 0), (5, 'a', 0), (7, 'a', 0)`)
	f.enable("p")
	f.Exec(`CREATE TABLE p3 PARTITION OF p FOR VALUES IN ('d')`)
	r := f.tail()
	f.Exec(`MERGE INTO p USING generate_series(1, 7) AS s (id) ON p.id = s.id
		WHEN MATCHED AND s.id = 7 THEN DELETE WHEN MATCHED AND s.id = 5 THEN UPDATE SET part = 'd' WHEN MATCHED THEN UPDATE SET n = p.n + 1
		WHEN NOT MATCHED THEN INSERT VALUES (s.id, CASE WHEN s.id < 4 THEN 'b' ELSE 'd' END, 9)`)
	// To PostgreSQL a row that MERGE moves is deleted here and inserted there. In
	// which order it meets the rows is the plan's business.
	got := briefs(r.next())
	slices.Sort(got)
	want := []string{`D {"id":5,"part":"a","n":0}`, `D {"id":7,"part":"a","n":0}`,
		`I → {"id":1,"part":"b","n":9}`, `I → {"id":3,"part":"b","n":9}`, `I → {"id":5,"part":"d","n":0}`, `I → {"id":6,"part":"d","n":9}`,
		`U {"id":2,"part":"a","n":0} → {"id":2,"part":"a","n":1}`, `U {"id":4,"part":"c","n":0} → {"id":4,"part":"c","n":1}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestMovedRowsThatATriggerSwallowed(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE p (id int, part int, v text, PRIMARY KEY (id, part)) PARTITION BY LIST (part);
		CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1); CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
		CREATE FUNCTION swallow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.v = 'odd' THEN RETURN NULL; END IF; RETURN NEW; END $$;
		CREATE TRIGGER swallow BEFORE INSERT ON p2 FOR EACH ROW EXECUTE FUNCTION swallow();
		INSERT INTO p VALUES (1, 1, 'odd'), (2, 1, 'even'), (3, 1, 'stay')`)
	f.enable("p")
	r := f.tail()
	f.Exec(`UPDATE p SET part = CASE WHEN v = 'stay' THEN 1 ELSE 2 END`)
	got := briefs(r.next())
	slices.Sort(got)
	// The key of the moved row changed with its partition: no pair is known.
	want := []string{`D {"id":1,"part":1,"v":"odd"}`, `D {"id":2,"part":1,"v":"even"}`, `I → {"id":2,"part":2,"v":"even"}`,
		`U {"id":3,"part":1,"v":"stay"} → {"id":3,"part":1,"v":"stay"}`}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

func TestNestedStatementsComeBehindTheirCause(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE cause (id int);
		CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE a SET v = v || '+' WHERE id = NEW.id; RETURN NULL; END $$;
		CREATE TRIGGER add AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION add();
		CREATE FUNCTION replace() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM a WHERE id = NEW.id; RETURN NEW; END $$;
		CREATE TRIGGER replace BEFORE INSERT ON a FOR EACH ROW EXECUTE FUNCTION replace();
		CREATE FUNCTION outside() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE a SET v = 'outside' WHERE id = NEW.id; RETURN NULL; END $$;
		CREATE TRIGGER outside AFTER INSERT ON cause FOR EACH ROW EXECUTE FUNCTION outside()`)
	f.enable("a")
	r := f.tail()
	f.Exec(`INSERT INTO a VALUES (1, 'x'), (2, 'y')`)
	f.Exec(`INSERT INTO a VALUES (1, 'again')`)
	// The nested statement was caused by another table, not by the UPDATE after it.
	f.Exec(`BEGIN; INSERT INTO cause VALUES (2); UPDATE a SET v = v || ' then' WHERE id = 2; COMMIT`)
	// In one command no clock tells them apart.
	f.Exec(`DO $$ BEGIN INSERT INTO cause VALUES (2); UPDATE a SET v = 'end' WHERE id = 2; END $$`)
	got := r.next()
	f.expect(got,
		`I → {"id":1,"v":"x"}`, `U {"id":1,"v":"x"} → {"id":1,"v":"x+"}`, `I → {"id":2,"v":"y"}`, `U {"id":2,"v":"y"} → {"id":2,"v":"y+"}`,
		`D {"id":1,"v":"x+"}`, `I → {"id":1,"v":"again"}`, `U {"id":1,"v":"again"} → {"id":1,"v":"again+"}`,
		`U {"id":2,"v":"y+"} → {"id":2,"v":"outside"}`, `U {"id":2,"v":"outside"} → {"id":2,"v":"outside then"}`,
		`U {"id":2,"v":"outside then"} → {"id":2,"v":"outside"}`, `U {"id":2,"v":"outside"} → {"id":2,"v":"end"}`)
	copy := newReplica(t, "id")
	for _, e := range got {
		copy.apply(e)
	}
	copy.equals(f, "a")
}

func TestMarkersStandBetweenTheChangesAroundThem(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text)`)
	s := f.enable("a")
	r := f.tail()
	before, _ := r.plan.Table(s.ID)
	f.Exec(`INSERT INTO a VALUES (1, 'x')`)
	f.Exec(`ALTER TABLE a RENAME v TO w`)
	f.Exec(`INSERT INTO a VALUES (2, 'y')`)
	f.Exec(`ALTER TABLE a ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON a FOR SELECT USING (true)`)
	f.Exec(`ALTER TABLE a RENAME TO b`)
	got := r.next()
	kinds := ""
	for _, e := range got {
		if e.Type == changelog.Marker {
			m, err := e.Mark()
			if err != nil {
				t.Fatal(err)
			}
			kinds += fmt.Sprintf("[%s %v]", m.Kind, m.Columns[s.ID] != before.Signature)
			continue
		}
		kinds += string(rune(e.Type))
	}
	if want := "I[alter table true]I[alter table true][create policy true][alter table true]"; kinds != want {
		t.Errorf("got %s, want %s", kinds, want)
	}
	after, ok := r.plan.Named("public", "b")
	if !ok || !after.RowSecurity || len(after.Policies) != 1 || after.Columns[1].Name != "w" {
		t.Errorf("the plan after the changes: %+v", after)
	}
	f.Exec(`DROP TABLE b`)
	r.next()
	if len(r.plan.Tables()) != 0 {
		t.Error("a table that was dropped is in the plan")
	}
}
