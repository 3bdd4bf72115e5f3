package scenario

import (
	"fmt"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

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

// With Redis the history of a channel outlives the server: whoever was there before
// its restart gets what was said since, and is told of no loss.
func TestChannelHistoryOutlivesTheServer(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	database := dbtest.Create(t)
	settings := []string{"REDIS_URL=redis://" + redis.Addr(), "REALTIME_HISTORY=broadcast:news 10 1h,broadcast:* 0 1h"}
	n := servertest.On(t, database, settings...)
	say := func(channel string, i int) servertest.Response {
		return n.Do("POST", "/api/v1/realtime/broadcast", n.ServiceKey, fmt.Sprintf(`{"channel":"broadcast:%s","message":%d}`, channel, i))
	}
	s := openSocket(t, n.SocketURL(""))
	s.send(`{"type":"subscribe","channel":"broadcast:news"}`)
	epoch := s.expect(`{"type":"ack"}`)["epoch"].(float64)
	say("news", 1)
	s.expect(`{"type":"broadcast","offset":1}`)
	say("news", 2)
	n.Stop()

	n = servertest.On(t, database, settings...)
	say("news", 3)
	s = openSocket(t, n.SocketURL(""))
	s.send(`{"type":"subscribe","channel":"broadcast:news","config":{"recover":{"epoch":%.0f,"offset":1}}}`, epoch)
	s.expect(fmt.Sprintf(`{"type":"ack","recovered":true,"offset":3,"epoch":%.0f}`, epoch))
	s.expect(`{"type":"broadcast","offset":2,"payload":{"broadcast":{"payload":2}}}`)
	s.expect(`{"type":"broadcast","offset":3,"payload":{"broadcast":{"payload":3}}}`)

	// Where a history is promised nothing is acknowledged without it; other channels
	// do not need it.
	redis.SetError("out of order")
	wantFailure(t, say("news", 4), 503, "SERVICE_UNAVAILABLE")
	if r := say("other", 1); r.Status != 200 {
		t.Errorf("a channel without a history: %d %s", r.Status, r.Body)
	}
	redis.SetError("")
	eventually(t, "the channel takes messages again", func() bool { return say("news", 4).Status == 200 })
	s.expect(`{"type":"broadcast","offset":4,"payload":{"broadcast":{"payload":4}}}`)
}

// Nodes leave one after the other, and with them the homes of channels. Clients that
// come back to another node have everything, in one order.
func TestClusterChannelsOutliveTheirHomes(t *testing.T) {
	t.Parallel()
	redis := miniredis.RunT(t)
	nodes := startCluster(t, 3, "REDIS_URL=redis://"+redis.Addr())
	const channels = 6
	type place struct{ epoch, offset float64 }
	at := map[string]*place{}
	said := map[string]int{}
	say := func(n *servertest.Node, name string) {
		said[name]++
		n.Want(200, "POST", "/api/v1/realtime/broadcast", n.ServiceKey, fmt.Sprintf(`{"channel":%q,"message":%d}`, name, said[name]))
	}
	last := nodes[len(nodes)-1]
	watcher := openSocket(t, last.SocketURL(""))
	for i := range channels {
		name := fmt.Sprint("broadcast:", i)
		watcher.send(`{"type":"subscribe","channel":%q}`, name)
		ack := watcher.expect(fmt.Sprintf(`{"type":"ack","channel":%q}`, name))
		at[name] = &place{epoch: ack["epoch"].(float64)}
	}
	for round, n := range nodes {
		back := openSocket(t, n.SocketURL(""))
		for name, p := range at {
			say(n, name)
			back.send(`{"type":"subscribe","channel":%q,"config":{"recover":{"epoch":%.0f,"offset":%.0f}}}`, name, p.epoch, p.offset)
			back.expect(fmt.Sprintf(`{"type":"ack","channel":%q,"recovered":true,"epoch":%.0f}`, name, p.epoch))
			for i := int(p.offset) + 1; i <= said[name]; i++ {
				back.expect(fmt.Sprintf(`{"type":"broadcast","channel":%q,"offset":%d,"payload":{"broadcast":{"payload":%d}}}`, name, i, i))
			}
			p.offset = float64(said[name])
			watcher.expect(fmt.Sprintf(`{"type":"broadcast","channel":%q,"offset":%d}`, name, said[name]))
			say(n, name) // missed by whoever is on this node
			watcher.expect(fmt.Sprintf(`{"type":"broadcast","channel":%q,"offset":%d}`, name, said[name]))
		}
		if round < len(nodes)-1 {
			n.Stop()
		}
	}
}
