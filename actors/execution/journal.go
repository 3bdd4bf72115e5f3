package execution

import (
	"encoding/json"
	"strings"
	"sync"
	"time"

	"fluxbase/persistence/db"
	store "fluxbase/persistence/execution"
)

// Bounds of an execution's log.
const (
	maxLines     = 1000
	maxLineBytes = 8 << 10
)

// journal is what an execution has to say and has not written down yet. It is written
// to by the task that runs the procedure and emptied by the execution's actor.
type journal struct {
	mu    sync.Mutex
	id    string
	off   bool
	lines []store.Line
	count int
}

// belong says whose journal it is, as soon as that is known.
func (j *journal) belong(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.id = id
}

// execution is the id, empty when it is not known.
func (j *journal) execution() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.id
}

// say adds a line, and tells whether it is the first that waits.
func (j *journal) say(level, message string, fields map[string]any) (first bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.off {
		return false
	}
	line := store.Line{Level: level, Message: cut(message), At: time.Now()}
	if fields != nil {
		text, err := json.Marshal(fields)
		if err != nil {
			line.Message += " (" + err.Error() + ")"
		}
		line.Fields = text
	}
	return j.add(line)
}

func (j *journal) add(line store.Line) bool {
	j.count++
	j.lines = append(j.lines, line)
	return len(j.lines) == 1
}

// hear adds what a function of the procedure said. Of a talkative one the first lines
// are kept.
func (j *journal) hear(n db.Notice) (first bool) {
	level := "info"
	switch n.Severity {
	case "WARNING":
		level = "warn"
	case "DEBUG":
		level = "debug"
	}
	var fields map[string]any
	if n.Detail != "" || n.Hint != "" {
		fields = map[string]any{"detail": cut(n.Detail), "hint": cut(n.Hint)}
	}
	j.mu.Lock()
	full := j.count >= maxLines
	if j.count == maxLines {
		level, n.Message, fields, full = "warn", "further lines are left out", nil, false
	}
	j.mu.Unlock()
	return !full && j.say(level, n.Message, fields)
}

// take empties the journal.
func (j *journal) take() []store.Line {
	j.mu.Lock()
	defer j.mu.Unlock()
	lines := j.lines
	j.lines = nil
	return lines
}

func (j *journal) silence() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.off, j.lines = true, nil
}

// cut bounds a text, at the end of a character. PostgreSQL keeps no NUL.
func cut(text string) string {
	if len(text) > maxLineBytes {
		text = text[:maxLineBytes]
	}
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
}
