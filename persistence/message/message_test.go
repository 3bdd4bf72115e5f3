package message

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
)

const alice, bob = "11111111-1111-1111-1111-111111111111", "22222222-2222-2222-2222-222222222222"

func TestAccess(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	s := New(d.DB)
	d.Exec(`
		CREATE TABLE members (room text, who uuid);
		INSERT INTO members VALUES ('room:a', '` + alice + `');
		CREATE POLICY read_broadcast ON realtime.messages FOR SELECT TO authenticated
		  USING (extension = 'broadcast' AND EXISTS (SELECT FROM public.members m WHERE m.room = realtime.topic() AND m.who = auth.uid()));
		CREATE POLICY read_presence ON realtime.messages FOR SELECT TO authenticated
		  USING (extension = 'presence' AND topic = 'lobby');
		CREATE POLICY write_broadcast ON realtime.messages FOR INSERT TO authenticated
		  WITH CHECK (extension = 'broadcast' AND topic = 'room:a' AND realtime.topic() = topic AND private
		    AND current_setting('request.jwt.claim.sub', true) = auth.uid()::text
		    AND auth.jwt() ->> 'sub' = '` + alice + `')`)
	anon := caller.Anonymous()
	anon.Tenant = d.Tenant
	for _, test := range []struct {
		name               string
		caller             caller.Caller
		topic              string
		read               Access
		broadcast, present bool
	}{
		{"member", d.User(alice), "room:a", Access{Broadcast: true}, true, false},
		{"no member", d.User(bob), "room:a", Access{}, false, false},
		{"member of another room", d.User(alice), "room:b", Access{}, false, false},
		{"presences only", d.User(bob), "lobby", Access{Presence: true}, false, false},
		{"nobody", anon, "lobby", Access{}, false, false},
		{"the service", caller.System(d.Tenant), "room:b", Access{true, true}, true, true},
		{"a channel of the server", caller.System(d.Tenant), "fluxbase:x", Access{}, false, false},
	} {
		read, err := s.Readable(t.Context(), test.caller, test.topic)
		if err != nil || read != test.read {
			t.Errorf("%s: reads %+v %v, want %+v", test.name, read, err, test.read)
		}
		for e, want := range map[Extension]bool{Broadcast: test.broadcast, Presence: test.present} {
			if may, err := s.Writable(t.Context(), test.caller, test.topic, e); err != nil || may != want {
				t.Errorf("%s: writes %s %v %v, want %v", test.name, e, may, err, want)
			}
		}
	}
	var kept int
	d.QueryRow(`SELECT count(*) FROM realtime.messages`, &kept)
	if kept != 0 {
		t.Errorf("%d rows were kept", kept)
	}
}

// A row that shows what a caller may read is written as the owner: nobody may keep
// it.
func TestTrialCannotBeCommitted(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	for _, end := range []string{"SELECT 1", "SET CONSTRAINTS ALL IMMEDIATE"} {
		err := d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: "SELECT realtime.write_trial('x')"}, db.Statement{SQL: end})
		if err == nil {
			t.Errorf("it was committed after %s", end)
		}
	}
	var kept int
	d.QueryRow(`SELECT count(*) FROM realtime.messages`, &kept)
	if kept != 0 {
		t.Errorf("%d rows were kept", kept)
	}
}

// Callers can name the schema: what they may call and read in it is listed here.
func TestSchemaIsClosedToCallers(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	d.Admin(func(ctx context.Context, c *pgx.Conn) error {
		for _, q := range []string{
			`SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'realtime'::regnamespace
			    AND has_function_privilege('authenticated', oid, 'EXECUTE')
			    AND proname NOT IN ('topic', 'send', 'send_binary', 'broadcast_changes', 'write_trial', 'begin_trial', 'may_read', 'may_write')`,
			`SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'realtime'::regnamespace AND relname <> 'messages' AND relkind IN ('r', 'p', 'v', 'm')
			    AND (has_any_column_privilege('authenticated', oid, 'SELECT, INSERT, UPDATE') OR has_table_privilege('authenticated', oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE'))`,
			`SELECT c.oid::regclass::text FROM pg_class c WHERE relnamespace = 'realtime'::regnamespace AND relkind = 'S'
			    AND CASE relkind WHEN 'S' THEN has_sequence_privilege('authenticated', oid, 'SELECT, UPDATE, USAGE') END`,
		} {
			rows, err := c.Query(ctx, q)
			if err != nil {
				return err
			}
			open, err := pgx.CollectRows(rows, pgx.RowTo[string])
			if err != nil {
				return err
			}
			if len(open) > 0 {
				t.Errorf("open to callers: %v", open)
			}
		}
		return nil
	})
}

func TestSend(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	s := New(d.DB)
	begin := time.Now().Add(-time.Minute)
	d.Exec(`
		CREATE TABLE notes (id int PRIMARY KEY, body text);
		CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
		  PERFORM realtime.broadcast_changes('notes', TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NEW, OLD);
		  RETURN NULL;
		END $$;
		CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION tell();
		INSERT INTO notes VALUES (1, 'a');
		UPDATE notes SET body = 'b';
		DELETE FROM notes;
		SELECT realtime.send_binary('\x00ff', 'bytes', 'notes');
		SELECT realtime.send('{"a":1}', 'open', 'notes', false)`)
	got, err := s.Since(t.Context(), "notes", begin, 3)
	if err != nil {
		t.Fatal(err)
	}
	want := []Message{
		{Event: "UPDATE", Payload: []byte(`{"table": "notes", "record": {"id": 1, "body": "b"}, "schema": "public", "operation": "UPDATE", "old_record": {"id": 1, "body": "a"}}`)},
		{Event: "DELETE", Payload: []byte(`{"table": "notes", "record": null, "schema": "public", "operation": "DELETE", "old_record": {"id": 1, "body": "b"}}`)},
		{Event: "bytes", Binary: []byte{0, 255}},
	}
	if len(got) != len(want) {
		t.Fatalf("got %d messages: %+v", len(got), got)
	}
	for i, w := range want {
		if g := got[i]; g.Event != w.Event || string(g.Payload) != string(w.Payload) || string(g.Binary) != string(w.Binary) || !g.Private || g.ID == "" {
			t.Errorf("message %d: %+v %s", i, g, g.Payload)
		}
	}
	if got, err := s.Since(t.Context(), "notes", time.Now().Add(time.Hour), 3); err != nil || len(got) != 0 {
		t.Errorf("after now: %v %v", got, err)
	}
}

// A caller sends what the policies let it send, and loses nothing else by what they
// do not.
func TestSendIsNoLossForTheWriter(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE notes (id int PRIMARY KEY);
		CREATE POLICY send ON realtime.messages FOR INSERT TO authenticated WITH CHECK (topic = 'open')`)
	for _, topic := range []string{"open", "closed", "fluxbase:logs", ""} {
		if err := d.DB.Run(t.Context(), d.User(alice),
			db.Statement{SQL: "INSERT INTO notes SELECT coalesce(max(id), 0) + 1 FROM notes"},
			db.Statement{SQL: "SELECT realtime.send('{}', 'e', $1)", Args: []any{topic}}); err != nil {
			t.Errorf("%s: %v", topic, err)
		}
	}
	var topics string
	var notes int
	d.QueryRow(`SELECT string_agg(topic, ' ') FROM realtime.messages`, &topics)
	d.QueryRow(`SELECT count(*) FROM notes`, &notes)
	if topics != "open" || notes != 4 {
		t.Errorf("%d notes, messages to %s", notes, topics)
	}
}

func TestPruneEmptiesTheDayAhead(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	s := New(d.DB)
	d.Exec(`INSERT INTO realtime.messages (topic, extension, day)
		SELECT i::text, 'broadcast', (extract(epoch FROM now())::bigint / 86400 + i) % 5 FROM generate_series(0, 4) AS i`)
	if emptied, held, err := s.Prune(t.Context()); err != nil || !held || emptied != 1 {
		t.Fatalf("emptied %d %v %v", emptied, held, err)
	}
	var left string
	d.QueryRow(`SELECT string_agg(topic, ' ' ORDER BY topic) FROM realtime.messages`, &left)
	if left != "0 2 3 4" {
		t.Errorf("left %s", left)
	}
}
