package operator_test

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/operator"
)

func session() operator.NewSession {
	return operator.NewSession{ID: uuid.NewString(), TTL: time.Hour}
}

func TestSetupSucceedsOnceHoweverManyTry(t *testing.T) {
	s := operator.New(dbtest.New(t).DB)
	if done, admin, err := s.Status(t.Context()); done || admin || err != nil {
		t.Fatalf("a new installation: %t, %t, %v", done, admin, err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			u, made, err := s.Setup(t.Context(), fmt.Sprintf("a%d@example.com", i), "Ada", "h", session())
			switch {
			case err == nil:
				won.Add(1)
				if u.Role != "instance_admin" || !u.EmailVerified || !u.Active || made.UserID != u.ID {
					t.Errorf("made %+v, %+v", u, made)
				}
			case !errors.Is(err, operator.ErrSetupDone):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d set-ups succeeded", won.Load())
	}
	if done, admin, err := s.Status(t.Context()); !done || !admin || err != nil {
		t.Errorf("afterwards: %t, %t, %v", done, admin, err)
	}
}

func TestSessionsRotateAndLock(t *testing.T) {
	s := operator.New(dbtest.New(t).DB)
	u, made, err := s.Setup(t.Context(), "ada@example.com", "Ada", "h", session())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []operator.Outcome{operator.Rotated, operator.Repeated} {
		got, who, now, err := s.Rotate(t.Context(), made.ID, 0, time.Hour, time.Minute)
		if got != want || who.ID != u.ID || now.Generation != 1 || err != nil {
			t.Errorf("rotation %d: %d, %+v, %v", i, got, now, err)
		}
	}
	if got, _, _, err := s.Rotate(t.Context(), made.ID, 0, time.Hour, 0); got != operator.Reused || err != nil {
		t.Errorf("after the grace: %d, %v", got, err)
	}
	if err := s.EndSession(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	if got, _, _, err := s.Rotate(t.Context(), made.ID, 1, time.Hour, time.Minute); got != operator.Gone || err != nil {
		t.Errorf("after the end: %d, %v", got, err)
	}
	for _, address := range []string{"ada@example.com", "nobody@example.com"} {
		for range 5 {
			l, err := s.Login(t.Context(), address)
			if err != nil || l.Locked {
				t.Fatalf("%s: %+v, %v", address, l, err)
			}
			if err := s.Fail(t.Context(), l, address, 5, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if l, err := s.Login(t.Context(), address); err != nil || !l.Locked {
			t.Errorf("%s after five failures: %+v, %v", address, l, err)
		}
	}
	if _, _, err := s.Enter(t.Context(), u.ID, "", session()); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Login(t.Context(), "ada@example.com"); err != nil || l.Locked || l.PasswordHash != "h" {
		t.Errorf("after a good sign-in: %+v, %v", l, err)
	}
}
