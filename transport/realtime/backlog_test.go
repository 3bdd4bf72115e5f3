package realtime

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"fluxbase/actors/delivery"
)

// TestBacklogWritesEverythingOnce: whatever is queued, and however little the socket
// takes at a time, its bytes are the frames in order, and each is done when it is
// written.
func TestBacklogWritesEverythingOnce(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		var b backlog
		b.packed = seed%4 == 1
		if seed%4 == 2 {
			b.rewrite = func(f []byte) []byte { return append([]byte("<"), f...) }
		}
		streams := [2]delivery.Stream{}
		rings := []*delivery.Ring{streams[0].Ring(), streams[0].Ring(), streams[1].Ring()}
		window := delivery.NewWindow(1<<40, func() {})
		var want [4][]byte // of the three kinds of frames, whose order among each other is open
		queued, got := 0, []byte(nil)
		buffer := make([]byte, 0, joinBytes)
		var add func()
		write := func() {
			chunk := b.gather(buffer)
			for r.IntN(3) == 0 {
				add() // while the chunk is being written
			}
			n := len(chunk)
			if r.IntN(2) == 0 {
				n = r.IntN(len(chunk) + 1)
			}
			got = append(got, chunk[:n]...)
			b.consume(n)
		}
		add = func() {
			if queued >= 100 {
				return
			}
			size := r.IntN(300)
			if r.IntN(30) == 0 {
				size = joinBytes + r.IntN(1000)
			}
			kind := r.IntN(4) // 0: loose, 1: reliable, 2 and 3: of a stream
			payload := append(binary.BigEndian.AppendUint16([]byte{byte(kind)}, uint16(queued)), make([]byte, size)...)
			f := &delivery.Frame{Bytes: appendFrame(nil, opBinary, payload), Reliable: kind > 0}
			f.Track(window, 1)
			want[kind] = append(want[kind], byte(queued))
			switch kind {
			case 2:
				b.follow(rings[r.IntN(2)].Add(f))
			case 3:
				b.follow(rings[2].Add(f))
			default:
				b.add(f, false)
			}
			queued++
		}
		for queued < 100 {
			add()
			for r.IntN(3) == 0 && !b.empty() {
				write()
			}
		}
		b.last = []byte("end")
		for !b.empty() {
			write()
		}
		if window.Used() != 0 || b.loose != 0 || b.own != 0 || b.messages != 0 {
			t.Fatalf("seed %d: %d bytes are not done; %d, %d, %d are counted", seed, window.Used(), b.loose, b.own, b.messages)
		}
		rest, ended := bytes.CutSuffix(got, []byte("end"))
		if !ended {
			t.Fatalf("seed %d: the end is missing", seed)
		}
		var seen [4][]byte
		for len(rest) > 0 {
			if b.rewrite != nil {
				rest = rest[1:]
			}
			head, length := frameSize(rest)
			payload := rest[head : head+length]
			if rest[0]&rsv1 != 0 {
				var err error
				if payload, err = inflate(payload, 1<<20); err != nil {
					t.Fatal(err)
				}
			}
			seen[payload[0]] = append(seen[payload[0]], payload[2])
			rest = rest[head+length:]
		}
		for kind := range want {
			if !bytes.Equal(seen[kind], want[kind]) {
				t.Fatalf("seed %d, kind %d: got %v, want %v", seed, kind, seen[kind], want[kind])
			}
		}
	}
}

// TestBacklogKeepsChangesBehindNotices: a frame of a ring does not overtake a
// reliable frame, which may say something about it.
func TestBacklogKeepsChangesBehindNotices(t *testing.T) {
	var b backlog
	ring := new(delivery.Stream).Ring()
	b.follow(ring.Add(&delivery.Frame{Bytes: []byte("1"), Reliable: true}))
	b.add(&delivery.Frame{Bytes: []byte("2"), Reliable: true}, false)
	b.follow(ring.Add(&delivery.Frame{Bytes: []byte("3"), Reliable: true}))
	b.add(&delivery.Frame{Bytes: []byte("5")}, false)
	b.follow(ring.Add(&delivery.Frame{Bytes: []byte("4"), Reliable: true}))
	if got := string(b.gather(nil)); got != "12345" {
		t.Errorf("got %s", got)
	}
}
