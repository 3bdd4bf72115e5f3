package changelog

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Snapshot says which transactions a statement saw, as PostgreSQL's pg_snapshot
// does. The zero Snapshot is none.
type Snapshot struct {
	text string
	max  uint64
	// running are those below max that it did not see, in ascending order.
	running []uint64
}

// ParseSnapshot reads the text form xmin:xmax:xip,xip,….
func ParseSnapshot(text string) (Snapshot, error) {
	wrong := fmt.Errorf("%q is no snapshot", text)
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Snapshot{}, wrong
	}
	if _, err := strconv.ParseUint(parts[0], 10, 64); err != nil {
		return Snapshot{}, wrong
	}
	top, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Snapshot{}, wrong
	}
	s := Snapshot{text: text, max: top}
	if parts[2] == "" {
		return s, nil
	}
	for one := range strings.SplitSeq(parts[2], ",") {
		xid, err := strconv.ParseUint(one, 10, 64)
		if err != nil || xid >= top || len(s.running) > 0 && xid <= s.running[len(s.running)-1] {
			return Snapshot{}, wrong
		}
		s.running = append(s.running, xid)
	}
	return s, nil
}

// makeSnapshot makes a snapshot of its parts. What PostgreSQL calls xmin says only
// where running begins.
func makeSnapshot(top uint64, running []uint64) Snapshot {
	low := top
	if len(running) > 0 {
		low = running[0]
	}
	s := Snapshot{max: top, running: running}
	s.text = strconv.FormatUint(low, 10) + ":" + strconv.FormatUint(top, 10) + ":" + s.list()
	return s
}

// String is the text form; empty for none.
func (s Snapshot) String() string { return s.text }

// IsZero tells whether there is no snapshot.
func (s Snapshot) IsZero() bool { return s.text == "" }

// Running tells whether transactions with an id were running: what they write
// will be seen by a later snapshot only.
func (s Snapshot) Running() bool { return len(s.running) > 0 }

// Within tells whether o saw everything that s saw. Of two snapshots of one log the
// earlier one is within the later.
func (s Snapshot) Within(o Snapshot) bool {
	if s.max > o.max {
		return false
	}
	for _, xid := range o.running {
		if xid >= s.max {
			break
		}
		if _, unseen := slices.BinarySearch(s.running, xid); !unseen {
			return false
		}
	}
	return true
}

// xmax and xip are the bounds of what the snapshot did not see, as texts that
// PostgreSQL reads as xid8 and xid8[].
func (s Snapshot) xmax() string { return strconv.FormatUint(s.max, 10) }
func (s Snapshot) xip() string  { return "{" + s.list() + "}" }

func (s Snapshot) list() string {
	b := make([]byte, 0, 12*len(s.running))
	for i, xid := range s.running {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, xid, 10)
	}
	return string(b)
}

var errShort = errors.New("cut short")

// appendBinary appends the snapshot in few bytes: counts and differences.
func (s Snapshot) appendBinary(b []byte) []byte {
	b = appendUint(appendUint(b, s.max), uint64(len(s.running)))
	above := s.max
	for i := len(s.running) - 1; i >= 0; i-- {
		b = appendUint(b, above-s.running[i])
		above = s.running[i]
	}
	return b
}

// snapshot reads what appendBinary wrote.
func (r *reader) snapshot() Snapshot {
	top, n := r.uint(), r.uint()
	if n > uint64(len(r.rest)) { // each takes a byte at least
		r.fail(errShort)
		return Snapshot{}
	}
	running := make([]uint64, n)
	for i := len(running) - 1; i >= 0; i-- {
		above := top
		if i < len(running)-1 {
			above = running[i+1]
		}
		d := r.uint()
		if d == 0 || d > above {
			r.fail(errors.New("ids of transactions out of order"))
			return Snapshot{}
		}
		running[i] = above - d
	}
	if len(running) == 0 {
		running = nil
	}
	return makeSnapshot(top, running)
}
