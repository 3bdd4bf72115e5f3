package realtime

import (
	"sync"
	"time"

	"fluxbase/actors/delivery"
)

// lingerTimeout bounds the closing handshake, and how long a socket that is cut
// may take to accept its closing bytes.
const lingerTimeout = 2 * time.Second

// turnBytes is what one socket may write before others have their turn.
const turnBytes = 256 << 10

// ownBytes is up to how many bytes of its own, shared with nobody, a full socket
// is read from: a client that does not take its answers asks no more questions.
const ownBytes = 64 << 10

// outboxLimits bound what may wait for a socket that is full.
type outboxLimits struct {
	bytes, count int
	timeout      time.Duration
}

// hardFactor times the byte limit is what may wait for a socket that is not full
// but has not had its turn.
const hardFactor = 16

// wire is the socket under an outbox.
type wire interface {
	// write writes what the socket takes at once; taken is less than len(b) when it
	// is full then. An error is final.
	write(b []byte) (taken int, err error)
	// await makes outbox.writable be called once the socket takes bytes again. It is
	// called with the outbox's lock held.
	await()
	// shut ends both directions; whoever reads finds out. It is called with the
	// outbox's lock held, also repeatedly.
	shut()
}

// outbox is what waits to be written to one socket. While it is scheduled, one
// goroutine owns the socket's write side.
//
// Reliable frames are bounded by their producer's window, and cost no memory of
// their own. The others are bounded here once the socket is full, and stop counting
// against their producer then.
type outbox struct {
	wire   wire
	lane   *lane
	limits *outboxLimits
	closer interface { // the dialect
		Closing(code int, reason string) []byte
	}
	// ended is called, with the lock held, when nobody writes any more and the wire
	// was released meanwhile.
	ended func()

	mu        sync.Mutex
	waiting   backlog
	scheduled bool
	writing   bool  // a chunk is being written, without the lock
	congested bool  // full: writable will be called
	ending    bool  // no more pushes; the closing bytes are in waiting.last
	dropping  bool  // what waits is to be dropped after the chunk that is being written
	closed    bool  // no more writes
	answered  bool  // the peer needs no time after our closing bytes
	released  bool  // the wire must not be used any more
	armed     bool  // timer is running
	moved     int64 // unix nanoseconds of the last byte taken, while congested or ending
	timer     *time.Timer
	slow      string // why it was cut, "" if it was not
}

// Why a socket was cut.
const (
	slowQueue   = "too much was waiting"
	slowStill   = "accepted no byte for too long"
	slowOthers  = "others were waiting"
	closeSlow   = "Connection too slow"
	closeResume = "Connection too slow: resume from your cursor"
)

// Push queues a frame. See connection.Outbox.
func (o *outbox) Push(f *delivery.Frame) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending || o.closed || len(f.Bytes) == 0 {
		f.Done()
		return
	}
	early := o.congested && !f.Reliable
	if early {
		f.Done()
	}
	o.waiting.add(f, early)
	if o.overflows() {
		o.cut(slowQueue, closeSlow)
	}
	o.schedule()
}

// Follow queues the frame of a link. See connection.Outbox.
func (o *outbox) Follow(l *delivery.Link) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending || o.closed {
		l.Frame.Done()
		return
	}
	o.waiting.follow(l)
	o.schedule()
}

// Evict cuts the socket if it is behind with what is meant. See connection.Outbox.
func (o *outbox) Evict(e delivery.Evict) {
	o.mu.Lock()
	defer o.mu.Unlock()
	// One that is not full only waits for its turn.
	if !o.congested || o.ending || o.closed || !o.waiting.overdue(e) {
		return
	}
	if e.Still && time.Now().UnixNano()-o.moved < int64(delivery.PatienceLimit) {
		return
	}
	o.cut(slowOthers, closeResume)
	o.schedule()
}

// cutFor says why the socket was cut as too slow, "" if it was not.
func (o *outbox) cutFor() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.slow
}

// overflows tells whether too much waits. Call with the lock held.
func (o *outbox) overflows() bool {
	if o.congested {
		return o.waiting.loose > o.limits.bytes || o.limits.count > 0 && o.waiting.messages > o.limits.count
	}
	return o.waiting.loose > hardFactor*o.limits.bytes
}

// Close sends what waits, then the closing bytes. See connection.Outbox.
func (o *outbox) Close(code int, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ending && !o.closed {
		o.end(code, reason)
		o.schedule()
	}
}

// end makes the closing bytes the last. Call with the lock held.
func (o *outbox) end(code int, reason string) {
	o.ending = true
	o.waiting.last = o.closer.Closing(code, reason)
	o.moved = time.Now().UnixNano()
	o.arm(lingerTimeout)
}

// cut drops what waits and closes for slowness. Call with the lock held.
func (o *outbox) cut(why, reason string) {
	o.slow = why
	o.end(closePolicy, reason)
	o.drop()
}

// drop forgets what waits. Call with the lock held.
func (o *outbox) drop() {
	if o.writing {
		o.dropping = true
		return
	}
	o.dropping = false
	o.waiting.drop()
}

// schedule gives the outbox to its writer unless somebody has it. Call with the
// lock held.
func (o *outbox) schedule() {
	if !o.scheduled && !o.congested && !o.closed {
		o.scheduled = true
		o.lane.ready(o)
	}
}

// writable says that the socket takes bytes again.
func (o *outbox) writable() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.congested = false
	o.schedule()
}

// owes tells whether the client should ask no more before it has read.
func (o *outbox) owes() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.congested && !o.ending && o.waiting.own > ownBytes
}

// abort ends the outbox together with its socket, sending nothing more.
func (o *outbox) abort() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finish()
	o.shut()
}

// shut ends both directions of the socket. Call with the lock held.
func (o *outbox) shut() {
	if !o.released {
		o.wire.shut()
	}
}

// finish ends the writing. Call with the lock held.
func (o *outbox) finish() {
	o.closed, o.ending = true, true
	o.waiting.last = nil
	o.drop()
}

// release ends the use of the wire: once nobody writes, ended is called. It must
// be called once, and the outbox aborted before.
func (o *outbox) release(ended func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.released, o.ended = true, ended
	if o.timer != nil {
		o.timer.Stop()
	}
	if !o.writing {
		o.ended()
	}
}

// flush writes what waits without blocking; it runs on the writer loop. It tells
// whether the outbox wants another turn.
func (o *outbox) flush(buffer []byte) (again bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for written := 0; ; {
		if o.closed || o.waiting.empty() {
			o.scheduled = false
			return false
		}
		if written >= turnBytes {
			return true
		}
		chunk := o.waiting.gather(buffer)
		o.writing = true
		o.mu.Unlock()
		n, err := o.wire.write(chunk)
		o.mu.Lock()
		o.wrote(n, err)
		written += n
		if n < len(chunk) && !o.closed {
			o.congest()
			return false
		}
		if n == len(chunk) && len(chunk) < joinBytes && !o.waiting.empty() && !o.closed {
			// What has come meanwhile is joined with what comes until the next round.
			return true
		}
	}
}

// wrote is what came of writing a chunk, which was done without the lock. Call with
// the lock held.
func (o *outbox) wrote(n int, err error) {
	o.writing = false
	if o.released {
		o.ended()
	}
	if err != nil {
		o.finish()
		o.shut()
		return
	}
	if !o.closed {
		if n > 0 && (o.armed || o.ending) {
			o.moved = time.Now().UnixNano()
		}
		o.waiting.consume(n)
	}
	if o.dropping {
		o.drop()
	}
	if o.ending && !o.closed && o.waiting.empty() {
		o.linger()
	}
}

// congest waits for a socket that is full. Call with the lock held.
func (o *outbox) congest() {
	o.scheduled, o.congested = false, true
	o.waiting.release()
	if !o.ending && o.overflows() {
		o.cut(slowQueue, closeSlow)
	}
	o.moved = time.Now().UnixNano()
	if !o.armed {
		o.arm(o.patience())
	}
	o.wire.await()
}

// linger ends the write side after the closing bytes. The reader has a moment to
// see the peer's, unless nothing is expected. Call with the lock held.
func (o *outbox) linger() {
	o.closed = true
	if o.answered {
		o.shut()
	}
}

// peerClosed says that the peer has closed: once our closing bytes are sent,
// nobody waits for anything.
func (o *outbox) peerClosed(code int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.answered = true
	switch {
	case o.closed:
		o.shut()
	case !o.ending:
		o.end(code, "")
		o.schedule()
	}
}

// patience is how long the socket may take no byte. Call with the lock held.
func (o *outbox) patience() time.Duration {
	if o.ending {
		return min(o.limits.timeout, lingerTimeout)
	}
	return o.limits.timeout
}

// arm starts the timer anew. Call with the lock held.
func (o *outbox) arm(d time.Duration) {
	o.armed = true
	if o.timer == nil {
		o.timer = time.AfterFunc(d, o.overdue)
		return
	}
	o.timer.Reset(d)
}

// overdue is the timer: a socket that has taken no byte for its time is ended. A
// client that cannot even take the closing bytes finds the connection broken.
func (o *outbox) overdue() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.armed = false
	if o.released || !o.congested && !o.ending {
		return
	}
	if left := o.patience() - time.Duration(time.Now().UnixNano()-o.moved); left > 0 {
		o.arm(left)
		return
	}
	if !o.ending {
		o.slow = slowStill
	}
	o.finish()
	o.shut()
}
