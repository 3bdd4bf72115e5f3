package realtime

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestSocketFollowsRFC6455 talks to the server over a raw socket.
func TestSocketFollowsRFC6455(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{MessageBytes: 100_000}})
	closing := func(code int) []byte { return binary.BigEndian.AppendUint16(nil, uint16(code)) }
	unsubscribe := `{"type":"unsubscribe","channel":"broadcast:x"}`
	ack := `{"type":"ack","channel":"broadcast:x","payload":{"unsubscribed":true}}`
	tests := []struct {
		name string
		send []byte
		want []string // opcode and payload; "8 <code>" for a close
	}{
		{"text", clientFrame(0x81, []byte(unsubscribe)), []string{"1 " + ack}},
		{"binary is read alike", clientFrame(0x82, []byte(unsubscribe)), []string{"1 " + ack}},
		{"binary that is no text", clientFrame(0x82, []byte("\"\xff\"")), []string{`1 {"type":"error","error":"invalid message: not UTF-8","code":"INVALID_MESSAGE"}`}},
		{"fragments with a ping between", joined(clientFrame(0x01, []byte(unsubscribe[:9])), clientFrame(0x89, []byte("now")), clientFrame(0x80, []byte(unsubscribe[9:]))), []string{"A now", "1 " + ack}},
		{"ping", clientFrame(0x89, []byte("abc")), []string{"A abc"}},
		{"pings keep their order", joined(clientFrame(0x89, []byte("1")), clientFrame(0x89, []byte("2"))), []string{"A 1", "A 2"}},
		{"pong unasked", joined(clientFrame(0x8a, nil), clientFrame(0x89, []byte("z"))), []string{"A z"}},
		{"close is answered with its code", clientFrame(0x88, closing(1000)), []string{"8 1000"}},
		{"close 4000", clientFrame(0x88, closing(4000)), []string{"8 4000"}},
		{"close without code", clientFrame(0x88, nil), []string{"8 none"}},
		{"close after a message", joined(clientFrame(0x89, []byte("a")), clientFrame(0x88, closing(1001))), []string{"A a", "8 1001"}},
		{"not masked", []byte{0x81, 0x02, 'h', 'i'}, []string{"8 1002"}},
		{"reserved bit", clientFrame(0xc1, []byte("{}")), []string{"8 1002"}},
		{"unknown opcode", clientFrame(0x83, nil), []string{"8 1002"}},
		{"continuation of nothing", clientFrame(0x80, nil), []string{"8 1002"}},
		{"not UTF-8", clientFrame(0x81, []byte{0xff}), []string{"8 1007"}},
		{"too big", clientFrame(0x81, make([]byte, 100_001)), []string{"8 1009"}},
		{"too big by its header", []byte{0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}, []string{"8 1009"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel() // who does not answer a close is given two seconds
			c := dialRaw(t, n.addr)
			defer c.Close()
			if _, err := c.Write(test.send); err != nil {
				t.Fatal(err)
			}
			if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
				t.Fatal(err)
			}
			r := bufio.NewReader(c)
			for _, want := range test.want {
				opcode, payload := readFrame(t, r)
				got := string("0123456789ABCDEF"[opcode]) + " " + string(payload)
				if opcode == opClose {
					got = "8 none"
					if len(payload) >= 2 {
						got = "8 " + strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
					}
				}
				if got != want {
					t.Fatalf("got %q, want %q", got, want)
				}
			}
			if strings.HasPrefix(test.want[len(test.want)-1], "8") {
				expectEnd(t, c, r)
			}
		})
	}
}

// expectEnd: after the close frames the server ends the TCP connection.
func expectEnd(t *testing.T, c net.Conn, r io.Reader) {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	var timeout net.Error
	if _, err := io.Copy(io.Discard, r); errors.As(err, &timeout) && timeout.Timeout() {
		t.Error("the server left the connection open")
	}
}

// TestEarlyBytes: what a client sends behind its request, without waiting for
// the answer, is not lost.
func TestEarlyBytes(t *testing.T) {
	n := startNode(t, nodeOptions{})
	c, err := net.Dial("tcp", n.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	request := "GET /realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	if _, err := c.Write(append([]byte(request), clientFrame(0x89, []byte("early"))...)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for line := ""; line != "\r\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	if opcode, payload := readFrame(t, r); opcode != opPong || string(payload) != "early" {
		t.Errorf("got %d %q", opcode, payload)
	}
}

func TestHandshakeIsChecked(t *testing.T) {
	n := startNode(t, nodeOptions{})
	const good = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
	for name, test := range map[string]struct{ headers, status string }{
		"good":          {good, "101"},
		"no upgrade":    {strings.Replace(good, "Upgrade: websocket\r\n", "", 1), "426"},
		"no connection": {strings.Replace(good, "Connection: Upgrade", "Connection: close", 1), "426"},
		"old version":   {strings.Replace(good, "13", "8", 1), "426"},
		"short key":     {strings.Replace(good, "dGhlIHNhbXBsZSBub25jZQ==", "c2hvcnQ=", 1), "400"},
		"bad token":     {good + "Authorization: Bearer forged\r\n", "401"},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, "GET /realtime HTTP/1.1\r\nHost: x\r\n"+test.headers+"\r\n"); err != nil {
				t.Fatal(err)
			}
			line, err := bufio.NewReader(c).ReadString('\n')
			if err != nil || !strings.Contains(line, " "+test.status+" ") {
				t.Errorf("got %q, %v; want %s", line, err, test.status)
			}
		})
	}
}

// TestPingsAndSilentPeers: pings come once a turn of the wheel, heartbeats every
// second turn; who answers stays, who is silent is dropped.
func TestPingsAndSilentPeers(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{PingEvery: 150 * time.Millisecond, PongTimeout: 500 * time.Millisecond}})
	silent, lively := dialRaw(t, n.addr), dialRaw(t, n.addr)
	defer silent.Close()
	defer lively.Close()
	go func() {
		for range 10 {
			time.Sleep(100 * time.Millisecond)
			if _, err := lively.Write(clientFrame(0x8a, nil)); err != nil {
				return
			}
		}
	}()
	r := bufio.NewReader(lively)
	pings, beats := 0, 0
	for start := time.Now(); time.Since(start) < 900*time.Millisecond; {
		switch opcode, payload := readFrame(t, r); {
		case opcode == opPing:
			pings++
		case opcode == opText && bytes.Equal(payload, []byte(`{"type":"heartbeat"}`)):
			beats++
		default:
			t.Fatalf("got %d %q", opcode, payload)
		}
	}
	if pings < 4 || beats < 2 || beats > pings {
		t.Errorf("%d pings, %d heartbeats", pings, beats)
	}
	expectEnd(t, silent, silent)
}
