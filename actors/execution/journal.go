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
	// wake is called with the first line that waits.
	wake func()

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

// say adds a line.
func (j *journal) say(level, message string, fields map[string]any) {
	line := store.Line{Level: level, Message: cut(message), At: time.Now()}
	if fields != nil {
		text, err := json.Marshal(fields)
		if err != nil {
			line.Message += " (" + err.Error() + ")"
		}
		line.Fields = text
	}
	j.mu.Lock()
	first := !j.off && len(j.lines) == 0
	if !j.off {
		j.count++
		j.lines = append(j.lines, line)
	}
	j.mu.Unlock()
	if first && j.wake != nil {
		j.wake()
	}
}

// hear adds what a function of the procedure said. Of a talkative one the first lines
// are kept.
func (j *journal) hear(n db.Notice) {
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
	count := j.count
	j.mu.Unlock()
	switch {
	case count < maxLines:
		j.say(level, n.Message, fields)
	case count == maxLines:
		j.say("warn", "further lines are left out", nil)
	}
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
