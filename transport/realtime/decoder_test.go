package realtime

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// clientFrame encodes a masked frame as a client would.
func clientFrame(first byte, payload []byte) []byte {
	b := []byte{first}
	switch n := len(payload); {
	case n < 126:
		b = append(b, 0x80|byte(n))
	case n < 1<<16:
		b = binary.BigEndian.AppendUint16(append(b, 0x80|126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 0x80|127), uint64(n))
	}
	mask := [4]byte{0x12, 0x34, 0x56, 0x78}
	b = append(b, mask[:]...)
	masked := bytes.Clone(payload)
	for i := range masked {
		masked[i] ^= mask[i&3]
	}
	return append(b, masked...)
}

// recorder writes down what a decoder finds.
type recorder struct{ log []string }

func (r *recorder) message(opcode byte, payload []byte) {
	r.log = append(r.log, fmt.Sprintf("message %d %s", opcode, shorten(payload)))
}
func (r *recorder) ping(payload []byte) { r.log = append(r.log, "ping "+string(payload)) }
func (r *recorder) paused() bool        { return false }
func (r *recorder) pong()               { r.log = append(r.log, "pong") }
func (r *recorder) closed(code int, reason string) {
	r.log = append(r.log, fmt.Sprintf("close %d %s", code, reason))
}

func shorten(b []byte) string {
	if len(b) > 20 {
		return fmt.Sprintf("%d bytes", len(b))
	}
	return string(b)
}

func joined(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestDecoderFollowsRFC6455(t *testing.T) {
	const fin = 0x80
	closing := func(code int, reason string) []byte {
		return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
	}
	tests := []struct {
		name  string
		bytes []byte
		want  string
		code  int
	}{
		{"§5.2 short text", clientFrame(fin|opText, []byte("hello")), "message 1 hello", 0},
		{"§5.2 empty text", clientFrame(fin|opText, nil), "message 1 ", 0},
		{"§5.2 16-bit length", clientFrame(fin|opText, bytes.Repeat([]byte("a"), 126)), "message 1 126 bytes", 0},
		{"§5.2 64-bit length", clientFrame(fin|opBinary, make([]byte, 70000)), "message 2 70000 bytes", 0},
		{"§5.2 length not minimal (16 bit)", []byte{0x81, 0xfe, 0, 5, 0, 0, 0, 0, 'h', 'e', 'l', 'l', 'o'}, "", 1002},
		{"§5.2 length not minimal (64 bit)", []byte{0x81, 0xff, 0, 0, 0, 0, 0, 0, 0, 5}, "", 1002},
		{"§5.2 length with the highest bit", []byte{0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 5}, "", 1002},
		{"§5.2 RSV1 without extension", clientFrame(fin|0x40|opText, []byte("x")), "", 1002},
		{"§5.2 RSV3 without extension", clientFrame(fin|0x10|opText, []byte("x")), "", 1002},
		{"§5.2 reserved opcode 3", clientFrame(fin|3, nil), "", 1002},
		{"§5.2 reserved opcode 11", clientFrame(fin|11, nil), "", 1002},
		{"§5.1 not masked", []byte{0x81, 0x02, 'h', 'i'}, "", 1002},
		{"§5.4 fragments", joined(clientFrame(opText, []byte("he")), clientFrame(0, []byte("ll")), clientFrame(fin, []byte("o"))), "message 1 hello", 0},
		{"§5.4 empty fragments", joined(clientFrame(opText, nil), clientFrame(fin, nil)), "message 1 ", 0},
		{"§5.4 ping between fragments", joined(clientFrame(opText, []byte("he")), clientFrame(fin|opPing, []byte("p")), clientFrame(fin, []byte("llo"))), "ping p|message 1 hello", 0},
		{"§5.4 continuation of nothing", clientFrame(fin, []byte("x")), "", 1002},
		{"§5.4 message inside a message", joined(clientFrame(opText, []byte("a")), clientFrame(fin|opText, []byte("b"))), "", 1002},
		{"§5.5 fragmented ping", clientFrame(opPing, []byte("x")), "", 1002},
		{"§5.5 long ping", clientFrame(fin|opPing, make([]byte, 126)), "", 1002},
		{"§5.5.2 ping", clientFrame(fin|opPing, []byte("data")), "ping data", 0},
		{"§5.5.3 unasked pong", clientFrame(fin|opPong, []byte("data")), "pong", 0},
		{"§5.5.1 close without code", clientFrame(fin|opClose, nil), "close 1005 ", 0},
		{"§5.5.1 close", clientFrame(fin|opClose, closing(1000, "bye")), "close 1000 bye", 0},
		{"§5.5.1 one byte of code", clientFrame(fin|opClose, []byte{3}), "", 1002},
		{"§5.5.1 nothing after close", joined(clientFrame(fin|opClose, closing(1001, "")), clientFrame(fin|opText, []byte("x"))), "close 1001 ", 0},
		{"§7.4 code 999", clientFrame(fin|opClose, closing(999, "")), "", 1002},
		{"§7.4 code 1004", clientFrame(fin|opClose, closing(1004, "")), "", 1002},
		{"§7.4 code 1005", clientFrame(fin|opClose, closing(1005, "")), "", 1002},
		{"§7.4 code 1006", clientFrame(fin|opClose, closing(1006, "")), "", 1002},
		{"§7.4 code 1015", clientFrame(fin|opClose, closing(1015, "")), "", 1002},
		{"§7.4 code 2999", clientFrame(fin|opClose, closing(2999, "")), "", 1002},
		{"§7.4 code 3000", clientFrame(fin|opClose, closing(3000, "")), "close 3000 ", 0},
		{"§7.4 code 4999", clientFrame(fin|opClose, closing(4999, "")), "close 4999 ", 0},
		{"§7.4 code 5000", clientFrame(fin|opClose, closing(5000, "")), "", 1002},
		{"§8.1 text is not UTF-8", clientFrame(fin|opText, []byte{0xff, 0xfe}), "", 1007},
		{"§8.1 surrogate", clientFrame(fin|opText, []byte{0xed, 0xa0, 0x80}), "", 1007},
		{"§8.1 character across fragments", joined(clientFrame(opText, []byte{0xc3}), clientFrame(fin, []byte{0xa9})), "message 1 é", 0},
		{"§8.1 half a character at the end", joined(clientFrame(opText, []byte("a")), clientFrame(fin, []byte{0xc3})), "", 1007},
		{"§8.1 reason is not UTF-8", clientFrame(fin|opClose, closing(1000, "\xff")), "", 1007},
		{"§8.1 binary may be anything", clientFrame(fin|opBinary, []byte{0xff}), "message 2 \xff", 0},
		{"§10.4 frame too big", clientFrame(fin|opText, make([]byte, 100_001)), "", 1009},
		{"§10.4 fragments too big", joined(clientFrame(opText, bytes.Repeat([]byte("a"), 60_000)), clientFrame(fin, bytes.Repeat([]byte("a"), 60_000))), "", 1009},
		{"§10.4 a lying length is refused at once", []byte{0x81, 0xff, 0, 0, 0, 0, 0x7f, 0, 0, 0}, "", 1009},
	}
	for _, test := range tests {
		for _, step := range []int{1 << 20, 1, 3} {
			if step == 1 && len(test.bytes) > 5000 {
				step = 1000
			}
			t.Run(fmt.Sprintf("%s/%d", test.name, step), func(t *testing.T) {
				got, err := decodeAll(test.bytes, step, 100_000)
				code := 0
				var wrong *protocolError
				if errors.As(err, &wrong) {
					code = wrong.code
				}
				if code != test.code || strings.Join(got, "|") != test.want {
					t.Errorf("got %q, code %d (%v); want %q, code %d", got, code, err, test.want, test.code)
				}
			})
		}
	}
}

func decodeAll(b []byte, step, limit int) ([]string, error) {
	d := decoder{limit: limit}
	var r recorder
	b = bytes.Clone(b)
	for len(b) > 0 {
		n := min(step, len(b))
		if err := d.feed(b[:n], &r); err != nil {
			return r.log, err
		}
		b = b[n:]
	}
	return r.log, nil
}

// TestDecoderKeepsNothing: after complete messages a decoder holds no memory.
func TestDecoderKeepsNothing(t *testing.T) {
	d := decoder{limit: 1 << 20}
	var r recorder
	whole := clientFrame(0x80|opText, make([]byte, 10_000))
	if err := d.feed(whole[:7000], &r); err != nil || len(d.rest) != 7000 {
		t.Fatalf("rest %d, err %v", len(d.rest), err)
	}
	if err := d.feed(whole[7000:], &r); err != nil || d.rest != nil || d.message != nil || len(r.log) != 1 {
		t.Fatalf("rest %d, message %d, log %v, err %v", cap(d.rest), cap(d.message), r.log, err)
	}
}

func FuzzDecoder(f *testing.F) {
	f.Add(clientFrame(0x81, []byte(`{"type":"heartbeat"}`)), 3)
	f.Add(joined(clientFrame(1, []byte("he")), clientFrame(0x89, []byte("p")), clientFrame(0x80, []byte("llo"))), 2)
	f.Add(clientFrame(0x88, []byte{3, 0xe8}), 1)
	f.Fuzz(func(t *testing.T, b []byte, step int) {
		if step < 1 {
			step = 1
		}
		whole, err := decodeAll(b, len(b)+1, 4096)
		parts, partsErr := decodeAll(b, step, 4096)
		if fmt.Sprint(whole) != fmt.Sprint(parts) || fmt.Sprint(err) != fmt.Sprint(partsErr) {
			t.Fatalf("in one piece %q (%v), in steps of %d %q (%v)", whole, err, step, parts, partsErr)
		}
	})
}

func TestUnmaskEqualsBytewise(t *testing.T) {
	mask := [4]byte{1, 2, 3, 4}
	for n := range 40 {
		got, want := make([]byte, n), make([]byte, n)
		for i := range want {
			got[i], want[i] = byte(i*7), byte(i*7)^mask[i&3]
		}
		unmask(got, mask)
		if !bytes.Equal(got, want) {
			t.Errorf("length %d: got %v, want %v", n, got, want)
		}
	}
}
