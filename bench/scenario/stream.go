package scenario

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"fluxbase/bench/measure"
	"fluxbase/bench/socket"
)

// The markers in front of a message's number and its sending time, in
// nanoseconds, inside the payload that a scenario sends or writes.
var (
	numberMark = []byte(`"n":`)
	timeMark   = []byte(`"t":`)
)

// stream follows numbered messages to many connections: what arrived, how late,
// and what was lost, came twice or out of order. One socket loop owns it, except
// for the atomic counters.
type stream struct {
	latency measure.Histogram
	// last is the newest number that each connection saw.
	last []int64
	// received counts deliveries; arrived, when set, counts them per number.
	received atomic.Int64
	arrived  []atomic.Int32

	duplicates, disorder int64
	// seen, when set, remembers every number: for streams of few messages in
	// which some numbers may rightly be missing.
	seen map[int64]bool
}

func newStream(connections int) *stream {
	s := &stream{last: make([]int64, connections)}
	for i := range s.last {
		s.last[i] = -1
	}
	return s
}

// handle takes one message; those without number are not ours.
func (s *stream) handle(c *socket.Conn, message []byte) {
	n, ok := numberAfter(message, numberMark)
	if !ok {
		return
	}
	if sent, ok := numberAfter(message, timeMark); ok {
		s.latency.Record(time.Duration(time.Now().UnixNano() - sent))
	}
	if s.seen != nil {
		if s.seen[n] {
			s.duplicates++
			return
		}
		s.seen[n] = true
	}
	switch last := s.last[c.Index]; {
	case n > last:
		s.last[c.Index] = n
	case n == last:
		s.duplicates++
		return
	default:
		s.disorder++
	}
	if s.arrived != nil {
		s.arrived[int(n)%len(s.arrived)].Add(1)
	}
	s.received.Add(1)
}

// wait blocks until want deliveries were counted, or none came for idle.
func (s *stream) wait(ctx context.Context, want int64, idle time.Duration) {
	seen, since := s.received.Load(), time.Now()
	for seen < want && ctx.Err() == nil {
		time.Sleep(2 * time.Millisecond)
		if now := s.received.Load(); now != seen {
			seen, since = now, time.Now()
		} else if time.Since(since) > idle {
			return
		}
	}
}

// quality adds what a delivery promise is about.
func (s *stream) quality(row *measure.Row, want int64) {
	row.Set("lost", want-s.received.Load()).Set("duplicated", s.duplicates).Set("disordered", s.disorder)
}

// payload is a JSON object of about size bytes with number and sending time.
func payload(n int64, size int) []byte {
	p := fmt.Appendf(nil, `{"n":%d,"t":%d,"p":"`, n, time.Now().UnixNano())
	for len(p) < size-2 {
		p = append(p, 'x')
	}
	return append(p, '"', '}')
}

func numberAfter(message, mark []byte) (int64, bool) {
	at := bytes.Index(message, mark)
	if at < 0 {
		return 0, false
	}
	digits := message[at+len(mark):]
	end := 0
	for end < len(digits) && digits[end] >= '0' && digits[end] <= '9' {
		end++
	}
	n, err := strconv.ParseInt(string(digits[:end]), 10, 64)
	return n, err == nil
}
