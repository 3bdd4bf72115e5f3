package replay

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"fluxbase/actors/table"
	"fluxbase/persistence/changelog"
)

// script records what a core makes happen.
type script struct{ log []string }

func (s *script) note(format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf(format, args...))
}

func at(p changelog.Position) string {
	text := p.Seen.String()
	if !p.Reading.IsZero() {
		text += fmt.Sprintf(" up to %s behind %d", p.Reading, p.Last.ID)
	}
	return text
}

func (s *script) readRows(place)              { s.note("read rows") }
func (s *script) readPage(from place)         { s.note("read from %s", at(from.at)) }
func (s *script) ready(p place)               { s.note("ready at %s", at(p.at)) }
func (s *script) release()                    { s.note("release") }
func (s *script) fail(err error)              { s.note("fail: %v", err) }
func (s *script) attach(p changelog.Position) { s.note("attach at %s", at(p)) }
func (s *script) push(frames []table.Encoded, paced bool) {
	text := ""
	for _, f := range frames {
		text += string(f.Bytes[:1])
	}
	if !paced {
		text += " at once"
	}
	s.note("push %s", text)
}

func (s *script) take() string {
	out := strings.Join(s.log, " | ")
	s.log = nil
	return out
}

func snapshot(text string) changelog.Snapshot {
	s, err := changelog.ParseSnapshot(text)
	if err != nil {
		panic(err)
	}
	return s
}

// whole is the place where everything that a snapshot sees was read, partly one in
// the middle of what another one sees.
func whole(seen string) place { return place{at: changelog.Position{Seen: snapshot(seen)}} }
func partly(seen, reading string, last int64) place {
	p := whole(seen)
	p.at.Reading, p.at.Last = snapshot(reading), changelog.Place{ID: last}
	return p
}

func read(next place, entries int, frames ...string) page {
	p := page{next: next, entries: entries}
	for _, f := range frames {
		p.frames = append(p.frames, table.Encoded{Bytes: []byte(f)})
	}
	return p
}

type step struct {
	do   func(c *core)
	want string
}

func run(t *testing.T, c *core, s *script, steps []step) {
	t.Helper()
	for i, step := range steps {
		step.do(c)
		if got := s.take(); got != step.want {
			t.Fatalf("step %d:\n got  %s\n want %s", i, got, step.want)
		}
	}
}

func start(c *core)                 { c.read() }
func begin(c *core)                 { c.begin() }
func sent(c *core)                  { c.sent() }
func recast(c *core)                { _ = c.recast() }
func comes(p page) func(*core)      { return func(c *core) { c.page(p) } }
func attached(s string) func(*core) { return func(c *core) { c.attached(snapshot(s)) } }

func TestFromACursorInTheMiddleToThePresent(t *testing.T) {
	s := &script{}
	run(t, newCore(s, partly("5:5:", "8:8:", 3), false), s, []step{
		{start, "read from 5:5: up to 8:8: behind 3"},
		{comes(read(whole("8:8:"), 2, "a")), "ready at 5:5: up to 8:8: behind 3"},
		// The client knows of the subscription before it gets anything.
		{begin, "push a"},
		// What was left of an older snapshot is done: now to the present, in pages.
		{sent, "read from 8:8:"},
		{comes(read(partly("8:8:", "9:9:", 7), 300, "b")), "push b"},
		{sent, "read from 8:8: up to 9:9: behind 7"},
		{comes(read(whole("9:9:"), 10, "c")), "push c"},
		// That was no short round.
		{sent, "read from 9:9:"},
		{comes(read(whole("10:10:"), 1, "d")), "push d"},
		{sent, "attach at 10:10:"},
		// The last of it is not paced: others may wait for it.
		{attached("12:12:"), "read from 10:10: up to 12:12: behind 0"},
		{comes(read(partly("10:10:", "12:12:", 20), 500, "e")), "push e at once | read from 10:10: up to 12:12: behind 20"},
		{comes(read(whole("12:12:"), 1, "f")), "push f at once | release"},
		{recast, ""},
	})
}

func TestNothingMissed(t *testing.T) {
	s := &script{}
	run(t, newCore(s, whole("5:5:"), false), s, []step{
		{start, "read from 5:5:"},
		{comes(read(whole("5:5:"), 0)), "ready at 5:5:"},
		{begin, "attach at 5:5:"},
		{attached("5:5:"), "release"},
	})
}

func TestATableThatIsAlwaysWrittenToIsReachedAllTheSame(t *testing.T) {
	s := &script{}
	c := newCore(s, whole("1:1:"), false)
	c.begin()
	start(c)
	for n := 2; n < 2+maxRounds; n++ {
		c.page(read(whole(fmt.Sprintf("%d:%d:", n, n)), shortRound))
	}
	if got := s.take(); !strings.HasSuffix(got, " | attach at 6:6:") || strings.Count(got, "read from") != maxRounds {
		t.Errorf("got %s", got)
	}
}

func TestRowsThenChanges(t *testing.T) {
	s := &script{}
	big := strings.Repeat("a", burstBytes)
	run(t, newCore(s, place{}, true), s, []step{
		{start, "read rows"},
		{comes(read(whole("5:5:"), 0, big, "b", "c")), "ready at 5:5:"},
		{begin, "push a"},
		{sent, "push bc"},
		{sent, "read from 5:5:"},
		{comes(read(whole("6:6:"), 1, "d")), "push d"},
		{sent, "attach at 6:6:"},
		{attached("6:6:"), "release"},
	})
}

func TestAnotherCallerGetsNothingThatWasJudgedForTheOneBefore(t *testing.T) {
	s := &script{}
	// Changes that were read and not sent are read again; what is under way stays.
	run(t, newCore(s, whole("5:5:"), false), s, []step{
		{start, "read from 5:5:"},
		{comes(read(whole("6:6:"), 1, "a")), "ready at 5:5:"},
		{recast, "read from 5:5:"},
		{begin, ""},
		{comes(read(whole("6:6:"), 1, "A")), "push A"},
		{recast, ""},
		{sent, "attach at 6:6:"},
		{recast, ""},
		{attached("7:7:"), "read from 6:6: up to 7:7: behind 0"},
		{recast, "read from 6:6: up to 7:7: behind 0"},
		{comes(read(whole("7:7:"), 1, "B")), "push B at once | release"},
	})
	// Rows are sent from the beginning.
	big := strings.Repeat("a", burstBytes)
	run(t, newCore(s, place{}, true), s, []step{
		{begin, ""},
		{start, "read rows"},
		{comes(read(whole("5:5:"), 0, big, "b")), "ready at 5:5: | push a"},
		{recast, "read rows"},
		{sent, ""},
		{comes(read(whole("6:6:"), 0, "A")), "push A"},
		{sent, "read from 6:6:"},
		{recast, "read rows"},
		{comes(read(whole("7:7:"), 0, "B")), "push B"},
		{sent, "read from 7:7:"},
	})
}

func TestAFailureIsTheEnd(t *testing.T) {
	s := &script{}
	run(t, newCore(s, whole("5:5:"), false), s, []step{
		{begin, ""},
		{start, "read from 5:5:"},
		{func(c *core) { c.failed(errors.New("too old")) }, "fail: too old"},
		{recast, ""},
		{begin, ""},
		{func(c *core) { c.failed(errors.New("again")) }, ""},
	})
}
