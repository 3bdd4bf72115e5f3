package changelog_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// The logging functions run as the log's owner under the writer's search_path:
// nothing that a writer puts there may be what they call.
func TestWritersCannotPutTheirOwnFunctionsUnderTheLog(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, at timestamptz, v text); CREATE TABLE b (id int PRIMARY KEY, n float8, v text);
		CREATE TABLE p (id int PRIMARY KEY, v text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;
		CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.=) 1 THEN UPDATE public.b SET n = NULL WHERE id OPERATOR(pg_catalog.=) NEW.id; END IF; RETURN NULL; END $$;
		CREATE TRIGGER again AFTER INSERT ON b FOR EACH ROW EXECUTE FUNCTION again()`)
	if err := f.log.Configure(f.ctx, 1000); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"a", "b", "p"} {
		f.enable(table)
	}
	// Every name and operator that the functions use, for the types they use it on.
	f.Exec(`CREATE SCHEMA evil;
		CREATE FUNCTION evil.boom() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called as %', current_user; END $$;
		DO $$ DECLARE one record; BEGIN
			FOR one IN SELECT o, t FROM unnest(ARRAY['<=', '>', '=', '<>', '+', '&', '<']) o, unnest(ARRAY['int4', 'int8', 'int2', 'text', 'xid8', 'text[]']) t LOOP
				EXECUTE format('CREATE OR REPLACE FUNCTION evil.f(%1$s, %1$s) RETURNS boolean LANGUAGE sql AS ''SELECT evil.boom()''', one.t);
				EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %2$s, FUNCTION = evil.f)', one.o, one.t);
			END LOOP;
			FOR one IN SELECT p.proname, pg_get_function_arguments(p.oid) AS arguments, pg_get_function_result(p.oid) AS result FROM pg_proc p
			            WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.prokind = 'f' AND p.proname IN
			              ('pg_trigger_depth', 'current_setting', 'set_config', 'pg_sequence_last_value', 'nextval', 'row_to_json', 'pg_current_xact_id') LOOP
				EXECUTE format('CREATE FUNCTION evil.%I(%s) RETURNS %s LANGUAGE plpgsql AS ''BEGIN PERFORM evil.boom(); END''', one.proname,
					regexp_replace(one.arguments, ' DEFAULT [^,]*', ''), one.result);
			END LOOP;
		END $$;
		CREATE TYPE evil."char" AS ENUM ('x'); CREATE TYPE evil.text AS ENUM ('y')`)
	r := f.tail()
	c := f.connect()
	for _, sql := range []string{
		`SET search_path = evil, pg_catalog, public`, `SET timezone = 'Asia/Tokyo'`,
		`INSERT INTO public.a VALUES (1, '2026-01-02 03:04:05+00', 's')`,
		`UPDATE public.a SET v = pg_catalog.repeat('x', 2000)`,
		`DELETE FROM public.a`,
		`INSERT INTO public.b VALUES (1, 0.5, pg_catalog.repeat('y', 2000))`,
		`INSERT INTO public.p VALUES (1, 'q')`, `UPDATE public.p SET v = 'r'`,
		`TRUNCATE public.p`,
	} {
		if _, err := c.Exec(f.ctx, sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	f.expect(r.next(),
		`I → {"id":1,"at":"2026-01-02T03:04:05+00:00","v":"s"}`,
		`U {"id":1,"at":"2026-01-02T03:04:05+00:00","v":"s"} → {"id" : 1} cut`, `D {"id" : 1} cut`,
		`I → {"id" : 1} cut`, `U {"id" : 1} → {"id" : 1} cut`,
		`I → {"id":1,"v":"q"}`, `U {"id":1,"v":"q"} → {"id":1,"v":"r"}`, `T`)
}

// What a table is and what hangs on it may change while it is followed.
func TestLoggingFollowsTheTable(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY, v text); CREATE TABLE child (id int PRIMARY KEY, a int)`)
	f.enable("a")
	f.enable("child")
	r := f.tail()
	tokyo := func(sql string) {
		t.Helper()
		c := f.connect()
		if _, err := c.Exec(f.ctx, "SET timezone = 'Asia/Tokyo'; "+sql); err != nil {
			t.Fatal(err)
		}
	}
	// A column whose image depends on settings.
	f.Exec(`ALTER TABLE a ADD at timestamptz`)
	tokyo(`INSERT INTO a VALUES (1, 'x', '2026-01-02 03:04:05+00')`)
	f.expect(r.next(), `I → {"id":1,"v":"x","at":"2026-01-02T03:04:05+00:00"}`)
	// A type of which nothing is known.
	f.Exec(`ALTER TABLE a DROP at, ADD span tstzrange`)
	tokyo(`UPDATE a SET span = '[2026-01-02 03:04:05+00,)'`)
	f.expect(r.next(), `U {"id":1,"v":"x","span":null} → {"id":1,"v":"x","span":"[\"2026-01-02 03:04:05+00\",)"}`)
	f.Exec(`ALTER TABLE a DROP span`)
	r.next()
	// A trigger that writes to the table itself.
	f.Exec(`CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE a SET v = v || '+' WHERE id = NEW.id; RETURN NULL; END $$;
		CREATE TRIGGER add AFTER INSERT ON a FOR EACH ROW EXECUTE FUNCTION add()`)
	f.Exec(`BEGIN; INSERT INTO a VALUES (2, 'y'); INSERT INTO a VALUES (3, 'z'); COMMIT`)
	f.expect(r.next(), `I → {"id":2,"v":"y"}`, `U {"id":2,"v":"y"} → {"id":2,"v":"y+"}`, `I → {"id":3,"v":"z"}`, `U {"id":3,"v":"z"} → {"id":3,"v":"z+"}`)
	// A foreign key with an action, whose consequences have some of their own.
	f.Exec(`ALTER TABLE child ADD FOREIGN KEY (a) REFERENCES a ON UPDATE CASCADE; INSERT INTO child VALUES (1, 2)`)
	f.Exec(`UPDATE a SET id = 20 WHERE id = 2`)
	copies := map[string]*replica{"child": newReplica(t, "id")}
	for _, e := range r.next() {
		if table, ok := r.plan.Table(e.Table); ok && table.Name == "child" {
			copies["child"].apply(e)
		}
	}
	copies["child"].equals(f, "child")
	var caused int
	f.QueryRow(`SELECT count(*)::int FROM pg_trigger WHERE tgrelid = 'a'::regclass AND pg_get_triggerdef(oid) LIKE '%BEFORE INSERT OR DELETE OR UPDATE OR TRUNCATE%begin_statement%'`, &caused)
	if caused != 1 {
		t.Error("beginnings of statements on a table with consequences are not noted")
	}
}

// Writers go to the slot that the log is at, and what is in the slots that were
// left stays readable until it is emptied.
func TestWritersFollowTheRing(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	r := f.tail()
	slots := map[int]bool{}
	writer := f.connect() // keeps the functions that it has compiled
	for i := range 5 {
		if _, err := writer.Exec(f.ctx, `INSERT INTO a VALUES ($1)`, i); err != nil {
			t.Fatal(err)
		}
		var slot int
		f.QueryRow(`SELECT slot::int FROM realtime.changes WHERE type = 'I' ORDER BY id DESC LIMIT 1`, &slot)
		slots[slot] = true
		if _, held, err := f.log.Prune(f.ctx, time.Hour, 100_000); err != nil || !held {
			t.Fatalf("prune: held %v, %v", held, err)
		}
	}
	if len(slots) != 5 {
		t.Errorf("5 entries are in the slots %v", slots)
	}
	f.expect(r.next(), `I → {"id":0}`, `I → {"id":1}`, `I → {"id":2}`, `I → {"id":3}`, `I → {"id":4}`)

	// Somebody who is changing a table holds the ring where it is, and nobody waits.
	changing := f.connect()
	if _, err := changing.Exec(f.ctx, `BEGIN; ALTER TABLE a ADD v text`); err != nil {
		t.Fatal(err)
	}
	var before, after int64
	f.QueryRow(`SELECT pg_sequence_last_value('realtime.ring_slot')`, &before)
	f.Exec(`CREATE TABLE b (id int)`)
	f.enable("b")
	f.Exec(`INSERT INTO b VALUES (1)`)
	if _, held, err := f.log.Prune(f.ctx, time.Hour, 100_000); err != nil || !held {
		t.Fatalf("prune: held %v, %v", held, err)
	}
	f.QueryRow(`SELECT pg_sequence_last_value('realtime.ring_slot')`, &after)
	if before != after {
		t.Error("the ring moved while a logging function was being written")
	}
}

// The bell costs every server a lock: it rings for those who wait, once.
func TestTheBellRingsForReadersThatWait(t *testing.T) {
	t.Parallel()
	f := setup(t)
	f.Exec(`CREATE TABLE a (id int PRIMARY KEY)`)
	f.enable("a")
	ear := f.connect()
	if _, err := ear.Exec(f.ctx, `LISTEN fluxbase_changes; LISTEN done`); err != nil {
		t.Fatal(err)
	}
	rings := func() (n int) {
		t.Helper()
		f.Exec(`NOTIFY done`)
		for {
			one, err := ear.WaitForNotification(f.ctx)
			if err != nil {
				t.Fatal(err)
			}
			if one.Channel == "done" {
				return n
			}
			n++
		}
	}
	rings() // of enabling
	f.Exec(`INSERT INTO a SELECT generate_series(1, 10)`)
	if n := rings(); n != 0 {
		t.Errorf("%d rings, and nobody reads", n)
	}
	r := f.tail()
	for round := range 3 {
		r.next()
		for i := range 5 {
			f.Exec(`INSERT INTO a VALUES ($1)`, 100+10*round+i)
		}
		if n := rings(); n != 1 {
			t.Errorf("%d rings for one who waits", n)
		}
	}
	// Who was to ring gave up: the next reader asks anew.
	r.next()
	c := f.connect()
	if err := pgx.BeginFunc(f.ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(f.ctx, `INSERT INTO a VALUES (1000)`); err != nil {
			return err
		}
		return context.Canceled
	}); err != context.Canceled {
		t.Fatal(err)
	}
	f.Exec(`INSERT INTO a VALUES (1001)`)
	if got := briefs(r.next()); strings.Join(got, "") != `I → {"id":1001}` {
		t.Errorf("after the ringer gave up: %q", got)
	}
	f.Exec(`INSERT INTO a VALUES (1002)`)
	if n := rings(); n != 1 {
		t.Errorf("%d rings after asking anew", n)
	}
}
