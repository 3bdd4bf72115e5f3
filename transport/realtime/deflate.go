package realtime

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// permessage-deflate (RFC 7692), without context takeover in both directions: no
// connection keeps a window, and a frame that many connections get is compressed
// once.

// acceptDeflate is the answer to a client's offers, and whether one is taken.
const acceptDeflate = "permessage-deflate; server_no_context_takeover; client_no_context_takeover"

// offersDeflate tells whether one of the offers of Sec-WebSocket-Extensions can be
// taken. An offer with a parameter that is unknown, doubled or wrong is not, and
// neither is one that wants a window of us smaller than ours.
func offersDeflate(header string) bool {
	return slices.ContainsFunc(strings.Split(header, ","), takesDeflate)
}

func takesDeflate(offer string) bool {
	name, rest, _ := strings.Cut(offer, ";")
	if strings.TrimSpace(name) != "permessage-deflate" {
		return false
	}
	seen := map[string]bool{}
	for rest != "" {
		var parameter string
		parameter, rest, _ = strings.Cut(rest, ";")
		key, value, valued := strings.Cut(parameter, "=")
		key, value = strings.TrimSpace(key), strings.Trim(strings.TrimSpace(value), `"`)
		if seen[key] {
			return false
		}
		seen[key] = true
		switch key {
		case "server_no_context_takeover", "client_no_context_takeover":
			if valued {
				return false
			}
		case "client_max_window_bits":
			// We can read any; it may also come without a value (§7.1.2.2).
			if valued && !windowBits(value) {
				return false
			}
		case "server_max_window_bits":
			if value != "15" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

func windowBits(value string) bool {
	n, err := strconv.Atoi(value)
	return err == nil && n >= 8 && n <= 15 && value[0] != '0'
}

// leastDeflated is the size from which messages are compressed.
const leastDeflated = 128

// flushed ends a compressed message after a flush; it is not sent (§7.2.1).
var flushed = []byte{0, 0, 0xff, 0xff}

var deflaters = sync.Pool{New: func() any {
	// The level is one that there is.
	w, _ := flate.NewWriter(io.Discard, flate.BestSpeed)
	return w
}}

// deflate compresses the messages of a run of unfragmented frames, each of those
// that get smaller by it.
func deflate(frames []byte) []byte {
	if len(frames) < leastDeflated {
		return frames
	}
	var out []byte // nil as long as it would equal what is read
	read := 0
	for at := 0; at < len(frames); {
		head, length := frameSize(frames[at:])
		payload := frames[at+head : at+head+length]
		if opcode := frames[at] & 0xf; (opcode == opText || opcode == opBinary) && length >= leastDeflated {
			if packed := compress(payload); len(packed) < length {
				out = append(out, frames[read:at]...)
				start := len(out)
				out = appendFrame(out, opcode, packed)
				out[start] |= rsv1
				read = at + head + length
			}
		}
		at += head + length
	}
	if out == nil {
		return frames
	}
	return append(out, frames[read:]...)
}

// frameSize reads the header of one of our frames.
func frameSize(b []byte) (head, length int) {
	switch b[1] {
	case 126:
		return 4, int(binary.BigEndian.Uint16(b[2:]))
	case 127:
		return 10, int(binary.BigEndian.Uint64(b[2:]))
	default:
		return 2, int(b[1])
	}
}

func compress(payload []byte) []byte {
	w := deflaters.Get().(*flate.Writer)
	defer deflaters.Put(w)
	var out bytes.Buffer
	w.Reset(&out)
	// A buffer takes everything.
	_, _ = w.Write(payload)
	_ = w.Flush()
	return bytes.TrimSuffix(out.Bytes(), flushed)
}

// unflushed is what a message lacks to be read to its end (§7.2.2): the end of its
// flush, and an empty last block.
var unflushed = []byte{0, 0, 0xff, 0xff, 1, 0, 0, 0xff, 0xff}

var inflaters = sync.Pool{New: func() any { return flate.NewReader(bytes.NewReader(nil)) }}

// inflate is a client's message as it was before it was compressed, at most limit
// bytes of it.
func inflate(payload []byte, limit int) ([]byte, error) {
	r := inflaters.Get().(io.ReadCloser)
	defer inflaters.Put(r)
	source := io.MultiReader(bytes.NewReader(payload), bytes.NewReader(unflushed))
	if err := r.(flate.Resetter).Reset(source, nil); err != nil {
		return nil, &protocolError{closeInternal, "cannot decompress"}
	}
	out, err := io.ReadAll(io.LimitReader(r, int64(limit)+1))
	switch {
	case len(out) > limit:
		return nil, &protocolError{closeTooBig, "message too big"}
	case err != nil:
		return nil, &protocolError{closeInvalidText, "compressed data is broken"}
	}
	return out, nil
}
