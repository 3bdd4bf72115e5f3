package account_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/account"
	"fluxbase/persistence/db/dbtest"
)

const tenant = "11111111-1111-4111-8111-111111111111"

func session() account.NewSession {
	return account.NewSession{ID: uuid.NewString(), TTL: time.Hour, IP: "127.0.0.1", UserAgent: "test"}
}

func readOne(found *bool, targets ...any) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		for rows.Next() {
			*found = true
			if err := rows.Scan(targets...); err != nil {
				return err
			}
		}
		return rows.Err()
	}
}

func create(t *testing.T, s *account.Store, address string) (account.User, account.Session) {
	t.Helper()
	u, made, err := s.Create(t.Context(), account.NewUser{Email: address, PasswordHash: "h", UserMetadata: json.RawMessage(`{"a":1}`)}, session())
	if err != nil {
		t.Fatal(err)
	}
	return u, made
}

func TestAddressesAreUniquePerTenantWhateverTheirCase(t *testing.T) {
	d := dbtest.New(t).DB
	s := account.New(d, tenant)
	u, made := create(t, s, "ada@example.com")
	if u.Role != "authenticated" || u.EmailVerified || u.TenantID != tenant || made.UserID != u.ID || made.Generation != 0 {
		t.Errorf("created %+v, %+v", u, made)
	}
	_, _, err := s.Create(t.Context(), account.NewUser{Email: "ADA@Example.com", UserMetadata: json.RawMessage(`{}`)}, session())
	if !errors.Is(err, account.ErrEmailTaken) {
		t.Errorf("the same address again: %v", err)
	}
	elsewhere := account.New(d, "22222222-2222-4222-8222-222222222222")
	create(t, elsewhere, "ada@example.com")
	l, err := elsewhere.Login(t.Context(), "ada@example.com")
	if err != nil || l.UserID == "" || l.UserID == u.ID {
		t.Errorf("Login in the other tenant = %+v, %v", l, err)
	}
}

// TestOneOfManyRotationsWins holds that of rotations at once exactly one counts,
// that all of them end with the same generation, and that an old one is seen.
func TestOneOfManyRotationsWins(t *testing.T) {
	s := account.New(dbtest.New(t).DB, tenant)
	_, made := create(t, s, "ada@example.com")
	const n = 16
	outcomes := make([]account.Outcome, n)
	sessions := make([]account.Session, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			var err error
			outcomes[i], _, sessions[i], err = s.Rotate(t.Context(), made.ID, 0, time.Hour, time.Minute)
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	won := 0
	for i, o := range outcomes {
		switch o {
		case account.Rotated:
			won++
		case account.Repeated:
		default:
			t.Errorf("outcome %d = %d", i, o)
		}
		if sessions[i] != sessions[0] || sessions[i].Generation != 1 {
			t.Errorf("session %d = %+v, want %+v", i, sessions[i], sessions[0])
		}
	}
	if won != 1 {
		t.Errorf("%d rotations won", won)
	}
	if o, _, _, err := s.Rotate(t.Context(), made.ID, 0, time.Hour, 0); o != account.Reused || err != nil {
		t.Errorf("after the grace: %d, %v; want Reused", o, err)
	}
	if o, _, _, err := s.Rotate(t.Context(), made.ID, 1, time.Hour, time.Minute); o != account.Rotated || err != nil {
		t.Errorf("the newest: %d, %v; want Rotated", o, err)
	}
	if o, _, _, err := s.Rotate(t.Context(), made.ID, 0, time.Hour, time.Minute); o != account.Reused || err != nil {
		t.Errorf("two behind, within the grace: %d, %v; want Reused", o, err)
	}
	if o, _, _, err := s.Rotate(t.Context(), uuid.NewString(), 0, time.Hour, time.Minute); o != account.Gone || err != nil {
		t.Errorf("no session: %d, %v; want Gone", o, err)
	}
}

func TestFiveWrongPasswordsLockWhoeverItIs(t *testing.T) {
	s := account.New(dbtest.New(t).DB, tenant)
	u, _ := create(t, s, "ada@example.com")
	for _, address := range []string{"ada@example.com", "nobody@example.com"} {
		for i := range 5 {
			l, err := s.Login(t.Context(), address)
			if err != nil || l.Locked {
				t.Fatalf("%s before failure %d: %+v, %v", address, i+1, l, err)
			}
			if err := s.Fail(t.Context(), l, address, 5, time.Hour); err != nil {
				t.Fatal(err)
			}
		}
		if l, err := s.Login(t.Context(), address); err != nil || !l.Locked {
			t.Errorf("%s after five failures: %+v, %v", address, l, err)
		}
	}
	if _, _, err := s.Enter(t.Context(), u.ID, "new hash", session()); err != nil {
		t.Fatal(err)
	}
	if l, err := s.Login(t.Context(), "ada@example.com"); err != nil || l.Locked || l.PasswordHash != "new hash" {
		t.Errorf("after a good sign-in: %+v, %v", l, err)
	}
}

func TestUpdate(t *testing.T) {
	s := account.New(dbtest.New(t).DB, tenant)
	u, keep := create(t, s, "ada@example.com")
	create(t, s, "bob@example.com")
	var others []string
	for range 3 {
		_, made, err := s.Enter(t.Context(), u.ID, "", session())
		if err != nil {
			t.Fatal(err)
		}
		others = append(others, made.ID)
	}
	taken, free, hash := "BOB@example.com", "eve@example.com", "h2"
	if _, _, err := s.Update(t.Context(), u.ID, account.Change{Email: &taken}, keep.ID); !errors.Is(err, account.ErrEmailTaken) {
		t.Errorf("a taken address: %v", err)
	}
	got, ended, err := s.Update(t.Context(), u.ID, account.Change{UserMetadata: json.RawMessage(`{"b":{"c":2},"a":null}`)}, keep.ID)
	if err != nil || string(got.UserMetadata) != `{"b": {"c": 2}}` || len(ended) != 0 {
		t.Errorf("merge = %s, %v, %v", got.UserMetadata, ended, err)
	}
	got, ended, err = s.Update(t.Context(), u.ID, account.Change{Email: &free, PasswordHash: &hash}, keep.ID)
	if err != nil || got.Email != free || len(ended) != len(others) {
		t.Errorf("address and password: %+v, ended %v, %v", got, ended, err)
	}
	p, err := s.Proof(t.Context(), u.ID, keep.ID)
	if err != nil || p.PasswordHash != hash || time.Since(p.SignedInAt) > time.Minute {
		t.Errorf("Proof = %+v, %v", p, err)
	}
	if p, err := s.Proof(t.Context(), u.ID, others[0]); err != nil || !p.SignedInAt.IsZero() {
		t.Errorf("Proof by an ended session = %+v, %v", p, err)
	}
	if _, _, err := s.Update(t.Context(), uuid.NewString(), account.Change{}, ""); !errors.Is(err, account.ErrNotFound) {
		t.Errorf("no such user: %v", err)
	}
	all, err := s.EndAllSessions(t.Context(), u.ID)
	if err != nil || fmt.Sprint(all) != fmt.Sprint([]string{keep.ID}) {
		t.Errorf("EndAllSessions = %v, %v", all, err)
	}
	if err := s.Revoke(t.Context(), "session", all, time.Hour); err != nil {
		t.Error(err)
	}
}
