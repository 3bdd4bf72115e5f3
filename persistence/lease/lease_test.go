package lease

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"fluxbase/persistence/db/dbtest"
)

func setup(t *testing.T) (*dbtest.Database, *Store) {
	t.Helper()
	t.Parallel()
	d := dbtest.New(t)
	return d, NewStore(d.DB)
}

func session(t *testing.T, s *Store) *Session {
	t.Helper()
	x := s.Session()
	t.Cleanup(func() { _ = x.Close(context.Background()) })
	return x
}

func join(t *testing.T, x *Session, id string, ttl time.Duration) Node {
	t.Helper()
	n, err := x.Join(t.Context(), Node{ID: id, Name: id, Address: id + ":1"}, ttl)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func ids(nodes []Node) []string {
	var all []string
	for _, n := range nodes {
		all = append(all, n.ID)
	}
	return all
}

func TestLeaseLastsByTheDatabasesClockAndIsFenced(t *testing.T) {
	_, s := setup(t)
	x := session(t, s)
	a, b := join(t, x, "a", 300*time.Millisecond), join(t, x, "b", time.Minute)
	if b.Epoch <= a.Epoch {
		t.Errorf("epochs %d, %d do not rise", a.Epoch, b.Epoch)
	}
	alive, err := x.Renew(t.Context(), a, 300*time.Millisecond)
	if err != nil || !slices.Equal(ids(alive), []string{"a", "b"}) {
		t.Fatalf("alive %v, %v", ids(alive), err)
	}
	time.Sleep(400 * time.Millisecond)
	if _, err := x.Renew(t.Context(), a, time.Minute); !errors.Is(err, ErrLost) {
		t.Errorf("renewing a lease that ran out: %v", err)
	}
	if alive, err = x.Alive(t.Context()); err != nil || !slices.Equal(ids(alive), []string{"b"}) {
		t.Errorf("alive %v, %v", ids(alive), err)
	}
	if _, err := s.TakeHome(t.Context(), "room", "lobby", a); !errors.Is(err, ErrLost) {
		t.Errorf("taking a home without a lease: %v", err)
	}
	if err := x.Leave(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	if _, err := x.Renew(t.Context(), b, time.Minute); !errors.Is(err, ErrLost) {
		t.Errorf("renewing a lease that was given back: %v", err)
	}
}

func TestSessionSignsInAgainAfterItsConnectionDied(t *testing.T) {
	d, s := setup(t)
	x := session(t, s)
	a := join(t, x, "a", time.Minute)
	d.Exec(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'fluxbase_lease' AND datname = current_database()`)
	var err error
	for range 3 {
		if _, err = x.Renew(t.Context(), a, time.Minute); err == nil {
			return
		}
	}
	t.Error(err)
}

func TestEpochsOfAHomeRiseWhoeverTakesIt(t *testing.T) {
	_, s := setup(t)
	x := session(t, s)
	nodes := []Node{join(t, x, "a", time.Minute), join(t, x, "b", time.Minute), join(t, x, "c", time.Minute)}
	var mu sync.Mutex
	var taken []Home
	holder := map[uint64]string{}
	var all sync.WaitGroup
	for _, n := range nodes {
		all.Go(func() {
			for range 30 {
				h, err := s.TakeHome(t.Context(), "room", "lobby", n)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				taken = append(taken, h)
				holder[h.Epoch] = n.ID
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.SortFunc(taken, func(x, y Home) int { return int(x.Epoch) - int(y.Epoch) })
	for i, h := range taken {
		want := ""
		if i > 0 {
			if h.Epoch == taken[i-1].Epoch {
				t.Fatalf("epoch %d was given twice", h.Epoch)
			}
			want = holder[taken[i-1].Epoch]
		}
		if h.Previous != want {
			t.Fatalf("epoch %d follows %q, want %q: an epoch was given out of order", h.Epoch, h.Previous, want)
		}
	}
	last := taken[len(taken)-1]
	owner := nodes[slices.IndexFunc(nodes, func(n Node) bool { return n.ID == holder[last.Epoch] })]
	if err := s.ReleaseHomes(t.Context(), []Home{last}, owner); err != nil {
		t.Fatal(err)
	}
	h, err := s.TakeHome(t.Context(), "room", "lobby", nodes[0])
	if err != nil || h.Previous != "" || h.Epoch <= last.Epoch {
		t.Errorf("after the release: %+v, %v", h, err)
	}
}

func TestReleaseLeavesWhatSomebodyElseTook(t *testing.T) {
	_, s := setup(t)
	x := session(t, s)
	a, b := join(t, x, "a", time.Minute), join(t, x, "b", time.Minute)
	old, err := s.TakeHome(t.Context(), "room", "lobby", a)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.TakeHome(t.Context(), "room", "lobby", b); err != nil {
		t.Fatal(err)
	}
	if err := s.ReleaseHomes(t.Context(), []Home{old}, a); err != nil {
		t.Fatal(err)
	}
	if h, err := s.TakeHome(t.Context(), "room", "lobby", a); err != nil || h.Previous != "b" {
		t.Errorf("got %+v, %v", h, err)
	}
}

func TestJoiningClearsAwayTheLongDead(t *testing.T) {
	d, s := setup(t)
	x := session(t, s)
	a := join(t, x, "a", time.Minute)
	if _, err := s.TakeHome(t.Context(), "room", "lobby", a); err != nil {
		t.Fatal(err)
	}
	d.Exec(`UPDATE platform.cluster_nodes SET expires_at = clock_timestamp() - interval '2 minutes'`)
	join(t, x, "b", time.Minute)
	var nodes, homes int
	d.QueryRow(`SELECT count(*) FROM platform.cluster_nodes`, &nodes)
	d.QueryRow(`SELECT count(*) FROM platform.cluster_homes`, &homes)
	if nodes != 1 || homes != 0 {
		t.Errorf("%d nodes and %d homes are left", nodes, homes)
	}
}

func TestDifferentSecretsAreNamed(t *testing.T) {
	d, s := setup(t)
	ours := map[string][]byte{"auth.jwt_secret": []byte("one"), "encryption_key": []byte("two")}
	if err := CheckSecrets(t.Context(), dbtest.Empty(t), ours); err != nil {
		t.Errorf("an empty database: %v", err)
	}
	for range 2 {
		if err := s.NoteSecrets(t.Context(), ours); err != nil {
			t.Fatal(err)
		}
	}
	if err := CheckSecrets(t.Context(), d.AdminURL, ours); err != nil {
		t.Errorf("equal secrets: %v", err)
	}
	theirs := map[string][]byte{"auth.jwt_secret": []byte("one"), "encryption_key": []byte("other"), "realtime.cursor_key": []byte("new")}
	var different *DifferentError
	if err := CheckSecrets(t.Context(), d.AdminURL, theirs); !errors.As(err, &different) || !slices.Equal(different.Names, []string{"encryption_key"}) {
		t.Errorf("got %v", err)
	}
	if err := s.NoteSecrets(t.Context(), theirs); !errors.As(err, &different) {
		t.Errorf("got %v", err)
	}
}

func TestAllNodesGetOneAuthority(t *testing.T) {
	_, s := setup(t)
	var mu sync.Mutex
	made := byte(0)
	create := func() ([]byte, []byte, error) {
		mu.Lock()
		defer mu.Unlock()
		made++
		return []byte{made}, []byte{made, made}, nil
	}
	var all sync.WaitGroup
	keys := make([]string, 8)
	for i := range keys {
		all.Go(func() {
			c, k, err := s.Authority(t.Context(), dbtest.Key, create)
			if err != nil || len(k) != 2 || k[0] != c[0] {
				t.Errorf("got %v, %v, %v", c, k, err)
			}
			keys[i] = string(k)
		})
	}
	all.Wait()
	if len(slices.Compact(keys)) != 1 {
		t.Errorf("nodes got different authorities: %q", keys)
	}
}
