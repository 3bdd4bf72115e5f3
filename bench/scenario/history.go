package scenario

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
)

// historySchema makes a table under row-level security, and beside it a history
// of every committed version of its rows, which a row's lock keeps in order.
var historySchema = []string{
	`drop table if exists public.bench_crash, public.bench_history`,
	`drop sequence if exists public.bench_version`,
	`create sequence public.bench_version`,
	`create table public.bench_crash (id bigint primary key, owner uuid not null, shared boolean not null, level int not null, v bigint not null)`,
	`alter table public.bench_crash enable row level security`,
	`create policy see on public.bench_crash for select using (owner = auth.uid() or shared)`,
	`grant select on public.bench_crash to authenticated`,
	`create table public.bench_history (seq bigserial primary key, old jsonb, new jsonb)`,
	`create or replace function public.bench_remember() returns trigger language plpgsql as $$ begin
		insert into public.bench_history (old, new) values (to_jsonb(old), to_jsonb(new)); return null; end $$`,
	`create trigger remember after insert or update or delete on public.bench_crash for each row execute function public.bench_remember()`,
}

// historyRows is how many rows there are to write to.
const historyRows = 200

// historyWriter does one random transaction after another. A connection that is
// killed takes its transaction along, which then never happened.
type historyWriter struct {
	url    string
	users  []string
	random *rand.Rand
	every  time.Duration
}

func (w *historyWriter) run(ctx context.Context) error {
	for ctx.Err() == nil {
		conn, err := pgx.Connect(ctx, w.url)
		if err != nil {
			time.Sleep(50 * time.Millisecond)
			continue
		}
		for err == nil && ctx.Err() == nil {
			next := time.Now().Add(w.every)
			err = w.transaction(conn)
			time.Sleep(time.Until(next))
		}
		// It may be dead already.
		_ = conn.Close(context.WithoutCancel(ctx))
	}
	return nil
}

// transaction is not given a context that ends: whether it was committed must be
// seen through.
func (w *historyWriter) transaction(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	undone := errors.New("rolled back on purpose")
	err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		// Rows are locked in one order by all.
		at := 1 + w.random.IntN(historyRows)
		for range 1 + w.random.IntN(3) {
			if _, err := tx.Exec(ctx, w.statement(at)); err != nil {
				return err
			}
			if w.random.IntN(5) == 0 {
				err := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
					if _, err := tx.Exec(ctx, w.statement(at)); err != nil {
						return err
					}
					return undone
				})
				if !errors.Is(err, undone) {
					return err
				}
			}
			at += 5
		}
		if w.random.IntN(10) == 0 {
			return undone
		}
		return nil
	})
	if errors.Is(err, undone) {
		return nil
	}
	return err
}

func (w *historyWriter) statement(at int) string {
	owner := w.users[w.random.IntN(len(w.users))]
	level, shared := w.random.IntN(10), w.random.IntN(8) == 0
	switch w.random.IntN(6) {
	case 0:
		return fmt.Sprintf(`delete from public.bench_crash where id between %d and %d`, at, at+1)
	case 1, 2:
		return fmt.Sprintf(`update public.bench_crash set level = %d, v = nextval('bench_version') where id between %d and %d`, level, at, at+3)
	default:
		return fmt.Sprintf(`insert into public.bench_crash select g, '%s', %v, %d, nextval('bench_version') from generate_series(%d, %d) g
			on conflict (id) do update set owner = excluded.owner, shared = excluded.shared, level = excluded.level, v = excluded.v`, owner, shared, level, at, at+w.random.IntN(4))
	}
}

// version is a row as it was written once.
type version struct {
	ID     int64  `json:"id"`
	Owner  string `json:"owner"`
	Shared bool   `json:"shared"`
	Level  int    `json:"level"`
	V      int64  `json:"v"`
}

// history is what was committed, for each row in its order.
type history []struct{ old, new *version }

func readHistory(ctx context.Context, url string) (history, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select old::text, new::text from public.bench_history order by seq`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var h history
	for rows.Next() {
		var images [2]*string
		if err := rows.Scan(&images[0], &images[1]); err != nil {
			return nil, err
		}
		var versions [2]*version
		for i, image := range images {
			if image == nil {
				continue
			}
			if err := json.Unmarshal([]byte(*image), &versions[i]); err != nil {
				return nil, err
			}
		}
		h = append(h, struct{ old, new *version }{versions[0], versions[1]})
	}
	return h, rows.Err()
}

// sight is what one client may see and asked for.
type sight struct {
	user string
	// filtered leaves rows under level 5 out.
	filtered bool
}

func (s sight) sees(v *version) bool {
	return v != nil && (v.Owner == s.user || v.Shared) && (!s.filtered || v.Level >= 5)
}

// seen is one change in the eyes of a client. Version is 0 for a row that is gone
// or not in sight any more.
type seen struct {
	kind    string
	version int64
}

// sightings are the changes of each row in order.
type sightings struct {
	rows  map[int64][]seen
	count int
}

func (s *sightings) add(row int64, one seen) {
	s.rows[row] = append(s.rows[row], one)
	s.count++
}

// seenBy is what a client must have been told when everything was delivered.
func (h history) seenBy(s sight) sightings {
	all := sightings{rows: map[int64][]seen{}}
	for _, c := range h {
		before, after := s.sees(c.old), s.sees(c.new)
		switch {
		case before && after:
			all.add(c.new.ID, seen{"UPDATE", c.new.V})
		case after && c.old == nil:
			all.add(c.new.ID, seen{"INSERT", c.new.V})
		case after:
			all.add(c.new.ID, seen{"UPDATE entered", c.new.V})
		case before && c.new == nil:
			all.add(c.old.ID, seen{"DELETE", 0})
		case before:
			all.add(c.old.ID, seen{"DELETE left", 0})
		}
	}
	return all
}
