// Package measure counts what a benchmark sees: latencies, deliveries, CPU time
// and memory of processes.
package measure

import (
	"math/bits"
	"time"
)

// subBuckets is the number of linear buckets within each power of two: values
// are kept with an error below 1/32.
const subBuckets = 32

// Histogram keeps durations in log-linear buckets. It is not safe for
// concurrent use: give each loop its own and Merge them. The zero value is
// ready.
type Histogram struct {
	buckets [64 * subBuckets]uint64
	count   uint64
	max     time.Duration
}

// Record adds one duration; negative ones count as zero.
func (h *Histogram) Record(d time.Duration) {
	if d < 0 {
		d = 0
	}
	h.buckets[bucket(uint64(d))]++
	h.count++
	if d > h.max {
		h.max = d
	}
}

// Merge adds all of o.
func (h *Histogram) Merge(o *Histogram) {
	for i, n := range o.buckets {
		h.buckets[i] += n
	}
	h.count += o.count
	h.max = max(h.max, o.max)
}

// Count is the number of recorded durations.
func (h *Histogram) Count() uint64 { return h.count }

// Max is the largest recorded duration.
func (h *Histogram) Max() time.Duration { return h.max }

// Quantile gives the duration below which the share q of all lie; 0 when empty.
func (h *Histogram) Quantile(q float64) time.Duration {
	if h.count == 0 {
		return 0
	}
	rank := uint64(q * float64(h.count))
	if rank >= h.count {
		rank = h.count - 1
	}
	var seen uint64
	for i, n := range h.buckets {
		seen += n
		if seen > rank {
			return min(time.Duration(lowest(i+1)), h.max)
		}
	}
	return h.max
}

func bucket(v uint64) int {
	if v < subBuckets {
		return int(v)
	}
	exponent := bits.Len64(v) - 6
	return (exponent+1)*subBuckets + int(v>>exponent) - subBuckets
}

func lowest(bucket int) uint64 {
	if bucket < subBuckets {
		return uint64(bucket)
	}
	exponent := bucket/subBuckets - 1
	return uint64(subBuckets+bucket%subBuckets) << exponent
}
