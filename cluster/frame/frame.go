// Package frame is what nodes say to each other: one layout for everything, so
// that a node of another version can always tell what it does not understand.
//
// Decode is total: any bytes give a Frame or an error, never a panic, and a type
// that is not known here is a Frame of that type.
package frame

import (
	"encoding/binary"
	"errors"
)

// Type says what a frame is for. Numbers are never given a second meaning.
type Type uint8

// The types of frames.
const (
	// Tell brings Data of Kind to the service Name.
	Tell Type = 1
	// Ask brings Data of Kind to the home (Name, Key); the answer carries ID.
	Ask Type = 2
	// Answer is Data of Kind for the question ID. Kinds that begin with "!" are
	// refusals, see package cluster.
	Answer Type = 3
	// Received says that everything up to Offset arrived.
	Received Type = 4
	// Yield asks the node to let go of the home (Name, Key), which the sender
	// took with an epoch, in Data; the answer carries ID.
	Yield Type = 5
)

// Frame is one message between nodes. Unused fields are zero.
type Frame struct {
	Type Type
	// From is the sender's node id.
	From string
	// Sequence numbers what the sender sent to this receiver, from 1; Offset is
	// the number of bytes of all of it, this frame included. Both are 0 for
	// frames that are not counted.
	Sequence, Offset uint64
	// ID correlates a question and its answer.
	ID uint64
	// Budget is how many milliseconds the asker still waits; 0 does not say.
	Budget    uint64
	Name, Key string
	Kind      string
	Data      []byte
}

var errTruncated = errors.New("truncated frame")

// Append appends the encoded frame to dst.
func (f *Frame) Append(dst []byte) []byte {
	dst = append(dst, byte(f.Type))
	for _, n := range [...]uint64{f.Sequence, f.Offset, f.ID, f.Budget} {
		dst = binary.AppendUvarint(dst, n)
	}
	for _, s := range [...]string{f.From, f.Name, f.Key, f.Kind} {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
		dst = append(dst, s...)
	}
	return append(dst, f.Data...)
}

// Size is an upper bound of the encoded length.
func (f *Frame) Size() int {
	return 1 + 8*binary.MaxVarintLen64 + len(f.From) + len(f.Name) + len(f.Key) + len(f.Kind) + len(f.Data)
}

// Decode reads a frame. Data is a part of b.
func Decode(b []byte) (Frame, error) {
	var f Frame
	if len(b) == 0 {
		return f, errTruncated
	}
	f.Type, b = Type(b[0]), b[1:]
	for _, n := range [...]*uint64{&f.Sequence, &f.Offset, &f.ID, &f.Budget} {
		v, size := binary.Uvarint(b)
		if size <= 0 {
			return Frame{}, errTruncated
		}
		*n, b = v, b[size:]
	}
	for _, s := range [...]*string{&f.From, &f.Name, &f.Key, &f.Kind} {
		length, size := binary.Uvarint(b)
		if size <= 0 || length > uint64(len(b)-size) {
			return Frame{}, errTruncated
		}
		*s, b = string(b[size:size+int(length)]), b[size+int(length):]
	}
	f.Data = b
	return f, nil
}
