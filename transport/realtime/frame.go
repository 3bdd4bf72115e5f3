package realtime

import (
	"encoding/binary"
	"unicode/utf8"

	"fluxbase/actors/delivery"
)

// Opcodes of RFC 6455 §5.2.
const (
	opContinuation = 0x0
	opText         = 0x1
	opBinary       = 0x2
	opClose        = 0x8
	opPing         = 0x9
	opPong         = 0xA
)

// rsv1 marks the first frame of a compressed message (RFC 7692 §6).
const rsv1 = 0x40

// maxHeader is the longest header of a frame that a server sends.
const maxHeader = 10

// beginFrame leaves room for a header; endFrame puts it there.
func beginFrame(dst []byte) (grown []byte, start int) {
	start = len(dst)
	return append(dst, make([]byte, maxHeader)...), start
}

// endFrame completes the frame whose payload was appended after beginFrame.
func endFrame(dst []byte, start int, opcode byte) []byte {
	payload := dst[start+maxHeader:]
	var header [maxHeader]byte
	h := appendHeader(header[:0], opcode, len(payload))
	copy(dst[start:], h)
	n := copy(dst[start+len(h):], payload)
	return dst[:start+len(h)+n]
}

func appendHeader(dst []byte, opcode byte, n int) []byte {
	dst = append(dst, 0x80|opcode)
	switch {
	case n < 126:
		return append(dst, byte(n))
	case n < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(n))
	default:
		return binary.BigEndian.AppendUint64(append(dst, 127), uint64(n))
	}
}

// appendFrame appends an unmasked, unfragmented frame.
func appendFrame(dst []byte, opcode byte, payload []byte) []byte {
	return append(appendHeader(dst, opcode, len(payload)), payload...)
}

// appendClose appends a close frame; the reason is cut to what fits (123 bytes)
// at a character's boundary. Code 1005 means a close frame without a code.
func appendClose(dst []byte, code int, reason string) []byte {
	if code == closeNoStatus {
		return appendHeader(dst, opClose, 0)
	}
	for len(reason) > 123 || !utf8.ValidString(reason) {
		reason = reason[:len(reason)-1]
	}
	dst = appendHeader(dst, opClose, 2+len(reason))
	dst = binary.BigEndian.AppendUint16(dst, uint16(code))
	return append(dst, reason...)
}

// webSocket is what the dialects whose messages are WebSocket frames have in common.
type webSocket struct{}

func (webSocket) ping() *delivery.Frame { return pingFrame }

// Closing is a close frame.
func (webSocket) Closing(code int, reason string) []byte { return appendClose(nil, code, reason) }

// pingFrame is shared by all connections.
var pingFrame = &delivery.Frame{Bytes: appendFrame(nil, opPing, nil)}
