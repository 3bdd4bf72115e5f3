package realtime

import (
	"encoding/binary"
	"unicode/utf8"
)

// Close codes of RFC 6455 §7.4.1 that the frame layer uses.
const (
	closeNormal      = 1000
	closeProtocol    = 1002
	closeNoStatus    = 1005 // never on the wire: a close frame without a code
	closeInvalidText = 1007
	closePolicy      = 1008
	closeTooBig      = 1009
	closeInternal    = 1011
)

// protocolError is why a connection must be closed.
type protocolError struct {
	code   int
	reason string
}

func (e *protocolError) Error() string { return e.reason }

// sink takes what a decoder finds. Payloads are valid only during the call.
type sink interface {
	message(opcode byte, payload []byte)
	ping(payload []byte)
	pong()
	// paused tells that nothing more is to be taken for now: the decoder keeps what
	// it has, and goes on with the next feed, also of nothing.
	paused() bool
	// closed is the peer's close frame; code is closeNoStatus when it had none.
	closed(code int, reason string)
}

// decoder takes a client's bytes apart into messages, incrementally. It holds
// memory only while a frame or a fragmented message is incomplete.
type decoder struct {
	limit   int    // bytes of one message
	deflate bool   // messages may be compressed
	rest    []byte // of an incomplete frame
	message []byte // fragments so far
	opcode  byte   // of the fragmented message; 0 when there is none
	packed  bool   // the fragmented message is compressed
	valid   int    // bytes of the fragmented text that were found to be UTF-8
	done    bool   // the peer's close frame was seen: the rest is ignored
}

// feed takes the next bytes, which it changes. An error is final.
func (d *decoder) feed(b []byte, s sink) error {
	if len(d.rest) > 0 {
		d.rest = append(d.rest, b...)
		b = d.rest
	}
	for !d.done && !s.paused() {
		n, err := d.frame(b, s)
		if err != nil {
			return err
		}
		if n == 0 {
			break
		}
		b = b[n:]
	}
	if d.done || len(b) == 0 {
		d.rest = nil
		return nil
	}
	// A fresh copy: the input is the caller's, or starts far into our own.
	if len(d.rest) == 0 || len(d.rest) != len(b) {
		d.rest = append(make([]byte, 0, len(b)+512), b...)
	}
	return nil
}

// frame handles one frame and returns its length, 0 when it is incomplete.
func (d *decoder) frame(b []byte, s sink) (int, error) {
	if len(b) < 2 {
		return 0, nil
	}
	if err := d.check(b[0], b[1]); err != nil {
		return 0, err
	}
	head, length := 2, int(b[1]&0x7f)
	switch length {
	case 126:
		if len(b) < 4 {
			return 0, nil
		}
		head, length = 4, int(binary.BigEndian.Uint16(b[2:]))
		if length < 126 {
			return 0, &protocolError{closeProtocol, "length not in its shortest form"}
		}
	case 127:
		if len(b) < 10 {
			return 0, nil
		}
		long := binary.BigEndian.Uint64(b[2:])
		switch {
		case long>>63 != 0 || long < 1<<16:
			return 0, &protocolError{closeProtocol, "length not in its shortest form"}
		case long > uint64(d.limit):
			return 0, &protocolError{closeTooBig, "message too big"}
		}
		head, length = 10, int(long)
	}
	if b[0]&0x8 == 0 && len(d.message)+length > d.limit {
		return 0, &protocolError{closeTooBig, "message too big"}
	}
	total := head + 4 + length
	if len(b) < total {
		return 0, nil
	}
	payload := b[head+4 : total]
	unmask(payload, [4]byte(b[head:]))
	return total, d.dispatch(b[0], payload, s)
}

// check refuses what the first two bytes of a frame may not say.
func (d *decoder) check(first, second byte) error {
	opcode, final := first&0xf, first&0x80 != 0
	reserved := byte(0x70)
	if d.deflate && (opcode == opText || opcode == opBinary) {
		reserved &^= rsv1
	}
	switch {
	case first&reserved != 0:
		return &protocolError{closeProtocol, "reserved bit set"}
	case second&0x80 == 0:
		return &protocolError{closeProtocol, "frame not masked"}
	}
	switch opcode {
	case opClose, opPing, opPong:
		if !final {
			return &protocolError{closeProtocol, "fragmented control frame"}
		}
		if second&0x7f > 125 {
			return &protocolError{closeProtocol, "control frame too long"}
		}
	case opContinuation:
		if d.opcode == 0 {
			return &protocolError{closeProtocol, "continuation of nothing"}
		}
	case opText, opBinary:
		if d.opcode != 0 {
			return &protocolError{closeProtocol, "new message inside a fragmented one"}
		}
	default:
		return &protocolError{closeProtocol, "unknown opcode"}
	}
	return nil
}

func (d *decoder) dispatch(first byte, payload []byte, s sink) error {
	opcode, final, packed := first&0xf, first&0x80 != 0, first&rsv1 != 0
	switch opcode {
	case opPing:
		s.ping(payload)
		return nil
	case opPong:
		s.pong()
		return nil
	case opClose:
		return d.close(payload, s)
	case opContinuation:
		d.message = append(d.message, payload...)
		if !final {
			return d.plausible()
		}
		opcode, packed, payload = d.opcode, d.packed, d.message
		d.opcode, d.packed, d.valid, d.message = 0, false, 0, nil
	default:
		if !final {
			d.opcode, d.packed = opcode, packed
			d.message = append([]byte(nil), payload...)
			return d.plausible()
		}
	}
	if packed {
		var err error
		if payload, err = inflate(payload, d.limit); err != nil {
			return err
		}
	}
	if opcode == opText && !utf8.Valid(payload) {
		return &protocolError{closeInvalidText, "text is not UTF-8"}
	}
	s.message(opcode, payload)
	return nil
}

// plausible fails as soon as a fragmented text cannot become UTF-8 any more
// (§8.1). Its last character may be incomplete.
func (d *decoder) plausible() error {
	if d.opcode != opText || d.packed {
		return nil
	}
	rest := d.message[d.valid:]
	for len(rest) > 0 {
		if !utf8.FullRune(rest) {
			return nil
		}
		r, size := utf8.DecodeRune(rest)
		if r == utf8.RuneError && size == 1 {
			return &protocolError{closeInvalidText, "text is not UTF-8"}
		}
		d.valid += size
		rest = rest[size:]
	}
	return nil
}

func (d *decoder) close(payload []byte, s sink) error {
	d.done = true
	if len(payload) == 0 {
		s.closed(closeNoStatus, "")
		return nil
	}
	if len(payload) == 1 {
		return &protocolError{closeProtocol, "close code cut short"}
	}
	code, reason := int(binary.BigEndian.Uint16(payload)), payload[2:]
	switch {
	case !validCloseCode(code):
		return &protocolError{closeProtocol, "invalid close code"}
	case !utf8.Valid(reason):
		return &protocolError{closeInvalidText, "close reason is not UTF-8"}
	}
	s.closed(code, string(reason))
	return nil
}

// validCloseCode tells whether a peer may send the code (RFC 6455 §7.4).
func validCloseCode(code int) bool {
	switch {
	case code >= 3000 && code <= 4999:
		return true
	case code < 1000 || code > 1014:
		return false
	default:
		return code != 1004 && code != closeNoStatus && code != 1006
	}
}

// unmask undoes a client's mask in place, eight bytes at a time.
func unmask(b []byte, mask [4]byte) {
	word := uint64(binary.LittleEndian.Uint32(mask[:]))
	if word == 0 {
		return
	}
	word |= word << 32
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^word)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}
