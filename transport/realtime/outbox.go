package realtime

import (
	"errors"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"fluxbase/actors/delivery"
)

// joinBytes is the size up to which waiting frames leave in one write.
const joinBytes = 64 << 10

// lingerTimeout bounds the closing handshake, and how long a socket that is cut
// may take to accept its close frame.
const lingerTimeout = 2 * time.Second

// outboxLimits bound what may wait for a socket that accepts nothing.
type outboxLimits struct {
	bytes, count int
	timeout      time.Duration
}

// hardFactor times the byte limit is what may wait for a socket that is not full
// but has not had its turn.
const hardFactor = 16

// outbox is what waits to be written to one socket. While it is scheduled, one
// goroutine owns the socket's write side: a writer loop, or, when the socket was
// full, a goroutine of its own (congested).
//
// Reliable frames are bounded by their producer's window. The others are bounded
// here once the socket is full, and stop counting against their producer then.
type outbox struct {
	conn    net.Conn
	raw     syscall.RawConn // nil when the socket cannot be written without blocking
	writer  *writer
	limits  outboxLimits
	closing func(code int, reason string) []byte // see connection.Dialect

	mu        sync.Mutex
	queue     []entry
	bytes     int // of unreliable frames in queue
	count     int
	scheduled bool
	congested bool
	ending    bool // no more pushes; last is to be sent after the queue
	closed    bool // no more writes
	last      []byte
	lastSent  bool // last is in a chunk that is being or was written
	cutShort  bool // too slow: what waited was dropped
	answered  bool // the peer's close frame was seen: end the socket after ours

	attempt func(fd uintptr) bool // writes chunk once without blocking
	chunk   []byte
	wrote   int
	err     error
}

// entry is a frame in a queue; done tells that its producer has been told that
// it need not wait for it.
type entry struct {
	frame *delivery.Frame
	done  bool
}

func (e *entry) finish() {
	if !e.done {
		e.done = true
		e.frame.Done()
	}
}

func newOutbox(conn net.Conn, w *writer, limits outboxLimits, closing func(int, string) []byte) *outbox {
	o := &outbox{conn: conn, writer: w, limits: limits, closing: closing}
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			o.raw = raw
		}
	}
	o.attempt = func(fd uintptr) bool {
		o.wrote, o.err = syscall.Write(int(fd), o.chunk)
		return true
	}
	return o
}

// Push queues a frame. See connection.Outbox.
func (o *outbox) Push(f *delivery.Frame) {
	o.mu.Lock()
	if o.ending || o.closed {
		o.mu.Unlock()
		f.Done()
		return
	}
	e := entry{frame: f}
	if !f.Reliable {
		o.bytes += len(f.Bytes)
		o.count += max(f.Messages, 1)
		if o.congested {
			e.finish()
		}
	}
	o.queue = append(o.queue, e)
	if o.overflows() {
		o.cut()
	}
	o.schedule()
	o.mu.Unlock()
}

// overflows tells whether too much waits. Call with the lock held.
func (o *outbox) overflows() bool {
	if o.congested {
		return o.bytes > o.limits.bytes || o.limits.count > 0 && o.count > o.limits.count
	}
	return o.bytes > hardFactor*o.limits.bytes
}

// cut drops what waits and closes for slowness. Call with the lock held.
func (o *outbox) cut() {
	o.drop()
	o.ending, o.cutShort, o.last = true, true, o.closing(closePolicy, "Connection too slow")
	// The writing goroutine may be waiting for room: not for long any more. An
	// error means that the socket is gone already.
	_ = o.conn.SetWriteDeadline(time.Now().Add(lingerTimeout))
}

// drop forgets the queue. Call with the lock held.
func (o *outbox) drop() {
	for i := range o.queue {
		o.queue[i].finish()
	}
	o.queue, o.bytes, o.count = nil, 0, 0
}

// Close sends what waits, then the closing bytes. See connection.Outbox.
func (o *outbox) Close(code int, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending || o.closed {
		return
	}
	o.ending, o.last = true, o.closing(code, reason)
	o.schedule()
}

// schedule gives the outbox to its writer unless somebody has it. Call with the
// lock held.
func (o *outbox) schedule() {
	if !o.scheduled {
		o.scheduled = true
		o.writer.ready(o)
	}
}

// abort ends the outbox together with its socket, sending nothing more.
func (o *outbox) abort() {
	o.mu.Lock()
	o.closed, o.ending = true, true
	o.drop()
	o.mu.Unlock()
	// Closing twice gives an error that says just that.
	_ = o.conn.Close()
}

// take swaps the queue for an empty one; last is not nil when it is to be sent
// behind the batch. ok is false when nothing waits: the caller does not own the
// socket any more.
func (o *outbox) take(empty []entry) (batch []entry, last []byte, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending && o.lastSent {
		o.linger()
	}
	if o.closed || len(o.queue) == 0 && !o.ending {
		o.scheduled, o.congested = false, false
		return empty, nil, false
	}
	batch, o.queue = o.queue, empty[:0]
	o.bytes, o.count = 0, 0
	if o.ending {
		last = o.last
	}
	return batch, last, true
}

// flush writes what waits, once, without blocking; it runs on the writer loop.
// It returns the batch's storage for reuse, and whether more has come meanwhile.
func (o *outbox) flush(empty []entry, buffer []byte) (spare []entry, again bool) {
	if o.raw == nil {
		o.mu.Lock()
		o.congested = true
		o.mu.Unlock()
		go o.drain(nil, nil)
		return empty, false
	}
	batch, last, ok := o.take(empty)
	if !ok {
		return batch, false
	}
	next := 0
	for next < len(batch) || last != nil {
		chunk, n, joined := join(batch[next:], last, buffer)
		if joined {
			last = nil
			o.mu.Lock()
			o.lastSent = true
			o.mu.Unlock()
		}
		wrote, err := o.try(chunk)
		switch {
		case err == nil && wrote == len(chunk):
			finish(batch[next : next+n])
			next += n
		case err == nil || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR):
			o.congest(chunk[max(wrote, 0):], batch[next:next+n], batch[next+n:])
			return nil, false
		default:
			finish(batch[next:])
			o.abort()
			return nil, false
		}
	}
	clear(batch)
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.lastSent {
		o.linger()
	}
	again = !o.closed && (len(o.queue) > 0 || o.ending)
	o.scheduled = again
	return batch, again
}

// linger ends the write side after the close frame. The reader has a moment to
// see the peer's, unless it has come already. Call with the lock held.
func (o *outbox) linger() {
	o.closed = true
	if o.answered {
		// Closing twice gives an error that says just that.
		_ = o.conn.Close()
		return
	}
	// An error means that the socket is gone already.
	_ = o.conn.SetReadDeadline(time.Now().Add(lingerTimeout))
}

// peerClosed says that the peer's close frame was seen: once ours is sent,
// nobody waits for anything.
func (o *outbox) peerClosed(code int) {
	o.mu.Lock()
	o.answered = true
	closed := o.closed
	o.mu.Unlock()
	if closed {
		_ = o.conn.Close()
		return
	}
	o.Close(code, "")
}

// join gathers frames into one chunk of at most joinBytes, except that a single
// frame is taken as it is. joined tells that last is in the chunk, too.
func join(batch []entry, last []byte, buffer []byte) (chunk []byte, n int, joined bool) {
	if len(batch) == 0 {
		return last, 0, true
	}
	size := 0
	for n < len(batch) && (n == 0 || size+len(batch[n].frame.Bytes) <= joinBytes) {
		size += len(batch[n].frame.Bytes)
		n++
	}
	if n == 1 {
		return batch[0].frame.Bytes, 1, false
	}
	chunk = buffer[:0]
	for _, e := range batch[:n] {
		chunk = append(chunk, e.frame.Bytes...)
	}
	if n == len(batch) && last != nil {
		return append(chunk, last...), n, true
	}
	return chunk, n, false
}

func finish(batch []entry) {
	for i := range batch {
		batch[i].finish()
	}
}

// try writes once without blocking.
func (o *outbox) try(chunk []byte) (int, error) {
	o.chunk, o.wrote, o.err = chunk, 0, nil
	err := o.raw.Write(o.attempt)
	o.chunk = nil
	if err != nil {
		return 0, err
	}
	return max(o.wrote, 0), o.err
}

// congest gives the socket, which is full, to a goroutine of its own. rest is
// what remains of the frames in sent; after that come later frames.
func (o *outbox) congest(rest []byte, sent, later []entry) {
	// rest may be the loop's buffer or a shared frame: it must outlive the loop's
	// turn and stay unchanged.
	rest = append([]byte(nil), rest...)
	held := append([]entry(nil), sent...)
	o.mu.Lock()
	o.congested = true
	queue := append(append([]entry(nil), later...), o.queue...)
	o.queue = queue
	o.bytes, o.count = 0, 0
	for i := range queue {
		if f := queue[i].frame; !f.Reliable {
			o.bytes += len(f.Bytes)
			o.count += max(f.Messages, 1)
			queue[i].finish()
		}
	}
	for i := range held {
		if !held[i].frame.Reliable {
			held[i].finish()
		}
	}
	if !o.ending && o.overflows() {
		o.cut()
	}
	o.mu.Unlock()
	go o.drain(rest, held)
}

// drain writes until nothing waits, blocking as long as the socket takes a byte
// within the timeout. held are the frames whose bytes chunk ends.
func (o *outbox) drain(chunk []byte, held []entry) {
	var buffer []byte
	for {
		err := o.write(chunk)
		finish(held)
		if err != nil {
			// A client that cannot even take a close frame finds the
			// connection broken.
			o.abort()
			return
		}
		batch, last, ok := o.take(nil)
		if !ok {
			return
		}
		var n int
		var joined bool
		if chunk, n, joined = join(batch, last, buffer); n > 1 {
			buffer = chunk[:0]
		}
		held = batch[:n]
		o.restore(batch[n:], joined)
	}
}

// restore puts back what did not fit into a chunk.
func (o *outbox) restore(rest []entry, lastSent bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lastSent = o.lastSent || lastSent
	if o.closed || o.ending && o.cutShort {
		finish(rest)
		return
	}
	if len(rest) > 0 {
		o.queue = append(append([]entry(nil), rest...), o.queue...)
		for _, e := range rest {
			if !e.frame.Reliable {
				o.bytes += len(e.frame.Bytes)
				o.count += max(e.frame.Messages, 1)
			}
		}
	}
}

// write blocks until everything is written. A socket that takes no byte for the
// timeout is too slow.
func (o *outbox) write(chunk []byte) error {
	for len(chunk) > 0 {
		o.mu.Lock()
		timeout := o.limits.timeout
		if o.ending {
			timeout = min(timeout, lingerTimeout)
		}
		err := o.conn.SetWriteDeadline(time.Now().Add(timeout))
		o.mu.Unlock()
		if err != nil {
			return err
		}
		n, err := o.conn.Write(chunk[:min(len(chunk), joinBytes)])
		chunk = chunk[n:]
		if err != nil && !(n > 0 && errors.Is(err, os.ErrDeadlineExceeded)) {
			return err
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ending {
		return nil
	}
	return o.conn.SetWriteDeadline(time.Time{})
}

// Follow queues the frame of a link. See connection.Outbox.
func (o *outbox) Follow(l *delivery.Link) { o.Push(l.Frame) }

// Evict cuts the socket if it holds what is meant. See connection.Outbox.
func (o *outbox) Evict(delivery.Evict) {}
