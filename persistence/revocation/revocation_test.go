package revocation_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/revocation"
)

// TestAReaderMissesNothingOfWritersAtOnce reads on from the last number while
// many write: a number that became visible late would never be read.
func TestAReaderMissesNothingOfWritersAtOnce(t *testing.T) {
	log := revocation.NewLog(dbtest.New(t).DB)
	const writers, each = 4, 50
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := log.Record(t.Context(), revocation.Entry{Kind: revocation.Session, Subject: fmt.Sprint(w, "-", i)}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	var last int64
	seen := map[string]bool{}
	for finished := false; !finished; {
		select {
		case <-done:
			finished = true
		default:
		}
		entries, err := log.Since(t.Context(), last)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			if e.Number <= last {
				t.Fatalf("number %d after %d", e.Number, last)
			}
			last = e.Number
			seen[e.Subject] = true
		}
	}
	if len(seen) != writers*each {
		t.Errorf("read %d of %d", len(seen), writers*each)
	}
}

func TestEndedEntriesAreNotRead(t *testing.T) {
	log := revocation.NewLog(dbtest.New(t).DB)
	tenant := uuid.NewString()
	hour := time.Now().Add(time.Hour).Truncate(time.Microsecond)
	err := log.Record(t.Context(),
		revocation.Entry{Kind: revocation.Session, Subject: "over", ExpiresAt: time.Now().Add(-2 * time.Hour)},
		revocation.Entry{Kind: revocation.User, Subject: "live", Tenant: tenant, ExpiresAt: hour},
		revocation.Entry{Kind: revocation.Key, Subject: "forever"})
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		entries, err := log.Since(t.Context(), 0)
		if err != nil || len(entries) != 2 {
			t.Fatalf("Since = %+v, %v", entries, err)
		}
		if e := entries[0]; e.Subject != "live" || e.Tenant != tenant || !e.ExpiresAt.Equal(hour) || time.Since(e.RevokedAt) > time.Minute {
			t.Errorf("entry = %+v", e)
		}
		if e := entries[1]; e.Subject != "forever" || !e.ExpiresAt.IsZero() || e.Tenant != "" {
			t.Errorf("entry = %+v", e)
		}
		if err := log.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}
