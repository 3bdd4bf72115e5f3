package scenario

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// startCluster runs nodes that share a database and know each other.
func startCluster(t *testing.T, nodes int, settings ...string) []*servertest.Node {
	t.Helper()
	url := dbtest.Create(t)
	all := make([]*servertest.Node, nodes)
	var starting sync.WaitGroup
	for i := range all {
		starting.Go(func() {
			all[i] = servertest.On(t, url, append([]string{"CLUSTER_ENABLED=yes", fmt.Sprint("CLUSTER_NODE_NAME=node", i+1), "DATABASE_MAX_CONNECTIONS=12"}, settings...)...)
		})
	}
	starting.Wait()
	for _, n := range all {
		if n == nil {
			t.FailNow()
		}
		eventually(t, "the nodes see each other", func() bool { return n.Server.Members() == nodes })
	}
	return all
}

func eventually(t *testing.T, what string, isTrue func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !isTrue(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

func TestClusterBroadcastReachesEveryNodeOnceAndInOrder(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	user := nodes[0].SignUp("ann@example.com")
	const messages = 100
	for _, channel := range []string{"a", "b", "c", "d"} {
		channel = "broadcast:" + channel
		var receivers []*socket
		for _, n := range nodes {
			s := openSocket(t, n.SocketURL(""))
			s.send(`{"type":"subscribe","channel":%q}`, channel)
			s.expect(`{"type":"ack","payload":{"subscribed":true}}`)
			receivers = append(receivers, s)
		}
		sender := openSocket(t, nodes[1].SocketURL(user.AccessToken))
		for i := range messages {
			sender.send(`{"type":"broadcast","channel":%q,"event":"e","payload":{"n":%d},"messageId":"m%d"}`, channel, i, i)
		}
		for i := range messages {
			sender.expect(fmt.Sprintf(`{"type":"ack","messageId":"m%d","status":"ok"}`, i))
		}
		for _, s := range receivers {
			for i := range messages {
				s.expect(fmt.Sprintf(`{"type":"broadcast","channel":%q,"payload":{"broadcast":{"payload":{"n":%d}}}}`, channel, i))
			}
		}
	}
}

func TestClusterPresenceIsOneRoom(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	ann, ben := openSocket(t, nodes[0].SocketURL("")), openSocket(t, nodes[2].SocketURL(""))
	ann.send(`{"type":"subscribe","channel":"presence:lobby"}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
	ann.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ann","state":{"mood":"good"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ann"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	ben.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ben","state":{}}}`)
	ben.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ann":[{"mood":"good"}]}}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ben"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	if err := ben.conn.CloseNow(); err != nil {
		t.Fatal(err)
	}
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"leave","key":"ben","currentPresences":{"ann":[{"mood":"good"}]}}}}`)
}

// TestClusterPresenceSurvivesReconnect: a client that is cut off and comes back, at
// another node, is not mentioned; one that comes back in another state is, once.
func TestClusterPresenceSurvivesReconnect(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	user := nodes[0].SignUp("ben@example.com")
	ann := openSocket(t, nodes[0].SocketURL(""))
	ann.send(`{"type":"subscribe","channel":"presence:lobby"}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
	appear := func(n *servertest.Node, mood string) *socket {
		t.Helper()
		ben := openSocket(t, n.SocketURL(user.AccessToken))
		ben.send(`{"type":"subscribe","channel":"presence:lobby"}`)
		ben.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
		ben.send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"ben","state":%q}}`, mood)
		return ben
	}
	// A witness at each node shows when what the node said before has arrived: a
	// client that returns before its end was noticed is here twice for a moment.
	witnesses := make([]*socket, len(nodes))
	for i, n := range nodes {
		witnesses[i] = openSocket(t, n.SocketURL(""))
		witnesses[i].send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"w%d","state":0}}`, i)
		ann.expect(fmt.Sprintf(`{"type":"presence","payload":{"presence":{"event":"join","key":"w%d"}}}`, i))
		ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync"}}}`)
	}
	at := 1
	ben := appear(nodes[at], "good")
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"join","key":"ben"}}}`)
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{"ben":["good"]}}}}`)
	for cut, to := range []struct {
		node int
		mood string
	}{{2, "good"}, {0, "good"}, {1, "better"}} {
		if err := ben.conn.CloseNow(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the server noticed", func() bool { return openSockets(t, nodes) == 1+len(witnesses) })
		witnesses[at].send(`{"type":"presence","channel":"presence:lobby","event":"track","payload":{"key":"w%d","state":%d}}`, at, cut+1)
		ann.expect(fmt.Sprintf(`{"type":"presence","payload":{"presence":{"event":"sync","key":"w%d","currentPresences":{"ben":["good"]}}}}`, at))
		at = to.node
		ben = appear(nodes[at], to.mood)
	}
	// Nothing but this was said of the three.
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","key":"ben","newPresences":["better"],"currentPresences":{"ben":["better"]}}}}`)
	// Who says goodbye leaves at once.
	if err := ben.conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Fatal(err)
	}
	ann.expect(`{"type":"presence","payload":{"presence":{"event":"leave","key":"ben","currentPresences":{}}}}`)
}

// openSockets is the number of sockets of all nodes.
func openSockets(t *testing.T, nodes []*servertest.Node) (total int) {
	t.Helper()
	for _, n := range nodes {
		var stats struct {
			Total int `json:"total_connections"`
		}
		n.Want(200, "GET", "/api/v1/realtime/stats", n.ServiceKey, nil).Decode(t, &stats)
		total += stats.Total
	}
	return total
}

func TestClusterSignOutIsKnownEverywhere(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	user := nodes[0].SignUp("ann@example.com")
	sockets := make([]*socket, 0, len(nodes))
	for _, n := range nodes {
		n.Want(200, "GET", "/api/v1/auth/user", user.AccessToken, nil)
		sockets = append(sockets, openSocket(t, n.SocketURL(user.AccessToken)))
	}
	nodes[0].Do("POST", "/api/v1/auth/signout", user.AccessToken, `{}`)
	signedOut := time.Now()
	for _, n := range nodes {
		eventually(t, "the token is refused", func() bool { return n.Do("GET", "/api/v1/auth/user", user.AccessToken, nil).Status == 401 })
	}
	if took := time.Since(signedOut); took > time.Second {
		t.Errorf("the token was refused everywhere after %v", took)
	}
	for _, s := range sockets {
		if code := s.closes(); code != 4003 {
			t.Errorf("a socket closed with %d", code)
		}
	}
}

func TestClusterNodeThatLeavesTakesItsPresencesAlong(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, 3)
	ann, ben := openSocket(t, nodes[0].SocketURL("")), openSocket(t, nodes[1].SocketURL(""))
	for _, room := range []string{"one", "two", "three", "four"} {
		channel := "presence:" + room
		ann.send(`{"type":"subscribe","channel":%q}`, channel)
		ann.expect(`{"type":"presence","payload":{"presence":{"event":"sync","currentPresences":{}}}}`)
		ben.send(`{"type":"presence","channel":%q,"event":"track","payload":{"key":"ben","state":{}}}`, channel)
		ann.expect(fmt.Sprintf(`{"type":"presence","channel":%q,"payload":{"presence":{"event":"join","key":"ben"}}}`, channel))
		ann.expect(fmt.Sprintf(`{"type":"presence","channel":%q,"payload":{"presence":{"event":"sync"}}}`, channel))
	}
	nodes[1].Stop()
	left := map[any]bool{}
	for len(left) < 4 {
		m, err := ann.read()
		if err != nil {
			t.Fatalf("%d rooms were left: %v", len(left), err)
		}
		if contains(m, map[string]any{"type": "presence", "payload": map[string]any{"presence": map[string]any{"event": "leave", "key": "ben"}}}) {
			left[m["channel"]] = true
		}
	}
}
