package measure

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

func TestQuantilesStayWithinABucket(t *testing.T) {
	var h Histogram
	all := make([]time.Duration, 20000)
	for i := range all {
		all[i] = time.Duration(rand.Int64N(int64(3 * time.Second)))
		h.Record(all[i])
	}
	slices.Sort(all)
	for _, q := range []float64{0, 0.5, 0.9, 0.99, 0.999, 1} {
		want := all[min(int(q*float64(len(all))), len(all)-1)]
		got := h.Quantile(q)
		if diff := (got - want).Abs(); diff > want/16+1 {
			t.Errorf("quantile %v = %v, want about %v", q, got, want)
		}
	}
	if h.Max() != all[len(all)-1] {
		t.Errorf("max = %v, want %v", h.Max(), all[len(all)-1])
	}
}

func TestMergeEqualsRecordingInOne(t *testing.T) {
	var a, b, both Histogram
	for i := range 1000 {
		d := time.Duration(i * i * 1000)
		both.Record(d)
		if i%2 == 0 {
			a.Record(d)
		} else {
			b.Record(d)
		}
	}
	a.Merge(&b)
	if a != both {
		t.Error("merged histogram differs from one that recorded everything")
	}
}
