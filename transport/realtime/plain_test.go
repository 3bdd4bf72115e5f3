package realtime

import (
	"fmt"
	"testing"
)

// TestSocketsWithoutAPoller: where descriptors cannot be watched, as under TLS, each
// socket has a goroutine, and nothing else differs.
func TestSocketsWithoutAPoller(t *testing.T) {
	n := startNode(t, nodeOptions{plain: true})
	c, other := n.dial("?token=user:a"), n.dial("")
	for _, c := range []*client{c, other} {
		c.send(`{"type":"subscribe","channel":"broadcast:x"}`)
		c.expect(`{"type":"ack"}`)
	}
	c.send(`{"type":"access_token","token":"user:b"}`)
	c.send(`{"type":"subscribe","channel":"table:notes"}`)
	c.expect(`{"type":"ack","payload":{"updated":true}}`)
	c.expect(`{"type":"ack","payload":{"table":"notes"}}`)
	if s := n.tables.list(); len(s) != 1 || s[0].Subscriber.Caller.UserID != "b" {
		t.Errorf("subscribed %+v", s)
	}
	for i := range 500 {
		c.send(`{"type":"broadcast","channel":"broadcast:x","event":"e","payload":%d}`, i)
	}
	stream := n.listen(t, "channel=broadcast:y", "")
	stream.expect("ack", "broadcast:y")
	for i := range 500 {
		want := fmt.Sprintf(`{"type":"broadcast","payload":{"broadcast":{"payload":%d}}}`, i)
		c.expect(want)
		other.expect(want)
	}
	frame := frameCase{"", joined(clientFrame(0x01, []byte("{")), clientFrame(0x89, []byte("p")), clientFrame(0x83, nil)), []string{"A p", "8 1002"}}
	frame.run(t, dialRaw(t, n.addr), 1)
}
