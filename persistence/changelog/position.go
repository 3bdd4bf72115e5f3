package changelog

import (
	"cmp"
	"fmt"
	"strings"
)

// Place is where an entry stands in the reading order of one read.
type Place struct {
	Order int64
	Depth int16
	ID    int64
}

// Compare orders places.
func (p Place) Compare(o Place) int {
	return cmp.Or(cmp.Compare(p.Order, o.Order), cmp.Compare(p.Depth, o.Depth), cmp.Compare(p.ID, o.ID))
}

// Position is a place in the log from which reading goes on. It is a value that
// means the same on every node, as long as the log's epoch is the same.
type Position struct {
	Epoch string
	// Seen is the snapshot up to which everything was delivered.
	Seen Snapshot
	// Reading is the snapshot whose entries are being delivered, when delivery
	// stopped in their middle; zero otherwise.
	Reading Snapshot
	// Last is the last entry delivered of those that Reading sees and Seen does
	// not.
	Last Place
}

// String is a text that ParsePosition reads.
func (p Position) String() string {
	text := p.Epoch + "/" + p.Seen.String()
	if !p.Reading.IsZero() {
		text += fmt.Sprintf("/%s/%d.%d.%d", p.Reading, p.Last.Order, p.Last.Depth, p.Last.ID)
	}
	return text
}

// ParsePosition reads what String wrote. The text must come from us: seal it
// before it is given away.
func ParsePosition(text string) (Position, error) {
	parts := strings.Split(text, "/")
	if len(parts) != 2 && len(parts) != 4 || parts[0] == "" {
		return Position{}, fmt.Errorf("%q is no position", text)
	}
	p := Position{Epoch: parts[0]}
	var err error
	if p.Seen, err = ParseSnapshot(parts[1]); err != nil {
		return Position{}, err
	}
	if len(parts) == 2 {
		return p, nil
	}
	if p.Reading, err = ParseSnapshot(parts[2]); err != nil {
		return Position{}, err
	}
	if _, err := fmt.Sscanf(parts[3], "%d.%d.%d", &p.Last.Order, &p.Last.Depth, &p.Last.ID); err != nil {
		return Position{}, fmt.Errorf("%q is no position", text)
	}
	return p, nil
}
