package migration_test

import (
	"testing"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/migration"
)

// A log that was begun by the triggers of before goes on under those of now, with
// all that is in it.
func TestChangeLogOfBeforeGoesOn(t *testing.T) {
	address := dbtest.Empty(t)
	bootstrap(t, address)
	if err := migration.UpTo(t.Context(), owner(t, address), migration.Tenant, 3); err != nil {
		t.Fatal(err)
	}
	c := connect(t, address, "", "")
	exec(t, c, `CREATE TABLE a (id int PRIMARY KEY, at timestamptz); CREATE TABLE gone (id int);
		INSERT INTO realtime.schema_registry (schema_name, table_name, relation) VALUES ('public', 'a', 'a'::regclass);
		INSERT INTO realtime.schema_registry (schema_name, table_name, realtime_enabled) VALUES ('public', 'gone', false);
		CREATE TRIGGER a_realtime_notify_insert AFTER INSERT ON a REFERENCING NEW TABLE AS realtime_new FOR EACH STATEMENT EXECUTE FUNCTION realtime.log_change('1', '8388608', 'plain', '');
		CREATE TRIGGER a_realtime_notify_delete AFTER DELETE ON a REFERENCING OLD TABLE AS realtime_old FOR EACH STATEMENT EXECUTE FUNCTION realtime.log_change('1', '8388608', 'plain', '');
		CREATE TRIGGER a_realtime_notify_begin BEFORE INSERT OR UPDATE OR DELETE ON a FOR EACH STATEMENT WHEN (current_setting('realtime.nested', true) <> '') EXECUTE FUNCTION realtime.begin_statement('1', '8388608', 'plain', 'INSERT UPDATE DELETE')`)
	exec(t, c, `INSERT INTO a VALUES (1, '2026-01-02 03:04:05+00')`)
	epoch := get[string](t, c, `SELECT epoch FROM realtime.log_state`)
	if _, err := migration.Up(t.Context(), owner(t, address), migration.Tenant); err != nil {
		t.Fatal(err)
	}
	exec(t, c, `INSERT INTO a VALUES (2, '2026-01-02 03:04:05+00'); UPDATE a SET id = 3 WHERE id = 2; DELETE FROM a WHERE id = 1; TRUNCATE a`)
	want := `I {"id":1,"at":"2026-01-02T03:04:05+00:00"}
I {"id":2,"at":"2026-01-02T03:04:05+00:00"}
U {"id":3,"at":"2026-01-02T03:04:05+00:00"}
D {"id":1,"at":"2026-01-02T03:04:05+00:00"}
T`
	if got := get[string](t, c, `SELECT string_agg(concat_ws(' ', type, coalesce(record, old_record)::text), E'\n' ORDER BY ord, depth, id) FROM realtime.changes WHERE type <> 'M'`); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := get[string](t, c, `SELECT epoch FROM realtime.log_state`); got != epoch {
		t.Error("the epoch changed: no cursor of before is good any more")
	}
	if n := get[int](t, c, `SELECT count(*) FROM pg_trigger WHERE tgrelid = 'a'::regclass`); n != 5 {
		t.Errorf("%d triggers", n)
	}
}
