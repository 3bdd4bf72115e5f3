package scenario

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// eventStream is a client of /realtime/sse.
type eventStream struct {
	t      *testing.T
	cancel context.CancelFunc
	lines  *bufio.Reader
	lastID string
}

func openStream(t *testing.T, n *servertest.Node, token, query, lastID string) *eventStream {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	request, err := http.NewRequestWithContext(ctx, "GET", n.URL+"/realtime/sse?"+query, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	request.Header.Set("Origin", "http://localhost:5173")
	if lastID != "" {
		request.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != 200 || answer.Header.Get("X-Request-ID") == "" {
		t.Fatalf("%s %v", answer.Status, answer.Header)
	}
	return &eventStream{t: t, cancel: cancel, lines: bufio.NewReader(answer.Body), lastID: lastID}
}

// next is the next event's data; nil at the end.
func (s *eventStream) next() map[string]any {
	s.t.Helper()
	deadline := time.AfterFunc(15*time.Second, s.cancel)
	defer deadline.Stop()
	var message map[string]any
	name := ""
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return nil
		}
		field, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch field {
		case "id":
			s.lastID = value
		case "event":
			name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &message); err != nil || message["type"] != name {
				s.t.Fatalf("%s with %s: %v", name, value, err)
			}
		case "":
			if message != nil {
				return message
			}
		}
	}
}

// expect reads the next event, which must hold what want does.
func (s *eventStream) expect(want string) map[string]any {
	s.t.Helper()
	var w map[string]any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		s.t.Fatal(err)
	}
	got := s.next()
	if !contains(got, w) {
		s.t.Fatalf("got %v, want %s", got, want)
	}
	return got
}

// TestStreamResumesAcrossARestart: rows, then changes as the caller may see them,
// and after a restart of the server what was missed, by the id of the last event.
func TestStreamResumesAcrossARestart(t *testing.T) {
	database := dbtest.Create(t)
	n := servertest.On(t, database)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, owner uuid, v text); alter table notes enable row level security;
		create policy own on notes using (owner = auth.uid())`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	ann := n.SignUp("ann@example.com")
	insert := func(id int) {
		t.Helper()
		execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes values (%d, '%s', 'mine'), (%d, null, 'hidden')`, id, ann.ID, id+1000))
	}
	insert(1)
	query := "table=notes&snapshot=true&filter=" + url.QueryEscape("id=lt.100")
	s := openStream(t, n, ann.AccessToken, query, "")
	s.expect(`{"type":"ack","payload":{"subscribed":true,"snapshot":true}}`)
	if s.lastID != "" {
		t.Errorf("id %q before the rows", s.lastID)
	}
	rows := s.expect(`{"type":"snapshot","payload":{"done":true}}`)["payload"].(map[string]any)["records"].([]any)
	if len(rows) != 1 || !contains(rows[0], map[string]any{"id": 1, "v": "mine"}) {
		t.Errorf("rows %v", rows)
	}
	if s.lastID == "" {
		t.Error("no id behind the rows")
	}
	insert(2)
	s.expect(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":2}}}`)
	last := s.lastID
	n.Stop()
	s.expect(`{"type":"close","code":1012}`)
	if end := s.next(); end != nil {
		t.Errorf("got %v behind the end", end)
	}

	n = servertest.On(t, database)
	insert(3)
	s = openStream(t, n, ann.AccessToken, query, last)
	s.expect(`{"type":"ack"}`)
	s.expect(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":3}}}`)
	execAll(t, n.DatabaseURL, `update notes set v = 'more' where id in (1, 1001)`)
	s.expect(`{"type":"postgres_changes","payload":{"type":"UPDATE","record":{"id":1,"v":"more"}}}`)
}

// TestStreamThatCannotResume says why, forgets the place and ends: the next one
// begins anew.
func TestStreamThatCannotResume(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key)`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	s := openStream(t, n, n.ServiceKey, "table=notes", "")
	s.expect(`{"type":"ack"}`)
	key, _, _ := strings.Cut(s.lastID, ":")
	s = openStream(t, n, n.ServiceKey, "table=notes", key+":madeup")
	s.expect(`{"type":"resume_failed","code":"invalid_cursor"}`)
	if s.lastID != key+":" {
		t.Errorf("id %q", s.lastID)
	}
	s.expect(`{"type":"close","code":1008}`)
	s = openStream(t, n, n.ServiceKey, "table=notes", s.lastID)
	s.expect(`{"type":"ack"}`)
	execAll(t, n.DatabaseURL, `insert into notes values (1)`)
	s.expect(`{"type":"postgres_changes","payload":{"record":{"id":1}}}`)
}

// TestStreamOfTablesAndChannels: one id for all of them.
func TestStreamOfTablesAndChannels(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table a (id int primary key); create table b (id int primary key)`)
	for _, table := range []string{"a", "b"} {
		n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"`+table+`"}`)
	}
	query := "channel=table:a&channel=table:b&channel=broadcast:news"
	s := openStream(t, n, n.ServiceKey, query, "")
	for range 3 {
		s.expect(`{"type":"ack"}`)
	}
	publish := func(payload int) {
		t.Helper()
		n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, map[string]any{"channel": "broadcast:news", "message": payload})
	}
	execAll(t, n.DatabaseURL, `insert into a values (1)`)
	s.expect(`{"type":"postgres_changes","payload":{"table":"a","record":{"id":1}}}`)
	publish(1)
	s.expect(`{"type":"broadcast","payload":{"broadcast":{"payload":1}}}`)
	s.cancel()

	execAll(t, n.DatabaseURL, `insert into b values (2); insert into a values (2)`)
	publish(2)
	s = openStream(t, n, n.ServiceKey, query, s.lastID)
	missed := map[string]int{}
	for range 6 { // three acks among them
		m := s.next()
		if m == nil {
			t.Fatalf("ended after %v", missed)
		}
		payload, _ := m["payload"].(map[string]any)
		missed[fmt.Sprintf("%v %v %v", m["type"], payload["table"], payload["record"])]++
	}
	for _, once := range []string{"postgres_changes a map[id:2]", "postgres_changes b map[id:2]", "broadcast <nil> <nil>"} {
		if missed[once] != 1 {
			t.Errorf("%s came %d times: %v", once, missed[once], missed)
		}
	}
	execAll(t, n.DatabaseURL, `insert into a values (3)`)
	s.expect(`{"type":"postgres_changes","payload":{"table":"a","record":{"id":3}}}`)
}
