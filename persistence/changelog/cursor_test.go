package changelog

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
)

func cursors(t testing.TB, fill byte, tenant string) *Cursors {
	t.Helper()
	c, err := NewCursors(bytes.Repeat([]byte{fill}, CursorKeySize), tenant)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func snapshot(t testing.TB, text string) Snapshot {
	t.Helper()
	s, err := ParseSnapshot(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var (
	notes  = ScopeOf("public", "notes", "*", "")
	others = ScopeOf("public", "notes", "INSERT", "")
)

func sample(t testing.TB) []Cursor {
	return []Cursor{
		{Position: Position{Epoch: "00ff", Seen: snapshot(t, "5:5:")}, Table: 1, Signature: "c0ffee", Scopes: []Scope{notes}},
		{Position: Position{Epoch: "an epoch that is no digest", Seen: snapshot(t, "3:9:3,5,8"), Reading: snapshot(t, "18446744073709551614:18446744073709551615:18446744073709551614"),
			Last: Place{Order: 1 << 40, Depth: 3, ID: 1<<40 - 7}}, Table: 70000, Signature: "C0FFEE", Scopes: []Scope{others, notes}},
	}
}

func TestCursorsOpenWhatAnyNodeSealed(t *testing.T) {
	for _, want := range sample(t) {
		text := cursors(t, 1, "t").Seal(want)
		got, err := cursors(t, 1, "t").Open(text, notes)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		t.Logf("%d characters", len(text))
	}
	c := cursors(t, 1, "t")
	if first, second := c.Seal(sample(t)[0]), c.Seal(sample(t)[0]); first == second {
		t.Error("two cursors are equal")
	}
}

func TestCursorsRefuseWhatIsNotTheirs(t *testing.T) {
	c := cursors(t, 1, "t")
	text := c.Seal(sample(t)[0])
	for name, open := range map[string]func() (Cursor, error){
		"another subscription": func() (Cursor, error) { return c.Open(text, others) },
		"another tenant":       func() (Cursor, error) { return cursors(t, 1, "u").Open(text, notes) },
		"another key":          func() (Cursor, error) { return cursors(t, 2, "t").Open(text, notes) },
		"nothing":              func() (Cursor, error) { return c.Open("", notes) },
		"no base64":            func() (Cursor, error) { return c.Open("%", notes) },
		"too long":             func() (Cursor, error) { return c.Open(string(bytes.Repeat([]byte{'A'}, maxCursor+1)), notes) },
	} {
		if got, err := open(); !errors.Is(err, ErrCursor) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
	for i := range text {
		b := []byte(text)
		b[i] ^= 1
		if _, err := c.Open(string(b), notes); !errors.Is(err, ErrCursor) {
			t.Errorf("a change of character %d is accepted", i)
		}
	}
	if _, err := NewCursors([]byte("short"), "t"); err == nil {
		t.Error("a short key is taken")
	}
}

// FuzzOpenCursor opens what clients may send, and what a cursor may hold.
func FuzzOpenCursor(f *testing.F) {
	c := cursors(f, 1, "t")
	for _, one := range sample(f) {
		f.Add(c.Seal(one), one.appendBinary(nil))
	}
	f.Fuzz(func(t *testing.T, text string, plain []byte) {
		if got, err := c.Open(text, notes); err == nil && !slices.Contains(got.Scopes, notes) {
			t.Fatalf("%q opens to %+v", text, got)
		}
		got, err := readCursor(plain)
		if err != nil {
			return
		}
		again, err := readCursor(got.appendBinary(nil))
		if err != nil || !reflect.DeepEqual(again, got) {
			t.Fatalf("%x reads as %+v, written again as %+v, %v", plain, got, again, err)
		}
		for _, s := range []Snapshot{got.Position.Seen, got.Position.Reading} {
			if parsed, err := ParseSnapshot(s.String()); !s.IsZero() && (err != nil || !reflect.DeepEqual(parsed, s)) {
				t.Fatalf("%+v prints as %s: %v", s, s, err)
			}
		}
	})
}

func TestSnapshotWithin(t *testing.T) {
	for _, c := range []struct {
		s, o string
		want bool
	}{
		{"5:5:", "5:5:", true}, {"5:5:", "6:6:", true}, {"6:6:", "5:5:", false},
		{"4:6:4", "6:6:", true}, {"6:6:", "4:6:4", false}, {"4:6:4", "4:9:4,7", true},
		{"4:6:4", "5:9:5", false}, {"4:6:4,5", "5:9:5", true},
	} {
		if got := snapshot(t, c.s).Within(snapshot(t, c.o)); got != c.want {
			t.Errorf("%s within %s: %t", c.s, c.o, got)
		}
	}
	// As PostgreSQL says it: what is within sees no transaction that the other does not.
	random := rand.New(rand.NewPCG(1, 2))
	sees := func(s Snapshot, xid uint64) bool {
		return xid < s.max && !slices.Contains(s.running, xid)
	}
	for range 2000 {
		some := func() Snapshot {
			top := 1 + random.Uint64N(8)
			var running []uint64
			for xid := range top {
				if random.IntN(3) == 0 {
					running = append(running, xid)
				}
			}
			return makeSnapshot(top, running)
		}
		a, b := some(), some()
		want := true
		for xid := range uint64(10) {
			want = want && (!sees(a, xid) || sees(b, xid))
		}
		// A snapshot with a larger xmax may see nothing there: it counts as not within.
		if got := a.Within(b); got && !want || !got && want && a.max <= b.max {
			t.Errorf("%s within %s: %t", a, b, got)
		}
	}
}

func BenchmarkSealCursor(b *testing.B) {
	c, one := cursors(b, 1, "t"), sample(b)[1]
	b.ReportAllocs()
	for b.Loop() {
		c.Seal(one)
	}
}
