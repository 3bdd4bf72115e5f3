package realtime

import (
	"bufio"
	"encoding/binary"
	"net"
	"runtime"
	"sync"
	"testing"
	"time"

	"fluxbase/actors/connection"
	"fluxbase/actors/delivery"
	"fluxbase/actors/kernel"
)

// producer sends table changes as a feed and a table do: through one ring, as long
// as the window has room, with patience for who is behind.
type producer struct {
	receivers []kernel.Ref
	window    *delivery.Window
	room      chan struct{}
	patience  delivery.Patience
	ring      *delivery.Ring
	longest   time.Duration // that it waited for room
}

func newProducer(receivers []kernel.Ref, limit int64) *producer {
	p := &producer{receivers: receivers, room: make(chan struct{}, 1), ring: new(delivery.Stream).Ring()}
	p.window = delivery.NewWindow(limit, func() {
		select {
		case p.room <- struct{}{}:
		default:
		}
	})
	return p
}

func (p *producer) send(f *delivery.Frame) {
	for start := time.Now(); p.window.Full(); p.longest = max(p.longest, time.Since(start)) {
		if cut, _ := p.patience.Check(p.window, time.Now()); cut != nil {
			for _, ref := range p.receivers {
				_ = ref.Tell(*cut)
			}
		}
		select {
		case <-p.room:
		case <-time.After(100 * time.Millisecond):
		}
	}
	f.Track(p.window, len(p.receivers))
	link := p.ring.Add(f)
	for _, ref := range p.receivers {
		if ref.Tell(link) != nil {
			f.Done()
		}
	}
}

// TestOneStuckReaderAmongMany: 499 readers get everything in order although one
// stops reading: it delays them once, by about the patience that it is given, and
// finds that it was cut, and why.
func TestOneStuckReaderAmongMany(t *testing.T) {
	t.Parallel()
	const readers, messages, size = 499, 250, 4000
	n := startNode(t, nodeOptions{sendBuffer: 16 << 10})
	subscribe := func() net.Conn {
		c := dialPath(t, n.addr, "/realtime?token=user:a")
		t.Cleanup(func() { c.Close() })
		if err := c.(*net.TCPConn).SetReadBuffer(192 << 10); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Write(clientFrame(0x81, []byte(`{"type":"subscribe","channel":"table:notes"}`))); err != nil {
			t.Fatal(err)
		}
		return c
	}
	stuck := subscribe()
	acknowledged := bufio.NewReader(stuck)
	readFrame(t, acknowledged)
	var reading sync.WaitGroup
	for range readers {
		c := subscribe()
		r := bufio.NewReader(c)
		readFrame(t, r)
		reading.Go(func() {
			for i := 0; i < messages; {
				opcode, payload, err := tryFrame(r)
				switch {
				case err == nil && opcode != opBinary: // a ping
				case err == nil && int(binary.BigEndian.Uint32(payload)) == i:
					i++
				default:
					t.Errorf("message %d: %d %.20x of %d bytes, %v", i, opcode, payload, len(payload), err)
					return
				}
			}
		})
	}
	subscribers := n.tables.refs()
	if len(subscribers) != readers+1 {
		t.Fatalf("%d subscribed", len(subscribers))
	}
	p := newProducer(subscribers, 100_000)
	for i := range messages {
		p.send(numberedFrame(i, size, true))
	}
	reading.Wait()
	if p.longest < delivery.PatienceLimit/2 || p.longest > roomy.timeout {
		t.Errorf("the others waited %v", p.longest)
	}
	eventually(t, "the cut is on record", func() bool {
		cuts, err := kernel.Ask[[]connection.Cut](t.Context(), n.dir, connection.ListCuts{Tenant: "main"})
		return err == nil && len(cuts) == 1 && cuts[0].Reason == slowOthers
	})
}

// TestStuckSocketCostsLittle: whatever waits for a socket in rings, it holds a
// handful of entries, and nothing is lost or out of order once it is read.
func TestStuckSocketCostsLittle(t *testing.T) {
	const each = 10_000
	p := newPipe(t, roomy, raw)
	streams := [3]delivery.Stream{}
	rings := [3]*delivery.Ring{}
	for i := range rings {
		rings[i] = streams[i].Ring()
	}
	var before, after runtime.MemStats
	frames := make([]*delivery.Frame, each)
	for i := range frames {
		frames[i] = numberedFrame(i, 60, true)
	}
	runtime.GC()
	runtime.ReadMemStats(&before)
	for i := range each {
		for _, ring := range rings {
			p.out.Follow(ring.Add(frames[i]))
		}
		if i%100 == 0 {
			p.out.Push(&delivery.Frame{Bytes: appendFrame(nil, opPing, nil)})
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	p.out.mu.Lock()
	entries := len(p.out.waiting.entries) - p.out.waiting.head
	p.out.mu.Unlock()
	if entries > each/100+3*10 {
		t.Errorf("%d entries for %d frames", entries, 3*each)
	}
	// The links of the rings are shared by all receivers.
	const links = 3 * each * 32
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc) - links; grown > 256<<10 {
		t.Errorf("%d KB more", grown>>10)
	}
	r := bufio.NewReader(p.peer)
	next := map[uint32]int{}
	for got := 0; got < 3*each; {
		opcode, payload := readFrame(t, r)
		if opcode != opBinary {
			continue
		}
		got++
		next[binary.BigEndian.Uint32(payload)]++
	}
	for i := range uint32(each) {
		if next[i] != 3 {
			t.Fatalf("frame %d came %d times", i, next[i])
		}
	}
}

// TestEvictedIsTold: a client that is cut for the others' sake gets what was begun,
// then the close frame that says what to do.
func TestEvictedIsTold(t *testing.T) {
	p := newPipe(t, roomy, raw)
	window := delivery.NewWindow(1, func() {})
	ring := new(delivery.Stream).Ring()
	for i := range 500 {
		f := numberedFrame(i, 4096, true)
		f.Track(window, 1)
		p.out.Follow(ring.Add(f))
	}
	eventually(t, "the socket is full", func() bool {
		p.out.mu.Lock()
		defer p.out.mu.Unlock()
		return p.out.congested
	})
	p.out.Evict(delivery.Evict{Window: delivery.NewWindow(1, func() {}), Through: 1 << 60})
	p.out.Evict(delivery.Evict{Window: window, Through: 1})
	p.out.Evict(delivery.Evict{Window: window, Through: 1 << 60, Still: true})
	if p.out.isClosing() {
		t.Fatal("cut although it is not meant, or moved a moment ago")
	}
	p.out.Evict(delivery.Evict{Window: window, Through: 1 << 60})
	if !p.out.isClosing() || window.Used() != 0 {
		t.Fatalf("not cut: %d bytes wait", window.Used())
	}
	r := bufio.NewReader(p.peer)
	for i := 0; ; i++ {
		opcode, payload := readFrame(t, r)
		if opcode == opClose {
			if code := binary.BigEndian.Uint16(payload); code != 1008 || string(payload[2:]) != closeResume {
				t.Errorf("closed %d %q", code, payload[2:])
			}
			return
		}
		if int(binary.BigEndian.Uint32(payload)) != i {
			t.Fatalf("frame %d is another one", i)
		}
	}
}
