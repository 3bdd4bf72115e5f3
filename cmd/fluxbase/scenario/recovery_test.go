package scenario

import (
	"fmt"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// A client that comes back with the last place it saw gets what it missed behind the
// acknowledgement, and before what is new.
func TestChannelRecovery(t *testing.T) {
	t.Parallel()
	n := servertest.Start(t, "REALTIME_LIMITS_CHANNEL_HISTORY_LENGTH=3")
	say := func(i int) {
		n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, fmt.Sprintf(`{"channel":"broadcast:news","message":%d}`, i))
	}
	hears := func(s *socket, i int) {
		t.Helper()
		s.expect(fmt.Sprintf(`{"type":"broadcast","offset":%d,"payload":{"broadcast":{"payload":%d}}}`, i, i))
	}
	first := openSocket(t, n.SocketURL(""))
	first.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	epoch := first.expect(`{"type":"ack","offset":0}`)["epoch"].(float64)
	say(1)
	hears(first, 1)
	if err := first.conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	say(2)
	say(3)
	back := openSocket(t, n.SocketURL(""))
	back.send(`{"type":"subscribe","channel":"broadcast:news","config":{"recover":{"epoch":%.0f,"offset":1}}}`, epoch)
	back.expect(fmt.Sprintf(`{"type":"ack","recovered":true,"offset":3,"epoch":%.0f}`, epoch))
	hears(back, 2)
	hears(back, 3)
	say(4)
	hears(back, 4)
	for place, reason := range map[string]string{
		fmt.Sprintf(`{"epoch":%.0f,"offset":0}`, epoch): "too_old",
		`{"epoch":1,"offset":3}`:                        "epoch_changed",
	} {
		s := openSocket(t, n.SocketURL(""))
		s.send(`{"type":"subscribe","channel":"broadcast:news","config":{"recover":%s}}`, place)
		s.expect(`{"type":"ack","recovered":false,"offset":4}`)
		s.expect(fmt.Sprintf(`{"type":"resume_failed","channel":"broadcast:news","code":%q}`, reason))
		defer hears(s, 5)
	}
	say(5)
	hears(back, 5)
}

// What the database sent is repeated to whoever may read it and asks for it.
func TestReplay(t *testing.T) {
	t.Parallel()
	database := dbtest.Create(t)
	administer(t, database, privatePolicies)
	before := time.Now().Add(-time.Minute).UnixMilli()
	administer(t, database, `
		SELECT realtime.send(to_jsonb(i), 'e', 'hall') FROM generate_series(1, 3) AS i;
		SELECT realtime.send('0', 'e', 'hall', false);
		SELECT realtime.send('0', 'e', 'elsewhere')`)
	n := servertest.On(t, database)
	ann := openSocket(t, n.SocketURL(n.SignUp("ann@example.com").AccessToken))
	ann.send(`{"type":"subscribe","channel":"hall","config":{"private":true,"replay":{"since":%d,"limit":2}}}`, before)
	ann.expect(`{"type":"ack","channel":"hall","private":true}`)
	for i := 2; i <= 3; i++ {
		ann.expect(fmt.Sprintf(`{"type":"broadcast","private":true,"payload":{"broadcast":{"payload":%d,"replayed":true}}}`, i))
	}
	n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, `{"channel":"hall","private":true,"message":4}`)
	ann.expect(`{"type":"broadcast","private":true,"payload":{"broadcast":{"payload":4}}}`)
	cid := openSocket(t, n.SocketURL(n.SignUp("cid@example.com").AccessToken))
	cid.send(`{"type":"subscribe","channel":"hall","config":{"private":true,"replay":{"since":%d}}}`, before)
	cid.expect(`{"type":"error","code":"ACCESS_DENIED"}`)
	cid.send(`{"type":"subscribe","channel":"hall","config":{"replay":{"since":%d}}}`, before)
	cid.expect(`{"type":"error","code":"INVALID_INPUT"}`)
}
