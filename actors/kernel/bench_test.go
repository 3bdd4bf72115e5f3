package kernel

import (
	"context"
	"sync/atomic"
	"testing"
)

func BenchmarkAsk(b *testing.B) {
	s := newTestSystem(b)
	r := spawn(b, s, each(func(c *Context, msg any) { c.Reply(msg) }))
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Ask[string](ctx, r, "x"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAskParallel(b *testing.B) {
	s := newTestSystem(b)
	r := spawn(b, s, each(func(c *Context, msg any) { c.Reply(msg) }))
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for pb.Next() {
			if _, err := Ask[string](ctx, r, "x"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkAskPool(b *testing.B) {
	s := newTestSystem(b)
	p := newPoolOf(b, s, 4, 1000, func(_ context.Context, msg any) (any, error) { return msg, nil })
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		for pb.Next() {
			if _, err := Ask[string](ctx, p, "x"); err != nil {
				b.Error(err)
			}
		}
	})
}

func BenchmarkTell(b *testing.B) {
	s := newTestSystem(b)
	done := make(chan struct{})
	var handled, want atomic.Int64
	want.Store(-1)
	p := each(func(_ *Context, msg any) {
		if _, ok := msg.(string); ok && handled.Add(1) == want.Load() {
			close(done)
		}
	})
	p.Limit = 1 << 30
	r := spawn(b, s, p)
	b.ReportAllocs()
	var sent int64
	for b.Loop() {
		_ = r.Tell("x")
		sent++
	}
	want.Store(sent + 1)
	_ = r.Tell("x")
	if handled.Load() != sent+1 {
		<-done
	}
}

// BenchmarkFanOut tells one message to 10,000 actors that intercept it, as
// connections do with frames.
func BenchmarkFanOut(b *testing.B) {
	s := newTestSystem(b)
	const receivers = 10_000
	refs := make([]Ref, receivers)
	var got [receivers]atomic.Int64
	for i := range refs {
		p := each(func(*Context, any) {})
		p.Intercept = func(msg any) bool {
			_, frame := msg.(*[]byte)
			if frame {
				got[i].Add(1)
			}
			return frame
		}
		refs[i] = spawn(b, s, p)
	}
	frame := &[]byte{1, 2, 3}
	b.ReportAllocs()
	for b.Loop() {
		for _, r := range refs {
			_ = r.Tell(frame)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/receiver")
}

func BenchmarkSpawnAndStop(b *testing.B) {
	s := newTestSystem(b)
	p := each(func(*Context, any) {})
	b.ReportAllocs()
	for b.Loop() {
		r := spawn(b, s, p)
		r.Stop()
		<-r.Done()
	}
}
