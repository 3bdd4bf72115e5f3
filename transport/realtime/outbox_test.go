package realtime

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"fluxbase/actors/delivery"
)

// pipe is an outbox and its peer's end, over loopback with small write buffers.
type pipe struct {
	out  *outbox
	peer net.Conn
}

func newPipe(t *testing.T, limits outboxLimits, wrap func(net.Conn) net.Conn) pipe {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	peer, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	near, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := near.(*net.TCPConn).SetWriteBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	// Below the loopback's segment size TCP itself would stall.
	if err := peer.(*net.TCPConn).SetReadBuffer(192 << 10); err != nil {
		t.Fatal(err)
	}
	g := &Gateway{limits: limits, wheel: startWheel(time.Minute)}
	k := &socket{gateway: g, decoder: decoder{limit: 1 << 20}}
	w := startWriter()
	k.out = outbox{wire: &k.link, lane: w.lane("t"), limits: &g.limits, closer: webSocket{}}
	reader, err := startPoller()
	if err != nil && !errors.Is(err, errors.ErrUnsupported) {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	k.release = func() { close(ended) }
	if conn := wrap(near); err != nil || reader.adopt(conn, k) != nil {
		k.conn = conn
		k.out.wire = &plain{conn: conn, out: &k.out}
	}
	g.wheel.add(k)
	go k.begin(nil)
	t.Cleanup(func() {
		k.out.abort()
		<-ended
		peer.Close()
		if reader != nil {
			reader.close()
		}
		w.stop()
		g.wheel.close()
	})
	return pipe{out: &k.out, peer: peer}
}

func raw(c net.Conn) net.Conn { return c }

// hidden is a connection whose descriptor cannot be had, as TLS is.
type hidden struct{ net.Conn }

func opaque(c net.Conn) net.Conn { return hidden{c} }

var roomy = outboxLimits{bytes: 64 << 20, timeout: 10 * time.Second}

func numberedFrame(i, size int, reliable bool) *delivery.Frame {
	payload := make([]byte, max(size, 4))
	binary.BigEndian.PutUint32(payload, uint32(i))
	return &delivery.Frame{Bytes: appendFrame(nil, opBinary, payload), Messages: 1, Reliable: reliable}
}

// TestOutboxKeepsEverythingInOrder: a peer that reads in fits gets all frames,
// whole and in order, however often the socket is full; and every frame is done.
func TestOutboxKeepsEverythingInOrder(t *testing.T) {
	for name, wrap := range map[string]func(net.Conn) net.Conn{"raw": raw, "opaque": opaque} {
		t.Run(name, func(t *testing.T) {
			p := newPipe(t, roomy, wrap)
			const count = 3000
			window := delivery.NewWindow(1<<40, func() {})
			go func() {
				for i := range count {
					f := numberedFrame(i, i%5000, i%2 == 0)
					f.Track(window, 1)
					p.out.Push(f)
				}
				p.out.Close(1000, "bye")
			}()
			r := bufio.NewReader(p.peer)
			for i := range count {
				if i%500 == 0 {
					time.Sleep(20 * time.Millisecond)
				}
				opcode, payload := readFrame(t, r)
				if got := int(binary.BigEndian.Uint32(payload)); opcode != opBinary || got != i || len(payload) != max(i%5000, 4) {
					t.Fatalf("frame %d: opcode %d, number %d, %d bytes", i, opcode, got, len(payload))
				}
			}
			opcode, payload := readFrame(t, r)
			if opcode != opClose || !bytes.Equal(payload, append([]byte{3, 0xe8}, "bye"...)) {
				t.Fatalf("opcode %d, %q", opcode, payload)
			}
			eventually(t, "every frame is done", func() bool { return window.Used() == 0 })
		})
	}
}

// TestOutboxCutsTheSlow: a peer that reads nothing is closed with 1008 when too
// much waits, whether bytes or messages; frames that were dropped are done.
func TestOutboxCutsTheSlow(t *testing.T) {
	for name, limits := range map[string]outboxLimits{
		"bytes":    {bytes: 256 << 10, timeout: 10 * time.Second},
		"messages": {bytes: 64 << 20, count: 50, timeout: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPipe(t, limits, raw)
			window := delivery.NewWindow(1<<40, func() {})
			for i := range 2000 {
				f := numberedFrame(i, 4096, false)
				f.Track(window, 1)
				p.out.Push(f)
				if p.out.isClosing() {
					break
				}
				time.Sleep(20 * time.Microsecond)
			}
			if window.Used() != 0 {
				t.Errorf("%d bytes still count against their producer", window.Used())
			}
			r, next := bufio.NewReader(p.peer), 0
			for {
				opcode, payload := readFrame(t, r)
				if opcode == opClose {
					if code := binary.BigEndian.Uint16(payload); code != 1008 || string(payload[2:]) != "Connection too slow" {
						t.Errorf("closed %d %q", code, payload[2:])
					}
					break
				}
				if got := int(binary.BigEndian.Uint32(payload)); got != next {
					t.Fatalf("got frame %d, want %d", got, next)
				}
				next++
			}
			if next == 2000 {
				t.Error("nothing was dropped")
			}
		})
	}
}

func (o *outbox) isClosing() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.ending
}

// TestOutboxWaitsForReliableFrames: changes are not limited, and count against
// their producer until they are written; but a peer that takes no byte for the
// timeout is cut.
func TestOutboxWaitsForReliableFrames(t *testing.T) {
	p := newPipe(t, outboxLimits{bytes: 1000, count: 1, timeout: 300 * time.Millisecond}, raw)
	window := delivery.NewWindow(1<<40, func() {})
	for i := range 2000 {
		f := numberedFrame(i, 4096, true)
		f.Track(window, 1)
		p.out.Push(f)
	}
	if window.Used() < 1<<20 {
		t.Fatalf("only %d bytes count against the producer", window.Used())
	}
	eventually(t, "the stuck peer is cut and the bytes released", func() bool { return window.Used() == 0 })
	r := bufio.NewReader(p.peer)
	for {
		if _, _, err := tryFrame(r); err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && !isReset(err) {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
}

func isReset(err error) bool {
	var op *net.OpError
	return errors.As(err, &op)
}

// TestOutboxSlowButAlive: a peer that reads a little in every timeout is kept.
func TestOutboxSlowButAlive(t *testing.T) {
	t.Parallel()
	p := newPipe(t, outboxLimits{bytes: 1000, timeout: 2 * time.Second}, raw)
	for i := range 100 {
		p.out.Push(numberedFrame(i, 8192, true))
	}
	if p.out.isClosing() {
		t.Fatal("closed at once")
	}
	total, chunk := 0, make([]byte, 32<<10)
	for total < 100*(8192+4) {
		n, err := p.peer.Read(chunk)
		if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
		total += n
		time.Sleep(120 * time.Millisecond)
	}
}

// TestOutboxOneStuckDelaysNobody: a full socket does not hold up its writer loop.
func TestOutboxOneStuckDelaysNobody(t *testing.T) {
	stuck := newPipe(t, roomy, raw)
	l := stuck.out.lane
	other := newPipe(t, roomy, raw)
	other.out.lane = l
	for i := range 1000 {
		stuck.out.Push(numberedFrame(i, 8192, true))
	}
	r := bufio.NewReader(other.peer)
	for i := range 100 {
		start := time.Now()
		other.out.Push(numberedFrame(i, 100, false))
		readFrame(t, r)
		if took := time.Since(start); took > time.Second {
			t.Fatalf("frame %d took %v", i, took)
		}
	}
}

// TestOutboxDoneOnce: whatever happens to a frame, its producer hears once.
func TestOutboxDoneOnce(t *testing.T) {
	for range 50 {
		p := newPipe(t, outboxLimits{bytes: 100 << 10, count: 20, timeout: time.Second}, raw)
		var wakes atomic.Int32
		// Every release of the whole use goes from full to not full.
		window := delivery.NewWindow(1, func() { wakes.Add(1) })
		done := make(chan struct{})
		go func() {
			defer close(done)
			for i := range 300 {
				f := numberedFrame(i, 2000, i%3 == 0)
				f.Track(window, 1)
				p.out.Push(f)
			}
		}()
		p.out.abort()
		<-done
		eventually(t, fmt.Sprintf("use is 0, not %d", window.Used()), func() bool { return window.Used() == 0 })
		time.Sleep(time.Millisecond)
		if used := window.Used(); used != 0 {
			t.Fatalf("use is %d", used)
		}
	}
}
