package key_test

import (
	"bytes"
	"fmt"
	"regexp"
	"sync"
	"testing"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/key"
	"fluxbase/persistence/seal"
)

func sealer(t *testing.T, current byte, retired ...byte) (*seal.Key, []byte) {
	t.Helper()
	var old [][]byte
	for _, b := range retired {
		old = append(old, bytes.Repeat([]byte{b}, seal.KeySize))
	}
	k, err := seal.NewKey(bytes.Repeat([]byte{current}, seal.KeySize), old...)
	if err != nil {
		t.Fatal(err)
	}
	return k, k.Derive("service keys", 32)
}

// TestNodesThatStartAtOnceHaveTheSameKeys also holds that what is stored finds
// the keys that were given out.
func TestNodesThatStartAtOnceHaveTheSameKeys(t *testing.T) {
	d := dbtest.New(t).DB
	s, pepper := sealer(t, 1)
	got := make([]key.Defaults, 8)
	var wg sync.WaitGroup
	for i := range got {
		wg.Go(func() {
			var err error
			if got[i], err = key.EnsureDefaults(t.Context(), d, s, pepper, key.Defaults{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, g := range got {
		if g != got[0] {
			t.Fatalf("two nodes have %v and %v", g, got[0])
		}
	}
	if !regexp.MustCompile(`^fb_anon_[0-9A-Za-z]{32}$`).MatchString(got[0].Anon) || !regexp.MustCompile(`^fb_gsk_[0-9A-Za-z]{32}$`).MatchString(got[0].Service) {
		t.Errorf("keys = %+v", got[0])
	}
	found(t, d, pepper, got[0])

	t.Run("a new encryption key keeps them", func(t *testing.T) {
		s, pepper := sealer(t, 2, 1)
		again, err := key.EnsureDefaults(t.Context(), d, s, pepper, key.Defaults{})
		if err != nil || again != got[0] {
			t.Fatalf("keys = %v, %v; want %v", again, err, got[0])
		}
		found(t, d, pepper, again)
	})
	t.Run("a foreign encryption key is an error", func(t *testing.T) {
		s, pepper := sealer(t, 3)
		if again, err := key.EnsureDefaults(t.Context(), d, s, pepper, key.Defaults{}); err == nil {
			t.Errorf("keys = %v", again)
		}
	})
	t.Run("configured keys replace them", func(t *testing.T) {
		s, pepper := sealer(t, 2, 1)
		want := key.Defaults{Anon: "fb_anon_mine", Service: "fb_gsk_mine"}
		if again, err := key.EnsureDefaults(t.Context(), d, s, pepper, want); err != nil || again != want {
			t.Fatalf("keys = %v, %v; want %v", again, err, want)
		}
		found(t, d, pepper, want)
	})
}

func found(t *testing.T, d *db.Database, pepper []byte, want key.Defaults) {
	t.Helper()
	keys, err := key.Active(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	have := map[string]bool{}
	for _, k := range keys {
		have[fmt.Sprint(k.Type, k.Digest)] = true
	}
	if len(keys) != 2 || !have[fmt.Sprint(key.Anon, key.DigestOf(pepper, want.Anon))] || !have[fmt.Sprint(key.Service, key.DigestOf(pepper, want.Service))] {
		t.Errorf("stored: %+v", keys)
	}
}
