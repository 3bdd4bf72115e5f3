package scenario

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// explained is the answer of POST /api/v1/realtime/explain, as far as it is looked
// at here.
type explained struct {
	Delivered     bool
	Reason        string
	As            *string
	Entered, Left bool
	Type          string
	Caller        struct {
		Role         string
		DatabaseRole string `json:"database_role"`
		UserID       string `json:"user_id"`
		From         string
	}
	Steps []struct {
		Step                            string
		Passed                          *bool
		Decided                         string
		New, Old                        *bool
		Connected, Subscribed           bool
		Delivered, Excluded, Unreadable []string
		Error                           *struct{ Code string }
		Policies                        []struct {
			Name, Decided string
			Applies       bool
			New, Old      *bool
			Error         *struct{ Code string }
		}
		Connections []struct {
			ID            string
			Subscriptions []struct{ Event, Filter string }
		}
	}
}

func (x explained) policies() string {
	text := ""
	for _, s := range x.Steps {
		for _, p := range s.Policies {
			text += fmt.Sprintf("%s %s %v/%v", p.Name, p.Decided, truth(p.New), truth(p.Old))
			if p.Error != nil {
				text += " " + p.Error.Code
			}
			text += "; "
		}
	}
	return text
}

func truth(b *bool) string {
	if b == nil {
		return "–"
	}
	return fmt.Sprint(*b)
}

const explainDDL = `
	create table notes (id int primary key, owner uuid, org text, n int, secret text, hidden text);
	alter table notes enable row level security;
	create policy own on notes to authenticated using (owner = auth.uid());
	create policy shared on notes to authenticated using (length(org) > 3);
	create policy numbers on notes as restrictive using (n >= 0);
	create policy broken on notes to anon using (1 / n > 0);
	revoke select on notes from authenticated; grant select (id, owner, org, n, secret) on notes to authenticated;
	create table plain (id int primary key); create table closed (id int primary key); revoke all on closed from authenticated;
	create table other (id int primary key)`

func TestExplain(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, explainDDL)
	for _, body := range []string{`{"table":"notes","exclude":["secret"]}`, `{"table":"plain","events":["INSERT"]}`, `{"table":"closed"}`} {
		n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, body)
	}
	ann := n.SignUp("ann@example.com")
	for _, c := range []struct {
		name, body string
		reason, as string
		policies   string
	}{
		{"own row", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"user_id":"ANN"}`, "delivered", "INSERT", "broken  –/–; numbers memory true/–; own memory true/–; shared sql –/–; "},
		{"another's row", `{"table":"notes","record":{"id":1,"owner":null,"org":"red","n":1},"user_id":"ANN"}`, "not_visible", "", "broken  –/–; numbers memory true/–; own memory –/–; shared sql false/–; "},
		{"restrictive", `{"channel":"table:public.notes","record":{"id":1,"owner":"ANN","n":-1},"user_id":"ANN"}`, "not_visible", "", "broken  –/–; numbers memory false/–; own memory true/–; shared sql –/–; "},
		{"entered", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"old_record":{"id":1,"n":1},"user_id":"ANN"}`, "delivered", "UPDATE entered", "broken  –/–; numbers memory true/true; own memory true/–; shared sql –/–; "},
		{"left by the filter", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"old_record":{"id":1,"owner":"ANN","n":5},"filter":"n=eq.5","user_id":"ANN"}`, "delivered", "DELETE left", ""},
		{"filtered", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"filter":"n=eq.5","user_id":"ANN"}`, "filtered_out", "", ""},
		{"filter on what is not read", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"filter":"hidden=eq.x","user_id":"ANN"}`, "filter_refused", "", ""},
		{"filter of another type", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"filter":"n=eq.x","user_id":"ANN"}`, "filter_refused", "", ""},
		{"another event", `{"table":"notes","old_record":{"id":1,"owner":"ANN","n":1},"event":"INSERT","user_id":"ANN"}`, "event_not_wanted", "", ""},
		{"deleted", `{"table":"notes","old_record":{"id":1,"owner":"ANN","n":1},"user_id":"ANN"}`, "delivered", "DELETE", ""},
		{"failing policy", `{"table":"notes","record":{"id":1,"n":0},"role":"anon"}`, "policy_failed", "", "broken sql –/– INVALID_INPUT; numbers memory true/–; own  –/–; shared  –/–; "},
		{"the service", `{"table":"notes","record":{"id":1},"role":"service_role"}`, "delivered", "INSERT", "broken  –/–; numbers  –/–; own  –/–; shared  –/–; "},
		{"claims", `{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"claims":{"sub":"ANN","role":"authenticated","org":"x"}}`, "delivered", "INSERT", ""},
		{"event not logged", `{"table":"plain","old_record":{"id":1},"user_id":"ANN"}`, "event_not_logged", "", ""},
		{"no privilege", `{"table":"closed","record":{"id":1},"user_id":"ANN"}`, "permission_denied", "", ""},
		{"not enabled", `{"table":"other","record":{"id":1},"user_id":"ANN"}`, "table_not_enabled", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			var x explained
			n.Want(200, "POST", "/api/v1/realtime/explain", n.ServiceKey, named(c.body, ann)).Decode(t, &x)
			as := ""
			if x.As != nil {
				as = *x.As
			}
			if x.Entered {
				as += " entered"
			}
			if x.Left {
				as += " left"
			}
			if x.Reason != c.reason || as != c.as || x.Delivered != (c.reason == "delivered") {
				t.Errorf("%s as %q, want %s as %q: %+v", x.Reason, as, c.reason, c.as, x)
			}
			if got := x.policies(); c.policies != "" && got != c.policies {
				t.Errorf("policies\n got %s\nwant %s", got, c.policies)
			}
		})
	}
}

// named puts a user's id into a body.
func named(body string, user servertest.User) string {
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		panic(err)
	}
	var walk func(any) any
	walk = func(v any) any {
		switch v := v.(type) {
		case map[string]any:
			for name := range v {
				v[name] = walk(v[name])
			}
		case string:
			if v == "ANN" {
				return user.ID
			}
		}
		return v
	}
	text, err := json.Marshal(walk(v))
	if err != nil {
		panic(err)
	}
	return string(text)
}

// What is asked about a connection is answered as it is subscribed, and as whom.
func TestExplainOfAConnection(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, explainDDL)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes","exclude":["secret"]}`)
	ann := n.SignUp("ann@example.com")
	ask := func(body string) explained {
		t.Helper()
		var x explained
		n.Want(200, "POST", "/api/v1/realtime/explain", n.ServiceKey, named(body, ann)).Decode(t, &x)
		return x
	}
	x := ask(`{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"user_id":"ANN"}`)
	if last := x.Steps[len(x.Steps)-1]; last.Step != "connection" || last.Connected || last.Subscribed || x.Caller.From != "request" {
		t.Errorf("before she connects: %+v", x)
	}
	s := openSocket(t, n.SocketURL(ann.AccessToken))
	s.send(`{"type":"subscribe","config":{"schema":"public","table":"notes","event":"UPDATE","filter":"n=gt.5"}}`)
	s.expect(`{"type":"ack"}`)
	x = ask(`{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"user_id":"ANN"}`)
	last := x.Steps[len(x.Steps)-1]
	if !last.Connected || !last.Subscribed || len(last.Connections) != 1 || x.Caller.From != "connection" {
		t.Fatalf("connected: %+v", x)
	}
	if got := fmt.Sprint(last.Connections[0].Subscriptions); got != "[{UPDATE n=gt.5}]" {
		t.Errorf("subscriptions: %s", got)
	}
	id := last.Connections[0].ID
	if x = ask(`{"table":"notes","record":{"id":1,"owner":"ANN","n":1},"connection_id":"` + id + `"}`); x.Reason != "filtered_out" || x.Caller.UserID != ann.ID {
		t.Errorf("her connection: %+v", x)
	}
	if x = ask(`{"table":"notes","record":{"id":1,"owner":"ANN","n":9},"connection_id":"` + id + `"}`); x.Reason != "event_not_wanted" {
		t.Errorf("her connection: %+v", x)
	}
	for _, step := range x.Steps {
		if got := fmt.Sprint(step.Delivered, step.Excluded, step.Unreadable); step.Step == "columns" && got != "[id owner org n] [secret] [hidden]" {
			t.Errorf("columns: %s", got)
		}
	}
	wantFailure(t, n.Do("POST", "/api/v1/realtime/explain", n.ServiceKey, `{"table":"notes","record":{"id":1},"connection_id":"none"}`), 404, "NOT_FOUND")
}

func TestExplainRefuses(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, explainDDL)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	const path = "/api/v1/realtime/explain"
	wantFailure(t, n.Do("POST", path, "", `{"table":"notes","record":{}}`), 401, "MISSING_AUTHENTICATION")
	wantFailure(t, n.Do("POST", path, n.SignUp("ann@example.com").AccessToken, `{"table":"notes","record":{}}`), 403, "INSUFFICIENT_PERMISSIONS")
	for body, code := range map[string]string{
		`{"record":{}}`: "MISSING_REQUIRED_FIELD", `{"table":"notes"}`: "MISSING_REQUIRED_FIELD", `{"channel":"lobby","record":{}}`: "MISSING_REQUIRED_FIELD",
		`{"table":"notes","record":[1]}`: "INVALID_INPUT", `{"table":"notes","record":{"n":"x"}}`: "INVALID_INPUT", `{"table":"notes","record":{},"event":"x"}`: "INVALID_INPUT",
		`{"table":"notes","record":{},"claims":[1]}`: "INVALID_INPUT", `{"table":"notes","record":{},"filter":"x"}`: "INVALID_QUERY", `{"table":"notes","record":{}`: "INVALID_REQUEST_BODY",
	} {
		if got := n.Do("POST", path, n.ServiceKey, body); got.Status != 400 {
			t.Errorf("%s: status %d", body, got.Status)
		} else {
			wantFailure(t, got, 400, code)
		}
	}
}

// Figures say who decided: policies in memory, by the row's values, or PostgreSQL.
func TestVerdictsAreCounted(t *testing.T) {
	n := servertest.Start(t)
	execAll(t, n.DatabaseURL, `create table notes (id int primary key, owner uuid); alter table notes enable row level security;
		create policy own on notes using (owner = auth.uid()); create table other (id int primary key, owner uuid);
		alter table other enable row level security; create policy own on other using (owner = auth.uid() and length(owner::text) = 36)`)
	users := []servertest.User{n.SignUp("ann@example.com"), n.SignUp("ben@example.com"), n.SignUp("cat@example.com")}
	var sockets []*socket
	for _, table := range []string{"notes", "other"} {
		n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"`+table+`"}`)
	}
	for _, user := range users {
		s := openSocket(t, n.SocketURL(user.AccessToken))
		sockets = append(sockets, s)
		for _, table := range []string{"notes", "other"} {
			s.send(`{"type":"subscribe","channel":"table:%s"}`, table)
			s.expect(`{"type":"ack"}`)
		}
	}
	for _, table := range []string{"notes", "other"} {
		execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into %s values (1, '%s')`, table, users[0].ID))
		sockets[0].expect(fmt.Sprintf(`{"type":"postgres_changes","payload":{"table":"%s"}}`, table))
	}
	var figures struct {
		Log struct {
			Identities int
			Memory     int `json:"verdicts_in_memory"`
			SQL        int `json:"verdicts_in_sql"`
			Lookups    int `json:"verdict_lookups"`
		} `json:"change_log"`
	}
	// The feed hears of the identities behind the changes.
	for deadline := time.Now().Add(10 * time.Second); figures.Log.Identities < 6 && time.Now().Before(deadline); {
		n.Want(200, "GET", "/api/v1/monitoring/metrics", n.ServiceKey, nil).Decode(t, &figures)
	}
	// One of the three was looked at for the first row, all three were asked about
	// the second.
	if got := fmt.Sprintf("%+v", figures.Log); got != "{Identities:6 Memory:3 SQL:3 Lookups:1}" {
		t.Error(got)
	}
}
