package changelog

import (
	"encoding/json"
	"time"
)

// Type is what an entry of the log records.
type Type byte

// The types of entries.
const (
	Insert   Type = 'I'
	Update   Type = 'U'
	Delete   Type = 'D'
	Truncate Type = 'T'
	// Marker entries are about the tables themselves; see Entry.Mark.
	Marker Type = 'M'
)

// Entry is one logged row, TRUNCATE or marker.
type Entry struct {
	Place Place
	// Table is the id of the enabled table; 0 for markers.
	Table int32
	Type  Type
	// At is when the entry was logged.
	At time.Time
	// New and Old are the images of the row, JSON objects with every column; nil
	// where there is none.
	New, Old json.RawMessage
	// NewCut and OldCut tell that the row was too large and the image holds only
	// its key.
	NewCut, OldCut bool
}

// Mark is what a marker says.
type Mark struct {
	// Kind is what happened, for the log ("alter table", "enable").
	Kind string `json:"kind"`
	// Columns are the digests of the columns that the tables named by their ids
	// have from here on.
	Columns map[int32]string `json:"columns"`
}

// Mark reads a marker.
func (e *Entry) Mark() (Mark, error) {
	var m Mark
	err := json.Unmarshal(e.New, &m)
	return m, err
}
