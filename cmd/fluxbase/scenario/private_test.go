package scenario

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// administer runs SQL as the superuser of a database.
func administer(t *testing.T, database, sql string) {
	t.Helper()
	admin, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer admin.Close(context.Background())
	if _, err := admin.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

// privatePolicies let the members of a room read it and see its presences, and the
// writers among them write.
const privatePolicies = `
	CREATE TABLE members (room text, email text, writes boolean);
	CREATE FUNCTION is_member(room text, writing boolean) RETURNS boolean LANGUAGE sql STABLE SECURITY DEFINER AS
	  'SELECT EXISTS (SELECT FROM public.members m WHERE m.room = is_member.room AND m.email = auth.jwt() ->> ''email'' AND (m.writes OR NOT writing))';
	CREATE POLICY read ON realtime.messages FOR SELECT TO authenticated USING (public.is_member(realtime.topic(), false));
	CREATE POLICY write ON realtime.messages FOR INSERT TO authenticated WITH CHECK (public.is_member(realtime.topic(), true));
	INSERT INTO members VALUES ('hall', 'ann@example.com', true), ('hall', 'ben@example.com', false);`

func TestPrivateChannel(t *testing.T) {
	t.Parallel()
	database := dbtest.Create(t)
	administer(t, database, privatePolicies)
	n := servertest.On(t, database)
	annUser, benUser, cidUser := n.SignUp("ann@example.com"), n.SignUp("ben@example.com"), n.SignUp("cid@example.com")
	ann, ben, cid := openSocket(t, n.SocketURL(annUser.AccessToken)), openSocket(t, n.SocketURL(benUser.AccessToken)), openSocket(t, n.SocketURL(cidUser.AccessToken))
	open := openSocket(t, n.SocketURL(""))

	const join = `{"type":"subscribe","channel":"hall","config":{"private":true}}`
	for _, s := range []*socket{ann, ben} {
		s.send(join)
		s.expect(`{"type":"ack","channel":"hall","private":true,"payload":{"subscribed":true}}`)
	}
	for _, s := range []*socket{cid, open} {
		s.send(join)
		s.expect(`{"type":"error","code":"ACCESS_DENIED","channel":"hall","private":true}`)
		// The public channel of the name is another one.
		s.send(`{"type":"subscribe","channel":"hall"}`)
		s.expect(`{"type":"ack","channel":"hall"}`)
	}
	ann.send(`{"type":"broadcast","channel":"hall","config":{"private":true},"event":"e","payload":1,"messageId":"m"}`)
	ann.expect(`{"type":"ack","messageId":"m","status":"ok","private":true}`)
	ben.expect(`{"type":"broadcast","channel":"hall","private":true,"payload":{"broadcast":{"payload":1}}}`)
	ben.send(`{"type":"broadcast","channel":"hall","config":{"private":true},"event":"e","payload":2,"messageId":"m"}`)
	ben.expect(`{"type":"error","code":"ACCESS_DENIED","messageId":"m","status":"error"}`)
	ben.send(`{"type":"presence","channel":"hall","config":{"private":true},"event":"track","payload":{"key":"k","state":{}}}`)
	ben.expect(`{"type":"error","code":"ACCESS_DENIED","channel":"hall"}`)
	ann.send(`{"type":"presence","channel":"hall","config":{"private":true},"event":"track","payload":{"key":"ann","state":{}}}`)
	ben.expect(`{"type":"presence","channel":"hall","private":true,"payload":{"presence":{"event":"join","key":"ann"}}}`)

	// Over HTTP the same policies decide.
	body := `{"channel":"hall","private":true,"event":"e","payload":3}`
	n.Want(200, "POST", "/api/v1/realtime/broadcast", annUser.AccessToken, body)
	ben.expect(`{"type":"broadcast","channel":"hall","private":true,"payload":{"broadcast":{"payload":3}}}`)
	wantFailure(t, n.Do("POST", "/api/v1/realtime/broadcast", benUser.AccessToken, body), 403, "ACCESS_DENIED")
	n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, body)
	ben.expect(`{"type":"broadcast","channel":"hall","private":true,"payload":{"broadcast":{"payload":3}}}`)

	// Whoever is no member any more hears nothing from when its token is renewed.
	administer(t, database, `DELETE FROM members WHERE email = 'ben@example.com'`)
	var granted struct {
		AccessToken string `json:"access_token"`
	}
	n.Want(200, "POST", "/api/v1/auth/refresh", "", map[string]string{"refresh_token": benUser.RefreshToken}).Decode(t, &granted)
	ben.send(`{"type":"access_token","token":%q}`, granted.AccessToken)
	ben.expect(`{"type":"error","code":"ACCESS_DENIED","channel":"hall","private":true}`)
	ben.expect(`{"type":"ack","payload":{"type":"access_token","updated":true}}`)

	// Nobody heard what was not for them.
	n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, `{"channel":"hall","event":"e","payload":"open"}`)
	for _, s := range []*socket{cid, open} {
		s.expect(`{"type":"broadcast","channel":"hall","payload":{"broadcast":{"payload":"open"}}}`)
	}
}

func TestPrivateChannelsOnly(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "REALTIME_PRIVATE_ONLY=true")
	s := openSocket(t, n.SocketURL(n.ServiceKey))
	s.send(`{"type":"subscribe","channel":"hall"}`)
	s.expect(`{"type":"error","code":"ACCESS_DENIED","channel":"hall"}`)
	s.send(`{"type":"subscribe","channel":"realtime:admin:connections"}`)
	s.expect(`{"type":"ack","channel":"realtime:admin:connections"}`)
	s.send(`{"type":"subscribe","channel":"hall","config":{"private":true}}`)
	s.expect(`{"type":"ack","channel":"hall","private":true}`)
	wantFailure(t, n.Do("POST", "/api/v1/realtime/broadcast", n.ServiceKey, `{"channel":"hall","message":1}`), 403, "ACCESS_DENIED")
}

// A message with an idempotency key is sent once and acknowledged alike, however
// often it comes; another publisher's key is another one.
func TestBroadcastIsIdempotent(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	ann, ben := n.SignUp("ann@example.com"), n.SignUp("ben@example.com")
	s := openSocket(t, n.SocketURL(""))
	s.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	s.expect(`{"type":"ack"}`)
	post := func(token, body string, header ...string) float64 {
		var answer map[string]any
		n.Want(200, "POST", "/api/v1/realtime/broadcast", token, body, header...).Decode(t, &answer)
		return answer["offset"].(float64)
	}
	const body = `{"channel":"broadcast:news","message":1}`
	first := post(ann.AccessToken, body, "Idempotency-Key", "k")
	for what, offset := range map[string]float64{
		"again":       post(ann.AccessToken, body, "Idempotency-Key", "k"),
		"in the body": post(ann.AccessToken, `{"channel":"broadcast:news","message":1,"messageId":"k"}`),
	} {
		if offset != first {
			t.Errorf("%s: offset %v, first %v", what, offset, first)
		}
	}
	if post(ben.AccessToken, body, "Idempotency-Key", "k") == first {
		t.Error("another user's key was taken for the same")
	}
	post(ann.AccessToken, `{"channel":"broadcast:news","message":2}`)
	for _, payload := range []string{"1", "1", "2"} {
		s.expect(`{"type":"broadcast","payload":{"broadcast":{"payload":` + payload + `}}}`)
	}
}

// What belongs to a connection nobody else can end: subscriptions, presences and the
// acknowledgements of messages are found among the asker's own.
func TestNobodyEndsAnothersSubscription(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t)
	ann, ben := openSocket(t, n.SocketURL(n.SignUp("ann@example.com").AccessToken)), openSocket(t, n.SocketURL(n.SignUp("ben@example.com").AccessToken))
	for _, s := range []*socket{ann, ben} {
		s.send(`{"type":"subscribe","channel":"room"}`)
		s.expect(`{"type":"ack","channel":"room"}`)
		s.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	}
	ann.send(`{"type":"presence","channel":"room","event":"track","payload":{"key":"ann","state":{"a":1}}}`)
	ben.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ann"}}}`)
	ben.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	ben.send(`{"type":"presence","channel":"room","event":"untrack","payload":{"key":"ann"}}`)
	ben.send(`{"type":"unsubscribe","channel":"room"}`)
	ben.expect(`{"type":"ack","channel":"room","payload":{"unsubscribed":true}}`)
	// Ann hears on, and is there.
	ben.send(`{"type":"subscribe","channel":"room"}`)
	ben.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"a":1}]}}}}`)
	// The same id of another publisher is another message.
	for _, s := range []*socket{ann, ben} {
		s.send(`{"type":"broadcast","channel":"room","event":"e","payload":1,"messageId":"m"}`)
		s.expect(`{"type":"broadcast","payload":{"broadcast":{"payload":1}}}`)
	}
	ann.expect(`{"type":"broadcast","payload":{"broadcast":{"payload":1}}}`)
}
