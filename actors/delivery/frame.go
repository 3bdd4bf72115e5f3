package delivery

import (
	"sync"
	"sync/atomic"
)

// Frame is a run of complete wire frames of one dialect, encoded once and shared
// by every receiver. Nobody changes the bytes after it was made.
//
// A producer that bounds its bytes calls Track before sending; every receiver
// calls Done exactly once when the bytes have been written or thrown away with
// the connection. The last Done of a reliable frame gives its bytes back.
type Frame struct {
	// Bytes are complete frames of the dialect, headers included.
	Bytes []byte
	// Messages is the number of messages in Bytes.
	Messages int
	// Reliable frames (table changes) are paced by their producer's Window and
	// never counted against the connection's own queue; the others are.
	Reliable bool

	pack   sync.Once
	packed []byte

	pending   atomic.Int64
	receivers int64
	size      int64
	window    *Window
	number    uint64 // in the window, rising
}

// Track charges the frame to w until receivers calls of Done. Call it before
// the first send, with the exact number of receivers.
func (f *Frame) Track(w *Window, receivers int) {
	if w == nil || receivers == 0 {
		return
	}
	f.window, f.receivers, f.size = w, int64(receivers), int64(len(f.Bytes))
	f.pending.Store(f.receivers)
	w.charge(f)
}

// Packed are the bytes in another form, made by the first receiver that wants it
// and shared like Bytes. All callers give the same function.
func (f *Frame) Packed(pack func([]byte) []byte) []byte {
	f.pack.Do(func() { f.packed = pack(f.Bytes) })
	return f.packed
}

// Tracked tells whether a window bounds the frame.
func (f *Frame) Tracked() bool { return f.window != nil }

// Done says that one receiver needs the bytes no more.
func (f *Frame) Done() {
	if f.window == nil || f.pending.Add(-1) != 0 {
		return
	}
	if f.Reliable {
		// The end of a ring, and frames that are done before older ones, would
		// keep them.
		f.Bytes, f.packed = nil, nil
	}
	f.window.release(f)
}

// Overdue tells whether a receiver that has not called Done for the frame is to
// be cut.
func (f *Frame) Overdue(e Evict) bool { return f.window == e.Window && f.number <= e.Through }
