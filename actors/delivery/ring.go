package delivery

import "iter"

// Stream is what one producer sends through its rings: a receiver gets the
// frames of all of them in the order in which they were added, also when it goes
// from one ring to another. It belongs to the producer's goroutine.
type Stream struct{ _ byte } // has an address of its own

// Ring is the frames for one group of receivers, kept once for all of them: a
// receiver that is behind holds the first frame that it needs, and how many
// follow. What nobody holds is free. It belongs to the producer's goroutine.
type Ring struct {
	stream *Stream
	tail   *Link
}

// Ring makes an empty ring.
func (s *Stream) Ring() *Ring { return &Ring{stream: s} }

// Add puts a frame behind the others. The link is told to the receivers in place
// of the frame. A frame may be in several rings.
func (r *Ring) Add(f *Frame) *Link {
	l := &Link{Frame: f, stream: r.stream}
	if r.tail != nil {
		r.tail.next = l
	}
	r.tail = l
	return l
}

// Link is a frame's place in a ring.
type Link struct {
	Frame  *Frame
	stream *Stream
	next   *Link
}

// Run is consecutive frames of one ring, in a constant space. The zero Run is
// empty. It is not safe for concurrent use.
type Run struct {
	first, last *Link
	count       int
}

// Extend takes the link that comes next; false when it is none that can: then the
// receiver needs another run for it, behind this one.
func (r *Run) Extend(l *Link) bool {
	if r.count == 0 {
		r.first = l
	} else if r.last.next != l {
		return false
	}
	r.last = l
	r.count++
	return true
}

// Of tells whether the run is of the stream of l.
func (r *Run) Of(l *Link) bool { return r.count > 0 && r.last.stream == l.stream }

// Len is the number of frames.
func (r *Run) Len() int { return r.count }

// First is the first frame; nil of an empty run.
func (r *Run) First() *Frame {
	if r.count == 0 {
		return nil
	}
	return r.first.Frame
}

// All are the frames in order.
func (r *Run) All() iter.Seq[*Frame] {
	return func(yield func(*Frame) bool) {
		l := r.first
		for n := r.count; n > 0 && yield(l.Frame); n-- {
			if n > 1 { // the last one's next is its producer's
				l = l.next
			}
		}
	}
}

// Shift takes the first frame away.
func (r *Run) Shift() {
	if r.count--; r.count <= 0 {
		*r = Run{}
		return
	}
	r.first = r.first.next
}
