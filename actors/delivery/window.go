package delivery

import (
	"sync"
	"sync/atomic"
)

// Window counts the bytes of tracked frames that some receiver has not written
// yet. The producer reads ahead only while Full is false, and is woken by the
// callback when the window has room again.
type Window struct {
	limit int64
	used  atomic.Int64
	wake  func()

	mu sync.Mutex
	// frames are those under way in the order of their numbers, also such as are
	// done behind one that is not; first is the number of the first.
	frames []*Frame
	first  uint64
	passed int64 // bytes of the frames that left at the front
}

// NewWindow makes a window of limit bytes; wake is called, from any goroutine,
// each time the window goes from full to not full. It must not block.
func NewWindow(limit int64, wake func()) *Window {
	return &Window{limit: limit, wake: wake, first: 1}
}

// Full tells whether the producer should wait.
func (w *Window) Full() bool { return w.used.Load() >= w.limit }

// Used is the number of bytes on their way.
func (w *Window) Used() int64 { return w.used.Load() }

func (w *Window) charge(f *Frame) {
	w.mu.Lock()
	f.number = w.first + uint64(len(w.frames))
	w.frames = append(w.frames, f)
	w.mu.Unlock()
	w.used.Add(f.size)
}

func (w *Window) release(f *Frame) {
	w.mu.Lock()
	done := 0
	for done < len(w.frames) && w.frames[done].pending.Load() <= 0 {
		w.passed += w.frames[done].size
		w.frames[done] = nil
		done++
	}
	w.first += uint64(done)
	if w.frames = w.frames[done:]; len(w.frames) == 0 {
		w.frames = nil
	}
	w.mu.Unlock()
	after := w.used.Add(-f.size)
	if after < w.limit && after+f.size >= w.limit {
		w.wake()
	}
}

// newest is how many of the last frames say whether most receivers are done.
const newest = 8

// front gives the number of the oldest frame that somebody still needs (0: there
// is none), the bytes that have left before it, and whether most receivers of the
// newest frames are done with them.
func (w *Window) front() (oldest uint64, passed int64, waited bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.frames) == 0 {
		return 0, w.passed, false
	}
	var pending, receivers int64
	for _, f := range w.frames[max(0, len(w.frames)-newest):] {
		pending += f.pending.Load()
		receivers += f.receivers
	}
	return w.first, w.passed, 2*pending <= receivers
}
