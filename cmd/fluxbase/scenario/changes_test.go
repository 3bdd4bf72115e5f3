package scenario

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// tableStatus is how the administration shows a table.
type tableStatus struct {
	ID        int      `json:"id"`
	Schema    string   `json:"schema"`
	Table     string   `json:"table"`
	Enabled   bool     `json:"realtime_enabled"`
	Events    []string `json:"events"`
	Excluded  []string `json:"excluded_columns"`
	CreatedAt *string  `json:"created_at"`
}

func TestChangesAdministration(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, v text, secret text); create view shown as select * from notes`)
	const base = "/api/v1/admin/realtime/tables"
	user := n.SignUp("someone@example.com")

	wantFailure(t, n.Do("GET", base, "", nil), 401, "MISSING_AUTHENTICATION")
	wantFailure(t, n.Do("GET", base, user.AccessToken, nil), 403, "INSUFFICIENT_PERMISSIONS")
	wantFailure(t, n.Do("POST", base, n.AnonKey, `{"table":"notes"}`), 403, "INSUFFICIENT_PERMISSIONS")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{}`), 400, "MISSING_REQUIRED_FIELD")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{"table":"no-name"}`), 400, "INVALID_INPUT")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{"table":"none"}`), 404, "TABLE_NOT_FOUND")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{"table":"shown"}`), 400, "VALIDATION_FAILED")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{"schema":"auth","table":"users"}`), 400, "VALIDATION_FAILED")
	wantFailure(t, n.Do("POST", base, n.ServiceKey, `{"table":"notes","events":["TRUNCATE"]}`), 400, "VALIDATION_FAILED")

	var before tableStatus
	n.Want(200, "GET", base+"/public/notes", n.ServiceKey, nil).Decode(t, &before)
	if before.Enabled || before.CreatedAt != nil {
		t.Errorf("before: %+v", before)
	}
	var enabled map[string]any
	n.Want(201, "POST", base, n.ServiceKey, `{"table":"notes","exclude":["secret"]}`).Decode(t, &enabled)
	if got := fmt.Sprintf("%v %v %v %v %v", enabled["schema"], enabled["table"], enabled["events"], enabled["trigger_name"], enabled["exclude"]); got != "public notes [INSERT UPDATE DELETE] notes_realtime_notify [secret]" {
		t.Errorf("enabled: %s", got)
	}
	list := func(query string) []tableStatus {
		t.Helper()
		var body struct {
			Tables []tableStatus
			Count  int
		}
		n.Want(200, "GET", base+query, n.ServiceKey, nil).Decode(t, &body)
		if body.Count != len(body.Tables) {
			t.Errorf("count %d of %d", body.Count, len(body.Tables))
		}
		return body.Tables
	}
	if all := list(""); len(all) != 1 || !all[0].Enabled || all[0].Excluded[0] != "secret" {
		t.Errorf("enabled tables: %+v", all)
	}
	wantFailure(t, n.Do("GET", base+"?enabled=maybe", n.ServiceKey, nil), 400, "INVALID_INPUT")

	s := openSocket(t, n.SocketURL(user.AccessToken))
	s.send(`{"type":"subscribe","channel":"table:notes"}`)
	s.expect(`{"type":"ack","payload":{"subscribed":true,"schema":"public","table":"notes","event":"*"}}`)
	execAll(t, n.DatabaseURL, `insert into notes values (1, 'x', 's')`)
	m := s.expect(`{"type":"postgres_changes","payload":{"type":"INSERT","record":{"id":1,"v":"x"}}}`)
	if record, _ := m["payload"].(map[string]any)["record"].(map[string]any); len(record) != 2 {
		t.Errorf("the record has what was excluded: %v", record)
	}

	wantFailure(t, n.Do("PATCH", base+"/public/notes", n.ServiceKey, `{}`), 400, "VALIDATION_FAILED")
	n.Want(200, "PATCH", base+"/public/notes", n.ServiceKey, `{"events":["DELETE"],"exclude":[]}`)
	execAll(t, n.DatabaseURL, `update notes set v = 'y'; delete from notes`)
	s.expect(`{"type":"postgres_changes","payload":{"type":"DELETE","old_record":{"id":1,"v":"y","secret":"s"}}}`)

	n.Want(200, "DELETE", base+"/public/notes", n.ServiceKey, nil)
	s.expect(`{"type":"error","error":"table public.notes not enabled for realtime"}`)
	wantFailure(t, n.Do("DELETE", base+"/public/notes", n.ServiceKey, nil), 404, "NOT_FOUND")
	wantFailure(t, n.Do("PATCH", base+"/public/notes", n.ServiceKey, `{"events":["DELETE"]}`), 404, "NOT_FOUND")
	if len(list("")) != 0 || len(list("?enabled=false")) != 1 {
		t.Error("the disabled table is listed wrong")
	}
}

func TestChangesOfWideRowsAndLargeStatements(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table rows (id int primary key, owner uuid, body text); alter table rows enable row level security;
		create policy own on rows using (owner = auth.uid())`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"rows"}`)
	ann, ben := n.SignUp("ann@example.com"), n.SignUp("ben@example.com")
	sockets := map[servertest.User]*socket{ann: openSocket(t, n.SocketURL(ann.AccessToken)), ben: openSocket(t, n.SocketURL(ben.AccessToken))}
	for _, s := range sockets {
		s.send(`{"type":"subscribe","config":{"schema":"public","table":"rows","event":"*"}}`)
		s.expect(`{"type":"ack"}`)
	}
	const count, wide = 10_000, 100_000
	execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into rows select g, case g %% 2 when 0 then '%s' else '%s' end::uuid, 'b' from generate_series(1, %d) g;
		update rows set body = repeat('w', %d) where id <= 20; delete from rows`, ann.ID, ben.ID, count, wide))
	for user, s := range sockets {
		parity := 1
		if user == ann {
			parity = 0
		}
		next := map[string]int{}
		for seen := 0; seen < count/2+10+count/2; seen++ {
			m, err := s.read()
			if err != nil {
				t.Fatalf("after %d messages: %v", seen, err)
			}
			payload, _ := json.Marshal(m["payload"])
			var c struct {
				Type      string
				Record    struct{ ID int }
				OldRecord struct {
					ID   int
					Body string
				} `json:"old_record"`
			}
			if err := json.Unmarshal(payload, &c); err != nil || m["type"] != "postgres_changes" {
				t.Fatalf("%v: %v", m, err)
			}
			id := c.Record.ID + c.OldRecord.ID
			switch c.Type {
			case "UPDATE":
				id = c.Record.ID
				if len(payload) < wide {
					t.Errorf("the wide row has %d bytes", len(payload))
				}
			case "DELETE":
				if id <= 20 && c.OldRecord.Body != strings.Repeat("w", wide) {
					t.Errorf("the old row of %d has %d bytes", id, len(c.OldRecord.Body))
				}
			}
			if id%2 != parity {
				t.Fatalf("%s saw row %d of the other", user.Email, id)
			}
			next[c.Type]++
		}
		if next["INSERT"] != count/2 || next["UPDATE"] != 10 || next["DELETE"] != count/2 {
			t.Errorf("%s saw %v", user.Email, next)
		}
	}
}
