package revocation

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/revocation"
)

// memory is a Log without a database; while down it fails.
type memory struct {
	mu      sync.Mutex
	entries []store.Entry
	reads   int
	down    bool
}

var errDown = errors.New("database is down")

func (m *memory) Record(_ context.Context, entries ...store.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return errDown
	}
	for _, e := range entries {
		e.Number, e.RevokedAt = int64(len(m.entries)+1), time.Now()
		m.entries = append(m.entries, e)
	}
	return nil
}

func (m *memory) Since(_ context.Context, n int64) ([]store.Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.down {
		return nil, errDown
	}
	return append([]store.Entry(nil), m.entries[n:]...), nil
}

func (m *memory) Prune(context.Context) error { return nil }

func (m *memory) set(down bool) { m.mu.Lock(); m.down = down; m.mu.Unlock() }
func (m *memory) count() int    { m.mu.Lock(); defer m.mu.Unlock(); return m.reads }

func start(t *testing.T, o Options) *Registry {
	t.Helper()
	sys := kernel.NewSystem(kernel.SystemOptions{Name: "test"})
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := sys.Shutdown(ctx); err != nil {
			t.Error(err)
		}
	})
	r, err := Start(t.Context(), sys, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func bearer(session string) caller.Caller {
	return caller.Caller{SessionID: session, UserID: "u", TokenID: "j-" + session, IssuedAt: time.Now(), Source: caller.SourceToken}
}

func refused(t *testing.T, r *Registry, c caller.Caller, want fault.Code) {
	t.Helper()
	if err := r.Check(t.Context(), c); fault.CodeOf(err) != want {
		t.Errorf("Check(%s) = %v, want %q", c.SessionID, err, want)
	}
}

func TestRevokedHereIsRefusedAtOnce(t *testing.T) {
	log := &memory{}
	r := start(t, Options{Log: log})
	refused(t, r, bearer("s1"), "")
	if err := r.Revoke(t.Context(), store.Entry{Kind: store.Session, Subject: "s1"}); err != nil {
		t.Fatal(err)
	}
	refused(t, r, bearer("s1"), fault.RevokedToken)
	refused(t, r, bearer("s2"), "")
	if err := r.Revoke(t.Context(), store.Entry{Kind: store.Token, Subject: "j-s2"}); err != nil {
		t.Fatal(err)
	}
	refused(t, r, bearer("s2"), fault.RevokedToken)
}

func TestRevokingAUserSparesWhatHeGetsLater(t *testing.T) {
	r := start(t, Options{Log: &memory{}})
	if err := r.Revoke(t.Context(), store.Entry{Kind: store.User, Subject: "u"}); err != nil {
		t.Fatal(err)
	}
	refused(t, r, bearer("s1"), fault.RevokedToken)
	later := bearer("s1")
	later.IssuedAt = time.Now().Add(2 * time.Second)
	refused(t, r, later, "")
}

func TestRevokedElsewhereIsHeard(t *testing.T) {
	log := &memory{}
	r := start(t, Options{Log: log})
	heard := make(chan Revoked, 1)
	cancel := r.Watch(func(e Revoked) { heard <- e })
	defer cancel()
	if err := log.Record(t.Context(), store.Entry{Kind: store.Session, Subject: "s1"}); err != nil {
		t.Fatal(err)
	}
	r.Heard(1)
	select {
	case e := <-heard:
		if !e.Covers(bearer("s1")) || e.Covers(bearer("s2")) || e.Number != 1 {
			t.Errorf("heard %+v", e)
		}
	case <-time.After(Horizon):
		t.Fatal("nothing heard")
	}
	refused(t, r, bearer("s1"), fault.RevokedToken)
}

func TestWithoutBellThePollFindsItWithinTheHorizon(t *testing.T) {
	log := &memory{}
	r := start(t, Options{Log: log})
	if err := log.Record(t.Context(), store.Entry{Kind: store.Session, Subject: "s1"}); err != nil {
		t.Fatal(err)
	}
	time.Sleep(Horizon)
	refused(t, r, bearer("s1"), fault.RevokedToken)
}

func TestALostListenerAsksTheDatabase(t *testing.T) {
	log := &memory{}
	r := start(t, Options{Log: log})
	r.ListenerDown()
	if err := log.Record(t.Context(), store.Entry{Kind: store.Session, Subject: "s1"}); err != nil {
		t.Fatal(err)
	}
	// Whatever read was on its way when the listener died, the entry above was
	// committed before this check, and the check must know it unless a read that
	// began after the loss has already ended.
	r.deafAt.Store(int64(r.now()))
	refused(t, r, bearer("s1"), fault.RevokedToken)
}

func TestHotChecksCauseNoReads(t *testing.T) {
	log := &memory{}
	r := start(t, Options{Log: log})
	before := log.count()
	for range 10_000 {
		refused(t, r, bearer("s1"), "")
	}
	if n := log.count() - before; n > 20 {
		t.Errorf("10,000 checks caused %d reads", n)
	}
}

func TestADatabaseThatDoesNotAnswer(t *testing.T) {
	for _, open := range []bool{false, true} {
		log := &memory{}
		r := start(t, Options{Log: log, FailOpen: open})
		if err := r.Revoke(t.Context(), store.Entry{Kind: store.Session, Subject: "gone"}); err != nil {
			t.Fatal(err)
		}
		log.set(true)
		time.Sleep(Horizon + 100*time.Millisecond)
		want := fault.ServiceUnavailable
		if open {
			want = ""
			refused(t, r, bearer("gone"), fault.RevokedToken)
		}
		refused(t, r, bearer("s1"), want)
		if err := r.Check(t.Context(), bearer("s1")); err != nil && fault.From(err).RetryAfter == 0 {
			t.Error("nobody is told when to come back")
		}
		refused(t, r, caller.Anonymous(), "")
		log.set(false)
		refused(t, r, bearer("s1"), "")
	}
}

func TestPruningForgetsWhatHasEnded(t *testing.T) {
	s := newSet()
	now := time.Now()
	s.add([]store.Entry{
		{Kind: store.Session, Subject: "over", ExpiresAt: now.Add(-time.Second)},
		{Kind: store.Session, Subject: "live", ExpiresAt: now.Add(time.Hour)},
		{Kind: store.Key, Subject: "forever"},
		{Kind: store.Session, Subject: "twice", ExpiresAt: now.Add(time.Hour)},
		{Kind: store.Session, Subject: "twice", ExpiresAt: now.Add(-time.Hour)},
	})
	s.prune(now)
	for session, want := range map[string]bool{"over": false, "live": true, "twice": true} {
		if got := s.covers(bearer(session)); got != want {
			t.Errorf("covers(%s) = %t, want %t", session, got, want)
		}
	}
	if !s.covers(caller.Caller{KeyID: "forever"}) {
		t.Error("an entry without an end was forgotten")
	}
}
