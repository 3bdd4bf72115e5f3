package scenario

import (
	"fmt"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// cursorOf is the cursor in the payload of a message.
func cursorOf(t *testing.T, m map[string]any) string {
	t.Helper()
	payload, _ := m["payload"].(map[string]any)
	cursor, _ := payload["cursor"].(string)
	if cursor == "" {
		t.Fatalf("no cursor in %v", m)
	}
	return cursor
}

func TestResumeAcrossNodesAndRestarts(t *testing.T) {
	database := dbtest.Create(t)
	n := servertest.On(t, database)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, owner uuid, v text); alter table notes enable row level security;
		create policy own on notes using (owner = auth.uid())`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	ann := n.SignUp("ann@example.com")
	insert := func(n *servertest.Node, id int, v string) {
		t.Helper()
		execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes values (%d, '%s', '%s'); insert into notes values (%d, null, 'hidden')`, id, ann.ID, v, id+1000))
	}
	s := openSocket(t, n.SocketURL(ann.AccessToken))
	s.send(`{"type":"subscribe","config":{"table":"notes"}}`)
	ack := s.expect(`{"type":"ack","payload":{"subscribed":true}}`)
	beginning := cursorOf(t, ack)
	insert(n, 1, "one")
	first := cursorOf(t, s.expect(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":1,"v":"one"}}}`))
	insert(n, 2, "two")
	s.expect(`{"type":"postgres_changes","payload":{"record":{"id":2}}}`)
	n.Stop()
	if code := s.closes(); code != 1012 {
		t.Errorf("the stopping node closes with %d", code)
	}

	n = servertest.On(t, database)
	insert(n, 3, "three")
	other := servertest.On(t, database)
	for _, from := range []struct {
		node   *servertest.Node
		cursor string
		ids    []int
	}{{n, beginning, []int{1, 2, 3}}, {n, first, []int{2, 3}}, {other, first, []int{2, 3}}} {
		cursor, ids := from.cursor, from.ids
		s := openSocket(t, from.node.SocketURL(ann.AccessToken))
		s.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s"}}`, cursor)
		// The client knows of the subscription before it gets its changes.
		m, err := s.read()
		if err != nil || m["type"] != "ack" || cursorOf(t, m) == "" || m["subscription_id"] != ack["subscription_id"] {
			t.Fatalf("%v %v", m, err)
		}
		for _, id := range ids {
			s.expect(fmt.Sprintf(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":%d}}}`, id))
		}
		execAll(t, n.DatabaseURL, `update notes set v = 'live' where id = 1`)
		s.expect(`{"type":"postgres_changes","payload":{"type":"UPDATE","record":{"id":1,"v":"live"}}}`)
		execAll(t, n.DatabaseURL, `update notes set v = 'one' where id = 1`)
		s.expect(`{"type":"postgres_changes","payload":{"type":"UPDATE","record":{"id":1,"v":"one"}}}`)
	}
	// The verdict is taken when a change is delivered: whoever resumes sees what it
	// may see now.
	ben := n.SignUp("ben@example.com")
	b := openSocket(t, n.SocketURL(ben.AccessToken))
	b.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s"}}`, beginning)
	b.expect(`{"type":"ack"}`)
	execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes values (4, '%s', 'ben')`, ben.ID))
	b.expect(`{"type":"postgres_changes","payload":{"record":{"id":4}}}`)
}

func TestCursorsThatAreNoGood(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, v text)`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	s := openSocket(t, n.SocketURL(n.ServiceKey))
	s.send(`{"type":"subscribe","channel":"mine","config":{"table":"notes"}}`)
	cursor := cursorOf(t, s.expect(`{"type":"ack"}`))
	for _, c := range []string{
		`{"type":"subscribe","channel":"mine","config":{"table":"notes","cursor":"made up"}}`,
		`{"type":"subscribe","channel":"mine","config":{"table":"notes","event":"INSERT","cursor":"` + cursor + `"}}`,
		`{"type":"subscribe","channel":"mine","config":{"table":"notes","filter":"id=eq.1","cursor":"` + cursor + `"}}`,
	} {
		s.send("%s", c)
		s.expect(`{"type":"resume_failed","code":"invalid_cursor","channel":"mine"}`)
	}
	execAll(t, n.DatabaseURL, `insert into notes values (1, 'x')`)
	s.expect(`{"type":"postgres_changes","payload":{"record":{"id":1}}}`)
	execAll(t, n.DatabaseURL, `alter table notes add w int`)
	s.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s"}}`, cursor)
	s.expect(`{"type":"resume_failed","code":"schema_changed"}`)
	// Rows stand in for a cursor that is no good, where the client says so.
	s.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s","snapshot":true}}`, cursor)
	s.expect(`{"type":"ack","payload":{"snapshot":true,"resume_failed":"schema_changed"}}`)
	s.expect(`{"type":"snapshot","payload":{"begin":true,"done":true,"records":[{"id":1,"v":"x","w":null}]}}`)

	fresh := cursorOf(t, s.expectAck(`{"type":"subscribe","config":{"table":"notes","event":"DELETE"}}`))
	execAll(t, n.DatabaseURL, `update realtime.log_state set random_id = gen_random_uuid();
		select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()`)
	s.expect(`{"type":"resume_failed","code":"epoch_changed"}`)
	s.send(`{"type":"subscribe","config":{"table":"notes","event":"DELETE","cursor":"%s"}}`, fresh)
	for {
		m, err := s.read()
		if err != nil {
			t.Fatal(err)
		}
		if m["type"] == "resume_failed" && m["code"] == "epoch_changed" && m["message"] == "the cursor belongs to another log" {
			break
		}
		if m["type"] == "error" || m["type"] == "ack" {
			t.Fatalf("got %v", m)
		}
	}
}

// expectAck sends a request and gives the acknowledgement.
func (s *socket) expectAck(request string) map[string]any {
	s.t.Helper()
	s.send("%s", request)
	return s.expect(`{"type":"ack"}`)
}

func TestSnapshotThenLive(t *testing.T) {
	n := servertest.Start(t, "REALTIME_SNAPSHOT_MAX_ROWS=100")
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, owner uuid, v text, secret text); alter table notes enable row level security;
		create policy own on notes using (owner = auth.uid())`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes","exclude":["secret"]}`)
	ann := n.SignUp("ann@example.com")
	execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes select g, case g %% 2 when 0 then '%s'::uuid end, repeat('v', 2000), 's' from generate_series(1, 200) g`, ann.ID))
	s := openSocket(t, n.SocketURL(ann.AccessToken))
	s.send(`{"type":"subscribe","config":{"table":"notes","snapshot":true,"order":"id.desc"}}`)
	s.expect(`{"type":"ack","payload":{"snapshot":true}}`)
	next, cursor := 200, ""
	for cursor == "" {
		m := s.expect(`{"type":"snapshot"}`)
		payload := m["payload"].(map[string]any)
		records := payload["records"].([]any)
		if first := next == 200; (payload["begin"] == true) != first || len(records) == 0 || len(records) > 40 {
			t.Fatalf("begin %v with %d records at %d", payload["begin"], len(records), next)
		}
		for _, r := range records {
			record := r.(map[string]any)
			if fmt.Sprint(record["id"]) != fmt.Sprint(next) || len(record) != 3 {
				t.Fatalf("record %d is %v", next, record)
			}
			next -= 2
		}
		if payload["done"] == true {
			cursor = cursorOf(t, m)
		}
	}
	if next != 0 {
		t.Errorf("the rows end before %d", next)
	}
	execAll(t, n.DatabaseURL, `update notes set v = 'x' where id <= 2`)
	s.expect(`{"type":"postgres_changes","payload":{"type":"UPDATE","record":{"id":2,"v":"x"}}}`)
	// The cursor of the rows is where their changes begin.
	s = openSocket(t, n.SocketURL(ann.AccessToken))
	s.send(`{"type":"subscribe","config":{"table":"notes","cursor":"%s"}}`, cursor)
	s.expect(`{"type":"ack"}`)
	s.expect(`{"type":"postgres_changes","payload":{"type":"UPDATE","record":{"id":2,"v":"x"}}}`)

	execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes values (300, '%s', 'v', 's')`, ann.ID))
	s.send(`{"type":"subscribe","channel":"c","config":{"table":"notes","snapshot":true}}`)
	s.expect(`{"type":"error","code":"PAYLOAD_TOO_LARGE","channel":"c"}`)
	s.send(`{"type":"subscribe","channel":"c","config":{"table":"notes","snapshot":true,"order":"secret"}}`)
	s.expect(`{"type":"error","code":"UNKNOWN_COLUMN","channel":"c"}`)
	s.send(`{"type":"subscribe","channel":"c","config":{"table":"notes","snapshot":true,"filter":"id=gt.250","limit":3}}`)
	s.expect(`{"type":"ack","channel":"c"}`)
	s.expect(fmt.Sprintf(`{"type":"snapshot","payload":{"begin":true,"done":true,"records":[{"id":300,"owner":"%s","v":"v"}]}}`, ann.ID))
}
