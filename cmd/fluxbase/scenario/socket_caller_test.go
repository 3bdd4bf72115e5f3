package scenario

import (
	"fmt"
	"testing"

	"fluxbase/cmd/fluxbase/server/servertest"
)

// TestSocketOfAnotherCaller: with another token, a socket has what that token may
// have, from the acknowledgement on and not a row more.
func TestSocketOfAnotherCaller(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	ann, ben := n.SignUp("ann@example.com"), n.SignUp("ben@example.com")
	execAll(t, n.DatabaseURL, `
		create table notes (id int primary key, owner uuid, secret text);
		alter table notes enable row level security;
		create policy own on notes for select to authenticated using (owner = auth.uid());
		create policy anyone on notes for select to anon using (true);
		revoke all on notes from anon; grant select (id, owner) on notes to anon; grant select on notes to authenticated`)
	n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
	id := 0
	insert := func(owner string) int {
		t.Helper()
		id++
		execAll(t, n.DatabaseURL, fmt.Sprintf(`insert into notes values (%d, '%s', 'x')`, id, owner))
		return id
	}
	s := openSocket(t, n.SocketURL(ann.AccessToken))
	become := func(token string) {
		t.Helper()
		s.send(`{"type":"access_token","token":%q}`, token)
		s.expect(`{"type":"ack","payload":{"type":"access_token","updated":true}}`)
	}
	sees := func(id int) {
		t.Helper()
		s.expect(fmt.Sprintf(`{"type":"postgres_changes","payload":{"record":{"id":%d}}}`, id))
	}
	s.send(`{"type":"subscribe","channel":"table:notes"}`)
	s.expect(`{"type":"ack","payload":{"subscribed":true}}`)
	insert(ben.ID)
	sees(insert(ann.ID))
	become(ben.AccessToken)
	insert(ann.ID)
	sees(insert(ben.ID))
	become(n.ServiceKey)
	sees(insert(ann.ID))
	become(ben.AccessToken)

	// The only subscription is one that the next caller may not have.
	s.send(`{"type":"unsubscribe","channel":"table:notes"}`)
	s.expect(`{"type":"ack","payload":{"unsubscribed":true}}`)
	s.send(`{"type":"subscribe","channel":"table:notes","config":{"event":"INSERT","filter":"secret=eq.x"}}`)
	filtered := s.expect(`{"type":"ack","payload":{"subscribed":true,"table":"notes","event":"INSERT","filter":"secret=eq.x"}}`)
	sees(insert(ben.ID))
	s.send(`{"type":"access_token","token":%q}`, n.AnonKey)
	s.expect(fmt.Sprintf(`{"type":"error","code":"UNKNOWN_COLUMN","channel":"table:notes","subscription_id":%q}`, filtered["subscription_id"]))
	s.expect(`{"type":"ack","payload":{"type":"access_token","updated":true}}`)
	insert(ben.ID)
	s.send(`{"type":"subscribe","channel":"table:public.notes"}`)
	s.expect(`{"type":"ack","payload":{"subscribed":true}}`)
	sees(insert(ben.ID))
}

// TestSocketForgetsEndedSubscriptions: what the server ended is not in the way of
// what comes after.
func TestSocketForgetsEndedSubscriptions(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "REALTIME_LIMITS_MAX_SUBSCRIPTIONS=1")
	ann := n.SignUp("ann@example.com")
	execAll(t, n.DatabaseURL, `create table notes (id int primary key); grant select on notes to authenticated`)
	s := openSocket(t, n.SocketURL(ann.AccessToken))
	var ids []any
	for range 2 {
		n.Want(201, "POST", "/api/v1/admin/realtime/tables", n.ServiceKey, `{"table":"notes"}`)
		s.send(`{"type":"subscribe","channel":"table:notes"}`)
		ids = append(ids, s.expect(`{"type":"ack","payload":{"subscribed":true}}`)["subscription_id"])
		n.Want(200, "DELETE", "/api/v1/admin/realtime/tables/public/notes", n.ServiceKey, nil)
		s.expect(`{"type":"error","error":"table public.notes not enabled for realtime","code":"REALTIME_NOT_ENABLED"}`)
	}
	if ids[0] != ids[1] {
		t.Errorf("the same subscription is called %v", ids)
	}
}
