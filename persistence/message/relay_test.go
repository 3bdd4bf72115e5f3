package message

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db/dbtest"
)

// drain reads up to the end and gives the payloads.
func drain(t *testing.T, r *Relay, at Place, limit Limit) (string, Place) {
	t.Helper()
	var got []string
	for {
		b, err := r.Read(t.Context(), at, limit)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range b.Messages {
			got = append(got, string(m.Payload))
		}
		at = b.Next
		if !b.More {
			return strings.Join(got, " "), at
		}
	}
}

func TestRelay(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	s := New(d.DB)
	d.Exec(`SELECT realtime.send('"before there was a relay"', 'e', 't')`)
	r, at, err := s.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	d.Exec(`SELECT realtime.send(to_jsonb(i), 'e', 't', i % 2 = 0) FROM generate_series(1, 7) AS i;
		INSERT INTO realtime.messages (topic, extension, payload) VALUES ('t', 'presence', '0')`)
	if got, _ := drain(t, r, at, Limit{Messages: 3}); got != "1 2 3 4 5 6 7" {
		t.Errorf("in threes: %s", got)
	}
	if got, _ := drain(t, r, at, Limit{Bytes: 1}); got != "1 2 3 4 5 6 7" {
		t.Errorf("byte by byte: %s", got)
	}
	b, err := r.Read(t.Context(), at, Limit{Messages: 4})
	if err != nil {
		t.Fatal(err)
	}
	if m := b.Messages[1]; !m.Private || m.Topic != "t" || m.Event != "e" || m.ID == "" || b.Messages[0].Private {
		t.Errorf("got %+v", b.Messages)
	}
	if err := r.Save(t.Context(), b.Next); err != nil {
		t.Fatal(err)
	}
	// Another one goes on in the middle, and the first one may no more.
	next, at, err := s.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := drain(t, next, at, Limit{}); got != "5 6 7" {
		t.Errorf("the next one: %s", got)
	}
	if _, err := r.Read(t.Context(), at, Limit{}); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the first one reads: %v", err)
	}
	if err := r.Save(t.Context(), at); !errors.Is(err, ErrSuperseded) {
		t.Errorf("the first one saves: %v", err)
	}
	// In a copy of the database nothing is sent again.
	d.Exec(`UPDATE realtime.log_state SET random_id = gen_random_uuid()`)
	copied, at, err := s.Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := drain(t, copied, at, Limit{}); got != "" {
		t.Errorf("in a copy: %s", got)
	}
}

// Whatever is committed in whatever order is read once, and messages of one writer
// in the order in which it sent them.
func TestRelayMissesNothing(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	r, at, err := New(d.DB).Claim(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 40
	var writing sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			d.Admin(func(ctx context.Context, c *pgx.Conn) error {
				for i := range each {
					tx, err := c.Begin(ctx)
					if err != nil {
						return err
					}
					if _, err := tx.Exec(ctx, `SELECT realtime.send(to_jsonb($1::text), 'e', 't')`, fmt.Sprintf("%d/%02d", w, i)); err != nil {
						return err
					}
					if i%5 == 4 {
						err = tx.Rollback(ctx)
					} else {
						err = tx.Commit(ctx)
					}
					if err != nil {
						return err
					}
				}
				return nil
			})
		})
	}
	done := make(chan struct{})
	go func() { writing.Wait(); close(done) }()
	var all []string
	for last := false; ; {
		var got string
		got, at = drain(t, r, at, Limit{Messages: 7})
		all = append(all, strings.Fields(got)...)
		if last {
			break
		}
		select {
		case <-done:
			last = true
		default:
		}
	}
	if want := writers * each * 4 / 5; len(all) != want {
		t.Errorf("read %d messages, want %d", len(all), want)
	}
	last := map[byte]string{}
	for _, m := range all {
		if m <= last[m[1]] {
			t.Errorf("%s after %s", m, last[m[1]])
		}
		last[m[1]] = m
	}
}
