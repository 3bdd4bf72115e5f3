package changelog

import (
	"fmt"
	"strconv"
	"strings"
)

// Snapshot says which transactions a statement saw, as PostgreSQL's pg_snapshot
// does. The zero Snapshot is none.
type Snapshot struct {
	text    string
	max     uint64
	running []string
}

// ParseSnapshot reads the text form xmin:xmax:xip,xip,….
func ParseSnapshot(text string) (Snapshot, error) {
	parts := strings.Split(text, ":")
	if len(parts) != 3 {
		return Snapshot{}, fmt.Errorf("%q is no snapshot", text)
	}
	if _, err := strconv.ParseUint(parts[0], 10, 64); err != nil {
		return Snapshot{}, fmt.Errorf("%q is no snapshot", text)
	}
	top, err := strconv.ParseUint(parts[1], 10, 64)
	if err != nil {
		return Snapshot{}, fmt.Errorf("%q is no snapshot", text)
	}
	s := Snapshot{text: text, max: top}
	if parts[2] != "" {
		s.running = strings.Split(parts[2], ",")
		for _, xid := range s.running {
			if _, err := strconv.ParseUint(xid, 10, 64); err != nil {
				return Snapshot{}, fmt.Errorf("%q is no snapshot", text)
			}
		}
	}
	return s, nil
}

// String is the text form; empty for none.
func (s Snapshot) String() string { return s.text }

// IsZero tells whether there is no snapshot.
func (s Snapshot) IsZero() bool { return s.text == "" }

// Running tells whether transactions with an id were running: what they write
// will be seen by a later snapshot only.
func (s Snapshot) Running() bool { return len(s.running) > 0 }

// xmax and xip are the bounds of what the snapshot did not see, as texts that
// PostgreSQL reads as xid8 and xid8[].
func (s Snapshot) xmax() string { return strconv.FormatUint(s.max, 10) }
func (s Snapshot) xip() string  { return "{" + strings.Join(s.running, ",") + "}" }
