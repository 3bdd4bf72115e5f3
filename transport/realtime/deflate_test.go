package realtime

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"fluxbase/actors/delivery"
)

func TestOffersOfDeflate(t *testing.T) {
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		" permessage-deflate ; server_no_context_takeover;client_no_context_takeover": true,
		"permessage-deflate; client_max_window_bits":                                  true,
		"permessage-deflate; client_max_window_bits=10":                               true,
		`permessage-deflate; client_max_window_bits="15"`:                             true,
		"permessage-deflate; client_max_window_bits=7":                                false,
		"permessage-deflate; client_max_window_bits=08":                               false,
		"permessage-deflate; client_max_window_bits=16":                               false,
		"permessage-deflate; server_max_window_bits=15":                               true,
		"permessage-deflate; server_max_window_bits=10":                               false,
		"permessage-deflate; server_max_window_bits":                                  false,
		"permessage-deflate; server_no_context_takeover=1":                            false,
		"permessage-deflate; server_no_context_takeover; server_no_context_takeover":  false,
		"permessage-deflate; unknown":                                                 false,
		"x-webkit-deflate-frame":                                                      false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate":           true,
		"permessage-bzip2, permessage-deflate; client_max_window_bits":                true,
	} {
		if got := offersDeflate(offer); got != want {
			t.Errorf("%q: %v", offer, got)
		}
	}
}

// dialDeflate opens a socket that offers compression, and tells whether the server
// took the offer.
func dialDeflate(t *testing.T, addr string) (net.Conn, bool) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	request := "GET /realtime HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n\r\n"
	if _, err := io.WriteString(c, request); err != nil {
		t.Fatal(err)
	}
	var head []byte
	for one := make([]byte, 1); !bytes.HasSuffix(head, []byte("\r\n\r\n")); head = append(head, one[0]) {
		if _, err := c.Read(one); err != nil {
			t.Fatal(err)
		}
	}
	return c, strings.Contains(strings.ToLower(string(head)), "sec-websocket-extensions: "+acceptDeflate+"\r\n")
}

func TestDeflateOnlyWhenConfigured(t *testing.T) {
	if _, taken := dialDeflate(t, startNode(t, nodeOptions{}).addr); taken {
		t.Error("negotiated although it is not configured")
	}
	if _, taken := dialDeflate(t, startNode(t, nodeOptions{gateway: Options{Compression: true}}).addr); !taken {
		t.Error("not negotiated although it is configured")
	}
}

// TestSocketFollowsRFC7692 sends compressed messages over a raw socket.
func TestSocketFollowsRFC7692(t *testing.T) {
	const limit = 100_000
	n := startNode(t, nodeOptions{gateway: Options{MessageBytes: limit, Compression: true}})
	request := `{"type":"unsubscribe","channel":"broadcast:x"}`
	ack := `1 {"type":"ack","channel":"broadcast:x","payload":{"unsubscribed":true}}`
	packed := compress([]byte(request))
	zeros := compress(make([]byte, limit+1))
	if len(zeros) > 2000 {
		t.Fatalf("the bomb has %d bytes", len(zeros))
	}
	cases := []frameCase{
		{"§6 a compressed message", clientFrame(0xc1, packed), []string{ack}},
		{"§6 one that is not, on the same connection", joined(clientFrame(0xc1, packed), clientFrame(0x81, []byte(request))), []string{ack, ack}},
		{"§6.1 fragments, a ping between", joined(clientFrame(0x41, packed[:5]), clientFrame(0x89, []byte("p")), clientFrame(0x00, packed[5:9]), clientFrame(0x80, packed[9:])), []string{"A p", ack}},
		{"§6.1 RSV1 of a continuation", joined(clientFrame(0x41, packed[:5]), clientFrame(0xc0, packed[5:])), []string{"8 1002"}},
		{"§6.1 RSV1 of a control frame", clientFrame(0xc9, nil), []string{"8 1002"}},
		{"§5.2 RSV2", clientFrame(0xa1, packed), []string{"8 1002"}},
		{"§7.2.1 no context is taken over", joined(clientFrame(0xc1, packed), clientFrame(0xc1, packed)), []string{ack, ack}},
		{"§7.2.3.4 a last block", clientFrame(0xc1, append(append([]byte{}, storedLast(request)...), 0)), []string{ack}},
		{"§7.2.3.3 a block that is stored", clientFrame(0xc1, stored(request)), []string{ack}},
		{"§8.1 what is inside is not UTF-8", clientFrame(0xc1, compress([]byte(strings.Repeat("\xff", 50)))), []string{"8 1007"}},
		{"broken data", clientFrame(0xc1, []byte{0xff, 0xff, 0xff}), []string{"8 1007"}},
		{"§8 a bomb", clientFrame(0xc1, zeros), []string{"8 1009"}},
	}
	for _, test := range cases {
		for _, step := range []int{len(test.send), 1} {
			t.Run(fmt.Sprintf("%s/%d", test.name, step), func(t *testing.T) {
				t.Parallel()
				c, _ := dialDeflate(t, n.addr)
				test.run(t, c, step)
			})
		}
	}
}

// stored is a message in an uncompressed block, without the end of a flush.
func stored(s string) []byte {
	b := binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(s)))
	b = binary.LittleEndian.AppendUint16(b, ^uint16(len(s)))
	return append(append(b, s...), 0)
}

// storedLast is the same in a block that says that it is the last one.
func storedLast(s string) []byte {
	b := stored(s)
	b[0] = 1
	return b[:len(b)-1]
}

// TestDeflatedMessagesReachAnIndependentClient, whole, in order, beside a client
// that did not ask for compression.
func TestDeflatedMessagesReachAnIndependentClient(t *testing.T) {
	n := startNode(t, nodeOptions{gateway: Options{Compression: true}})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, _, err := websocket.Dial(ctx, "ws://"+n.addr+"/realtime", &websocket.DialOptions{CompressionMode: websocket.CompressionNoContextTakeover, CompressionThreshold: 1})
	if err != nil {
		t.Fatal(err)
	}
	conn.SetReadLimit(8 << 20)
	defer conn.CloseNow()
	packed, plain := &client{t: t, conn: conn}, n.dial("")
	for _, c := range []*client{packed, plain} {
		c.send(`{"type":"subscribe","channel":"broadcast:news"}`)
		c.expect(`{"type":"ack"}`)
	}
	for i := range 20 {
		text := strings.Repeat(fmt.Sprintf("line %d. ", i), i*100+1)
		plain.send(`{"type":"broadcast","channel":"broadcast:news","event":"e","payload":%q}`, text)
		want := fmt.Sprintf(`{"type":"broadcast","payload":{"broadcast":{"payload":%q}}}`, text)
		packed.expect(want)
		plain.expect(want)
	}
}

// TestFramesAreDeflatedOnce: the connections that get a frame share what it was
// compressed to.
func TestFramesAreDeflatedOnce(t *testing.T) {
	payload := []byte(strings.Repeat("the same words ", 100))
	f := &delivery.Frame{Bytes: appendFrame(appendFrame(nil, opText, payload), opPing, nil), Messages: 1}
	times := 0
	pack := func(b []byte) []byte { times++; return deflate(b) }
	first, second := f.Packed(pack), f.Packed(pack)
	if times != 1 || &first[0] != &second[0] || len(first) > len(f.Bytes)/5 {
		t.Errorf("made %d times, %d bytes of %d", times, len(first), len(f.Bytes))
	}
	if small := appendFrame(nil, opText, []byte("small")); &deflate(small)[0] != &small[0] {
		t.Error("a small message was touched")
	}
}

// FuzzDeflate: what a run of frames is compressed to is the same messages.
func FuzzDeflate(f *testing.F) {
	f.Add([]byte("short"), []byte(strings.Repeat("long ", 100)))
	f.Add(bytes.Repeat([]byte{0}, 70_000), []byte{})
	f.Fuzz(func(t *testing.T, a, b []byte) {
		run := appendFrame(appendFrame(appendFrame(nil, opBinary, a), opPing, []byte("p")), opBinary, b)
		r := bufio.NewReader(bytes.NewReader(deflate(run)))
		for _, want := range [][]byte{a, []byte("p"), b} {
			first, err := r.Peek(1)
			if err != nil {
				t.Fatal(err)
			}
			packed := first[0]&rsv1 != 0
			_, payload, err := tryFrame(r)
			if err != nil {
				t.Fatal(err)
			}
			if packed {
				if payload, err = inflate(payload, len(want)); err != nil {
					t.Fatal(err)
				}
			}
			if !bytes.Equal(payload, want) {
				t.Fatalf("got %d bytes, want %d", len(payload), len(want))
			}
		}
	})
}

// FuzzInflate: whatever a client sends, at most the limit comes of it.
func FuzzInflate(f *testing.F) {
	f.Add(compress(make([]byte, 5000)))
	f.Add([]byte{0xff})
	f.Fuzz(func(t *testing.T, b []byte) {
		if out, err := inflate(b, 1000); err == nil && len(out) > 1000 {
			t.Fatalf("%d bytes", len(out))
		}
	})
}
