package realtime

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"
)

// frameCase is what a client sends and what it gets: opcode and payload of each
// frame, "8 <code>" for a close, behind which the connection must end.
type frameCase struct {
	name string
	send []byte
	want []string
}

// TestSocketFollowsRFC6455 talks to the server over a raw socket, in one piece and
// byte by byte.
func TestSocketFollowsRFC6455(t *testing.T) {
	const limit = 100_000
	n := startNode(t, nodeOptions{gateway: Options{MessageBytes: limit}})
	closing := func(code int, reason string) []byte {
		return clientFrame(0x88, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
	}
	text := func(s string) []byte { return clientFrame(0x81, []byte(s)) }
	// begin, more and finish are the fragments of a text.
	begin := func(s string) []byte { return clientFrame(0x01, []byte(s)) }
	more := func(s string) []byte { return clientFrame(0x00, []byte(s)) }
	finish := func(s string) []byte { return clientFrame(0x80, []byte(s)) }
	ping := func(s string) []byte { return clientFrame(0x89, []byte(s)) }
	unmasked := func(first byte, payload string) []byte { return append([]byte{first, byte(len(payload))}, payload...) }

	request := `{"type":"unsubscribe","channel":"broadcast:x"}`
	ack := `1 {"type":"ack","channel":"broadcast:x","payload":{"unsubscribed":true}}`
	accented := `{"type":"unsubscribe","channel":"é€😀"}`
	accentedAck := `1 {"type":"ack","channel":"é€😀","payload":{"unsubscribed":true}}`
	padded := func(n int) []byte {
		return text(request + strings.Repeat(" ", n-len(request)))
	}
	cases := []frameCase{
		{"§5.2 a text of up to 125 bytes", padded(125), []string{ack}},
		{"§5.2 a text of 126 bytes", padded(126), []string{ack}},
		{"§5.2 a text of 65,535 bytes", padded(65535), []string{ack}},
		{"§5.2 a text of 65,536 bytes", padded(65536), []string{ack}},
		{"§5.2 16-bit length that fits into 7", append([]byte{0x81, 0xfe, 0, 1, 0, 0, 0, 0}, 'x'), []string{"8 1002"}},
		{"§5.2 64-bit length that fits into 16", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 200, 0, 0, 0, 0}, []string{"8 1002"}},
		{"§5.2 64-bit length with the highest bit", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0}, []string{"8 1002"}},
		{"§5.2 RSV1 that was not negotiated", clientFrame(0xc1, []byte("{}")), []string{"8 1002"}},
		{"§5.2 RSV2", clientFrame(0xa1, []byte("{}")), []string{"8 1002"}},
		{"§5.2 RSV3", clientFrame(0x91, []byte("{}")), []string{"8 1002"}},
		{"§5.2 RSV1 of a ping", clientFrame(0xc9, nil), []string{"8 1002"}},
		{"§5.2 opcode 3", clientFrame(0x83, nil), []string{"8 1002"}},
		{"§5.2 opcode 7", clientFrame(0x87, nil), []string{"8 1002"}},
		{"§5.2 opcode 11", clientFrame(0x8b, nil), []string{"8 1002"}},
		{"§5.2 opcode 15", clientFrame(0x8f, nil), []string{"8 1002"}},
		{"§5.1 text that is not masked", unmasked(0x81, "hi"), []string{"8 1002"}},
		{"§5.1 ping that is not masked", unmasked(0x89, ""), []string{"8 1002"}},
		{"§5.1 close that is not masked", unmasked(0x88, "\x03\xe8"), []string{"8 1002"}},
		{"§5.3 a mask of zeros", append([]byte{0x89, 0x82, 0, 0, 0, 0}, "ab"...), []string{"A ab"}},
		{"§5.4 two fragments", joined(begin(request[:9]), finish(request[9:])), []string{ack}},
		{"§5.4 fragments of a byte", func() []byte {
			b := begin(request[:1])
			for _, c := range request[1:] {
				b = append(b, more(string(c))...)
			}
			return append(b, finish("")...)
		}(), []string{ack}},
		{"§5.4 empty fragments", joined(begin(""), more(""), more(request), finish("")), []string{ack}},
		{"§5.4 a ping between fragments", joined(begin(request[:9]), ping("now"), finish(request[9:])), []string{"A now", ack}},
		{"§5.4 pings and pongs between fragments", joined(begin(request[:9]), ping("1"), clientFrame(0x8a, []byte("?")), more(request[9:20]), ping("2"), finish(request[20:])), []string{"A 1", "A 2", ack}},
		{"§5.4 a close between fragments", joined(begin(request[:9]), closing(1000, "")), []string{"8 1000"}},
		{"§5.4 continuation of nothing", finish("x"), []string{"8 1002"}},
		{"§5.4 continuation of nothing that goes on", more("x"), []string{"8 1002"}},
		{"§5.4 continuation behind a whole message", joined(text(`{"type":"heartbeat"}`), finish("x")), []string{"8 1002"}},
		{"§5.4 a text inside a text", joined(begin("a"), text("b")), []string{"8 1002"}},
		{"§5.4 a binary inside a text", joined(begin("a"), clientFrame(0x02, []byte("b"))), []string{"8 1002"}},
		{"§5.5 ping of 125 bytes", ping(strings.Repeat("p", 125)), []string{"A " + strings.Repeat("p", 125)}},
		{"§5.5 ping of 126 bytes", ping(strings.Repeat("p", 126)), []string{"8 1002"}},
		{"§5.5 close of 126 bytes", closing(1000, strings.Repeat("p", 124)), []string{"8 1002"}},
		{"§5.5 fragmented ping", clientFrame(0x09, []byte("x")), []string{"8 1002"}},
		{"§5.5 fragmented pong", clientFrame(0x0a, nil), []string{"8 1002"}},
		{"§5.5 fragmented close", clientFrame(0x08, nil), []string{"8 1002"}},
		{"§5.5.1 close without code", clientFrame(0x88, nil), []string{"8 none"}},
		{"§5.5.1 close of one byte", clientFrame(0x88, []byte{3}), []string{"8 1002"}},
		{"§5.5.1 close with a reason", closing(1000, "good bye"), []string{"8 1000"}},
		{"§5.5.1 close with the longest reason", closing(1000, strings.Repeat("r", 123)), []string{"8 1000"}},
		{"§5.5.1 close behind a ping", joined(ping("a"), closing(1001, "")), []string{"A a", "8 1001"}},
		{"§5.5.1 nothing is handled behind a close", joined(closing(1000, ""), ping("x"), text(request)), []string{"8 1000"}},
		{"§5.5.1 two closes", joined(closing(1000, ""), closing(1001, "")), []string{"8 1000"}},
		{"§5.5.2 ping without a payload", ping(""), []string{"A "}},
		{"§5.5.2 ping with bytes that are no text", ping("\xff\x00\xfe"), []string{"A \xff\x00\xfe"}},
		{"§5.5.2 pings keep their order", joined(ping("1"), ping("2"), ping("3")), []string{"A 1", "A 2", "A 3"}},
		{"§5.5.3 pong that nobody asked for", joined(clientFrame(0x8a, []byte("x")), ping("z")), []string{"A z"}},
		{"§5.6 binary is read like text", clientFrame(0x82, []byte(request)), []string{ack}},
		{"§5.6 binary that is no text", clientFrame(0x82, []byte("\"\xff\"")), []string{`1 {"type":"error","error":"invalid message: not UTF-8","code":"INVALID_MESSAGE"}`}},
		{"§7.4.2 code 0", closing(0, ""), []string{"8 1002"}},
		{"§7.4.2 code 999", closing(999, ""), []string{"8 1002"}},
		{"§7.4.1 code 1001", closing(1001, ""), []string{"8 1001"}},
		{"§7.4.1 code 1003", closing(1003, ""), []string{"8 1003"}},
		{"§7.4.1 code 1004", closing(1004, ""), []string{"8 1002"}},
		{"§7.4.1 code 1005", closing(1005, ""), []string{"8 1002"}},
		{"§7.4.1 code 1006", closing(1006, ""), []string{"8 1002"}},
		{"§7.4.1 code 1007", closing(1007, ""), []string{"8 1007"}},
		{"§7.4.1 code 1011", closing(1011, ""), []string{"8 1011"}},
		{"§7.4.1 code 1015", closing(1015, ""), []string{"8 1002"}},
		{"§7.4.2 code 1016", closing(1016, ""), []string{"8 1002"}},
		{"§7.4.2 code 2000", closing(2000, ""), []string{"8 1002"}},
		{"§7.4.2 code 3000", closing(3000, ""), []string{"8 3000"}},
		{"§7.4.2 code 4000", closing(4000, ""), []string{"8 4000"}},
		{"§7.4.2 code 4999", closing(4999, ""), []string{"8 4999"}},
		{"§7.4.2 code 5000", closing(5000, ""), []string{"8 1002"}},
		{"§8.1 text beyond ASCII", text(accented), []string{accentedAck}},
		{"§8.1 characters cut by fragments", func() []byte {
			b := begin("")
			for i := range len(accented) {
				b = append(b, more(accented[i:i+1])...)
			}
			return append(b, finish("")...)
		}(), []string{accentedAck}},
		{"§8.1 text that is not UTF-8", text("\xff"), []string{"8 1007"}},
		{"§8.1 overlong encoding", text("\xc0\xaf"), []string{"8 1007"}},
		{"§8.1 surrogate", text("\xed\xa0\x80"), []string{"8 1007"}},
		{"§8.1 beyond U+10FFFF", text("\xf4\x90\x80\x80"), []string{"8 1007"}},
		{"§8.1 character that does not end", joined(begin("a"), finish("\xe2\x82")), []string{"8 1007"}},
		{"§8.1 fails in the first fragment", begin("\xff"), []string{"8 1007"}},
		{"§8.1 fails in a later fragment", joined(begin("ok"), more("\xce\xba"), more("\xf4\x90")), []string{"8 1007"}},
		{"§8.1 fails where a character should go on", joined(begin("\xe2\x82"), more("x")), []string{"8 1007"}},
		{"§8.1 a close reason that is not UTF-8", closing(1000, "\xff"), []string{"8 1007"}},
		{"§10.4 the largest message", padded(limit), []string{ack}},
		{"§10.4 a frame that is too big", clientFrame(0x81, make([]byte, limit+1)), []string{"8 1009"}},
		{"§10.4 fragments that are too big", joined(begin(strings.Repeat(" ", limit-1)), finish("  ")), []string{"8 1009"}},
		{"§10.4 too big by its header alone", []byte{0x81, 0xff, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2, 3, 4}, []string{"8 1009"}},
	}
	for _, test := range cases {
		for _, step := range []int{len(test.send), 1} {
			if step == 1 && len(test.send) > 1000 {
				continue
			}
			t.Run(fmt.Sprintf("%s/%d", test.name, step), func(t *testing.T) {
				t.Parallel()
				c := dialRaw(t, n.addr)
				defer c.Close()
				test.run(t, c, step)
			})
		}
	}
}

func (test frameCase) run(t *testing.T, c net.Conn, step int) {
	t.Helper()
	for rest := test.send; len(rest) > 0; rest = rest[min(step, len(rest)):] {
		if _, err := c.Write(rest[:min(step, len(rest))]); err != nil {
			break // the server may have ended it already
		}
	}
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	r := bufio.NewReader(c)
	for i := 0; i < len(test.want); i++ {
		opcode, payload := readFrame(t, r)
		if opcode == opPing {
			i-- // the server asks whether we are there
			continue
		}
		got := string("0123456789ABCDEF"[opcode]) + " " + string(payload)
		if opcode == opClose {
			got = "8 none"
			if len(payload) >= 2 {
				got = "8 " + strconv.Itoa(int(binary.BigEndian.Uint16(payload)))
			}
		}
		if got != test.want[i] {
			t.Fatalf("got %q, want %q", got, test.want[i])
		}
	}
	if strings.HasPrefix(test.want[len(test.want)-1], "8") {
		// A server that has failed the connection waits for the client to go, a while.
		// One that does not need to has ended it: that is an error here.
		_ = c.(*net.TCPConn).CloseWrite()
		expectEnd(t, c, r)
	}
}

// TestServerEndsWhatItClosed (§7.1.1): also when the client neither answers nor goes.
func TestServerEndsWhatItClosed(t *testing.T) {
	t.Parallel()
	n := startNode(t, nodeOptions{})
	c := dialRaw(t, n.addr)
	defer c.Close()
	if _, err := c.Write(clientFrame(0x83, nil)); err != nil {
		t.Fatal(err)
	}
	expectEnd(t, c, c)
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
