package scenario

import (
	"context"
	"fmt"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

func TestDatabaseBroadcast(t *testing.T) {
	t.Parallel()
	database := dbtest.Create(t)
	administer(t, database, privatePolicies+`
		CREATE TABLE notes (id int PRIMARY KEY, body text);
		CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
		BEGIN
		  PERFORM realtime.broadcast_changes('hall', TG_OP, TG_OP, TG_TABLE_NAME, TG_TABLE_SCHEMA, NEW, OLD);
		  RETURN NULL;
		END $$;
		CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON notes FOR EACH ROW EXECUTE FUNCTION tell();`)
	n := servertest.On(t, database)
	ann, open := openSocket(t, n.SocketURL(n.SignUp("ann@example.com").AccessToken)), openSocket(t, n.SocketURL(""))
	ann.send(`{"type":"subscribe","channel":"hall","config":{"private":true}}`)
	ann.expect(`{"type":"ack"}`)
	open.send(`{"type":"subscribe","channel":"hall"}`)
	open.expect(`{"type":"ack"}`)

	administer(t, database, `INSERT INTO notes VALUES (1, 'a'); UPDATE notes SET body = 'b'; DELETE FROM notes`)
	first := ann.expect(`{"type":"broadcast","channel":"hall","private":true,"offset":1,"payload":{"broadcast":{"event":"INSERT",
		"payload":{"operation":"INSERT","schema":"public","table":"notes","record":{"id":1,"body":"a"}}}}}`)
	if contains(first, map[string]any{"payload": map[string]any{"broadcast": map[string]any{"id": nil}}}) {
		t.Errorf("a message of the database has no id: %v", first)
	}
	ann.expect(`{"type":"broadcast","offset":2,"payload":{"broadcast":{"event":"UPDATE","payload":{"old_record":{"body":"a"},"record":{"body":"b"}}}}}`)
	ann.expect(`{"type":"broadcast","offset":3,"payload":{"broadcast":{"event":"DELETE"}}}`)
	administer(t, database, `SELECT realtime.send_binary('\x00ff', 'bytes', 'hall'), realtime.send('"all"', 'e', 'hall', false)`)
	ann.expect(`{"type":"broadcast","offset":4,"payload":{"broadcast":{"event":"bytes","encoding":"base64","payload":"AP8="}}}`)
	open.expect(`{"type":"broadcast","offset":1,"payload":{"broadcast":{"payload":"all"}}}`)
	// What is rolled back was never sent.
	administer(t, database, `BEGIN; SELECT realtime.send('1', 'e', 'hall', false); ROLLBACK; SELECT realtime.send('2', 'e', 'hall', false)`)
	open.expect(`{"type":"broadcast","offset":2,"payload":{"broadcast":{"payload":2}}}`)
}

// TestClusterRelaysTheDatabaseOnce: subscribers on all nodes get what the database
// sends once and in its order, also while nodes leave: those that relayed, and the
// homes of channels.
func TestClusterRelaysTheDatabaseOnce(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	admin, err := pgx.Connect(t.Context(), nodes[0].DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	sent := 0
	send := func(n int) {
		for range n {
			sent++
			if _, err := admin.Exec(t.Context(), `SELECT realtime.send(to_jsonb($1::int), 'e', 'news', false)`, sent); err != nil {
				t.Fatal(err)
			}
		}
	}
	var receivers []*socket
	for _, n := range nodes {
		s := openSocket(t, n.SocketURL(""))
		s.send(`{"type":"subscribe","channel":"news"}`)
		s.expect(`{"type":"ack"}`)
		receivers = append(receivers, s)
	}
	hear := func(s *socket, from int) {
		t.Helper()
		for i := from; i <= sent; i++ {
			s.expect(fmt.Sprintf(`{"type":"broadcast","payload":{"broadcast":{"payload":%d}}}`, i))
		}
	}
	send(20)
	for _, s := range receivers {
		hear(s, 1)
	}
	for i, n := range nodes[:2] {
		from := sent + 1
		send(5)
		n.Stop()
		send(15)
		for _, s := range receivers[i+1:] {
			hear(s, from)
		}
	}
}
