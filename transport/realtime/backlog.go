package realtime

import "fluxbase/actors/delivery"

// joinBytes is the size up to which waiting frames leave in one write.
const joinBytes = 64 << 10

// entry is a frame that waits, or a run of a ring.
type entry struct {
	frame *delivery.Frame // nil for a run
	run   delivery.Run
	done  bool // the frame's producer need not wait for it any more
}

// entryBytes is about what an entry costs besides its frame.
const entryBytes = 48

// keptEntries is the number up to which an empty backlog keeps its memory.
const keptEntries = 16

// lookBack is how many entries back an open run is looked for.
const lookBack = 128

// backlog is what waits for one socket, in the order in which it is sent. It holds
// references to shared frames and, of a ring, one run however long it is.
type backlog struct {
	entries []entry
	head    int // of the entries that are not written
	offset  int // bytes of the first frame that are written
	// taken are the entries, from head on, that the chunk which is being written
	// comes from: nothing may get between them.
	taken int
	// loose are the bytes of frames that are not reliable, with their entries, and
	// messages their messages; own are those bytes that nobody else bounds.
	loose, messages, own int
	last                 []byte // to be sent behind the entries
	packed               bool   // frames are sent compressed
	// rewrite makes what is sent of each frame, in order; nil for what it says. first
	// is what it made of the first frame, nil when that was not asked for yet.
	rewrite func([]byte) []byte
	first   []byte
}

// bytes are what is sent of a frame. One that is rewritten must be the first.
func (b *backlog) bytes(f *delivery.Frame) []byte {
	switch {
	case b.packed:
		return f.Packed(deflate)
	case b.rewrite == nil:
		return f.Bytes
	case b.first == nil:
		b.first = b.rewrite(f.Bytes)
	}
	return b.first
}

func (b *backlog) empty() bool { return b.head == len(b.entries) && len(b.last) == 0 }

// add queues a frame; done tells that its producer has been told.
func (b *backlog) add(f *delivery.Frame, done bool) {
	b.append(entry{frame: f, done: done})
	b.count(f, 1)
}

// follow queues the frame of a link: at the end of its stream's run, unless
// something is behind that which it must not overtake.
func (b *backlog) follow(l *delivery.Link) {
	first := max(b.head, b.head+b.taken-1, len(b.entries)-lookBack)
	for i := len(b.entries) - 1; i >= first; i-- {
		e := &b.entries[i]
		if e.frame != nil && e.frame.Reliable {
			break
		}
		if e.frame == nil && e.run.Of(l) {
			if e.run.Extend(l) {
				return
			}
			break
		}
	}
	e := entry{done: true}
	e.run.Extend(l)
	b.append(e)
}

func (b *backlog) append(e entry) {
	if b.head > 0 && len(b.entries) == cap(b.entries) {
		n := copy(b.entries, b.entries[b.head:])
		clear(b.entries[n:])
		b.entries, b.head = b.entries[:n], 0
	}
	b.entries = append(b.entries, e)
}

// count adds a frame to the sums, or takes it away.
func (b *backlog) count(f *delivery.Frame, by int) {
	if f.Reliable {
		return
	}
	size := len(f.Bytes) + entryBytes
	b.loose += by * size
	b.messages += by * max(f.Messages, 1)
	if !f.Tracked() {
		b.own += by * size
	}
}

// release tells the producers of frames that are not reliable that they need not
// wait: what is here is bounded here from now on.
func (b *backlog) release() {
	for i := b.head; i < len(b.entries); i++ {
		if e := &b.entries[i]; e.frame != nil && !e.frame.Reliable && !e.done {
			e.done = true
			e.frame.Done()
		}
	}
}

// overdue tells whether a frame waits whose receivers are to be cut. The first
// frame of a run is its oldest.
func (b *backlog) overdue(e delivery.Evict) bool {
	for i := b.head; i < len(b.entries); i++ {
		f := b.entries[i].first()
		if f.Reliable && f.Overdue(e) {
			return true
		}
	}
	return false
}

func (e *entry) first() *delivery.Frame {
	if e.frame != nil {
		return e.frame
	}
	return e.run.First()
}

// gather gives what is to be written next: the rest of one frame as it is, or
// several joined in buffer, up to joinBytes. last comes with the end of the
// entries. More may be queued until consume says what was written of it.
func (b *backlog) gather(buffer []byte) []byte {
	chunk, joined := []byte(nil), 0
	skip := b.offset
	add := func(f *delivery.Frame) bool {
		rest := b.bytes(f)[skip:]
		skip = 0
		switch {
		case joined == 0:
			chunk = rest
		case len(chunk)+len(rest) > joinBytes:
			return false
		case joined == 1:
			chunk = append(append(buffer[:0], chunk...), rest...)
		default:
			chunk = append(chunk, rest...)
		}
		joined++
		return len(chunk) < joinBytes && b.rewrite == nil
	}
	for i := b.head; i < len(b.entries); i++ {
		e := &b.entries[i]
		b.taken = i - b.head + 1
		if e.frame != nil {
			if !add(e.frame) {
				return chunk
			}
			continue
		}
		for f := range e.run.All() {
			if !add(f) {
				return chunk
			}
		}
	}
	switch {
	case joined == 0:
		return b.last
	case len(b.last) == 0 || len(chunk)+len(b.last) > joinBytes:
		return chunk
	case joined == 1:
		return append(append(buffer[:0], chunk...), b.last...)
	default:
		return append(chunk, b.last...)
	}
}

// consume takes away n bytes that were written.
func (b *backlog) consume(n int) {
	b.taken = 0
	for b.head < len(b.entries) {
		e := &b.entries[b.head]
		f := e.first()
		rest := len(b.bytes(f)) - b.offset
		if n < rest {
			b.offset += n
			return
		}
		n -= rest
		b.offset = 0
		b.shift(e, f)
	}
	b.last = b.last[min(n, len(b.last)):]
	if cap(b.entries) > keptEntries {
		b.entries = nil
	}
	b.entries, b.head = b.entries[:0], 0
}

// shift takes away the first frame, which is that of e.
func (b *backlog) shift(e *entry, f *delivery.Frame) {
	b.count(f, -1)
	b.first = nil
	if e.frame != nil {
		if !e.done {
			f.Done()
		}
		*e = entry{}
		b.head++
		return
	}
	e.run.Shift()
	f.Done()
	if e.run.Len() == 0 {
		b.head++
	}
}

// drop throws away what waits, but for the rest of a frame that was begun.
func (b *backlog) drop() {
	var begun *delivery.Frame
	var rest []byte
	if b.offset > 0 {
		begun = b.entries[b.head].first()
		rest = b.bytes(begun)[b.offset:]
	}
	for b.head < len(b.entries) {
		e := &b.entries[b.head]
		b.shift(e, e.first())
	}
	*b = backlog{last: b.last, packed: b.packed}
	if begun != nil {
		f := &delivery.Frame{Bytes: rest}
		f.Packed(func(b []byte) []byte { return b }) // not again
		b.add(f, true)
	}
}
