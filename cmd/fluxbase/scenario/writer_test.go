package scenario

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// wildSchema is what the random writers write to: rows under policies over the
// row and the claims, a trigger that writes to its own table, a cascade, and a
// partitioned table.
const wildSchema = `
create table notes (
  id     bigint primary key,
  owner  uuid   not null,
  team   text,
  level  int    not null default 0,
  body   text
);
alter table notes enable row level security;
create policy own  on notes for select using (owner = auth.uid());
create policy team on notes for select using (team = auth.jwt() ->> 'team');

-- Writes to the table that fired it: the nested statement's change is logged
-- before the outer one's.
create function settle() returns trigger language plpgsql as $$
begin
  if new.level < 0 then
    update notes set level = -new.level, body = coalesce(new.body, '') || '!' where id = new.id;
  end if;
  return null;
end $$;
create trigger settle after insert or update on notes for each row execute function settle();

create table items (
  id    bigint primary key,
  note  bigint not null references notes on delete cascade on update cascade,
  owner uuid   not null,
  n     int    not null default 0
);
alter table items enable row level security;
create policy own on items for select using (owner = auth.uid());

create table parcels (
  id     bigint not null,
  region text   not null,
  owner  uuid   not null,
  weight int    not null default 0,
  primary key (id, region)
) partition by list (region);
create table parcels_north partition of parcels for values in ('north');
create table parcels_south partition of parcels for values in ('south', 'island');
create table parcels_rest  partition of parcels default;
alter table parcels enable row level security;
create policy own on parcels for select using (owner = auth.uid() or weight > 90);

grant select on notes, items, parcels to authenticated;`

var wildTables = []string{"notes", "items", "parcels"}

// maySee says in Go what the policies of wildSchema say in SQL.
func maySee(p *person) func(string, map[string]any) bool {
	return func(table string, row map[string]any) bool {
		if row["owner"] == p.id {
			return true
		}
		switch table {
		case "notes":
			return row["team"] != nil && row["team"] == p.team
		case "parcels":
			return number(row["weight"]) > 90
		default:
			return false
		}
	}
}

func number(v any) int64 {
	n, ok := v.(interface{ Int64() (int64, error) })
	if !ok {
		return 0
	}
	i, _ := n.Int64()
	return i
}

// scribble runs random transactions until ctx ends or the count is used up.
// Conflicts between writers are part of the game; anything else is an error.
func scribble(ctx context.Context, url string, people []*person, seed uint64, transactions int) error {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	r := rand.New(rand.NewPCG(seed, 99))
	for range transactions {
		if ctx.Err() != nil {
			return nil
		}
		if err := transaction(ctx, conn, people, r); err != nil && !conflict(err) {
			return err
		}
	}
	return nil
}

// conflict tells whether the error is one that concurrent writers cause each
// other: duplicate keys, missing parents, deadlocks.
func conflict(err error) bool {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return false
	}
	switch refused.Code {
	case "23505", "23503", "40P01", "40001", "21000":
		return true
	}
	return false
}

func transaction(ctx context.Context, conn *pgx.Conn, people []*person, r *rand.Rand) error {
	tx, err := conn.Begin(ctx)
	if err != nil {
		return err
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	for range 1 + r.IntN(4) {
		sql := statement(people, r)
		if r.IntN(5) > 0 {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%w in %s", err, sql)
			}
			continue
		}
		// A savepoint that is rolled back: its rows are in nobody's view.
		nested, err := tx.Begin(ctx)
		if err != nil {
			return err
		}
		_, failed := nested.Exec(ctx, sql)
		if failed != nil || r.IntN(2) == 0 {
			err = nested.Rollback(ctx)
		} else {
			err = nested.Commit(ctx)
		}
		if failed != nil && !conflict(failed) {
			return fmt.Errorf("%w in %s", failed, sql)
		}
		if err != nil {
			return err
		}
	}
	if r.IntN(10) == 0 {
		return tx.Rollback(ctx)
	}
	return tx.Commit(ctx)
}

// statement is a random statement over a small space of keys, so that writers
// meet.
func statement(people []*person, r *rand.Rand) string {
	owner := func() string { return "'" + people[r.IntN(len(people))].id + "'" }
	team := func() string {
		return []string{"null", "'red'", "'blue'", "'green'"}[r.IntN(4)]
	}
	id := func() int { return 1 + r.IntN(150) }
	region := func() string { return []string{"'north'", "'south'", "'island'", "'sea'"}[r.IntN(4)] }
	level := func() int { return r.IntN(20) - 4 }
	switch r.IntN(16) {
	case 0, 1:
		return fmt.Sprintf(`insert into notes values (%d, %s, %s, %d, 'new') on conflict do nothing`, id(), owner(), team(), level())
	case 2:
		return fmt.Sprintf(`insert into notes select i, %s, %s, i %% 7 - 1, repeat('x', %d) from generate_series(%d, %d) i
			on conflict (id) do update set owner = excluded.owner, level = notes.level + 1`, owner(), team(), r.IntN(3000), id(), id()+10)
	case 3:
		return fmt.Sprintf(`update notes set owner = %s where id between %d and %d`, owner(), id(), id())
	case 4:
		return fmt.Sprintf(`update notes set team = %s, level = %d where id %% 9 = %d`, team(), level(), r.IntN(9))
	case 5:
		return fmt.Sprintf(`delete from notes where id %% 11 = %d`, r.IntN(11))
	case 6:
		return fmt.Sprintf(`update notes set id = id + 1000 where id = %d and not exists (select from notes where id = %[1]d + 1000)`, id())
	case 7:
		return fmt.Sprintf(`update notes set id = id - 1000 where id = %d + 1000 and not exists (select from notes where id = %[1]d)`, id())
	case 8, 9:
		return fmt.Sprintf(`insert into items select %d, id, %s, 1 from notes where id = %d on conflict (id) do update set n = items.n + 1, owner = excluded.owner`,
			id(), owner(), id())
	case 10:
		return fmt.Sprintf(`delete from items where n > %d`, 1+r.IntN(4))
	case 11:
		return fmt.Sprintf(`merge into parcels p using (select i, %s::text as region, %s::uuid as owner from generate_series(%d, %d) i) s
			on p.id = s.i and p.region = s.region
			when matched and p.weight > 95 then delete
			when matched then update set weight = p.weight + 7, owner = s.owner
			when not matched then insert values (s.i, s.region, s.owner, s.i %% 100)`, region(), owner(), id(), id()+5)
	case 12:
		return fmt.Sprintf(`update parcels p set region = %s where id = %d
			and not exists (select from parcels q where q.id = p.id and q.region = %[1]s)`, region(), id())
	case 13:
		return fmt.Sprintf(`update parcels set weight = weight + %d, owner = %s where id %% 13 = %d`, r.IntN(30)-10, owner(), r.IntN(13))
	case 14:
		return fmt.Sprintf(`delete from parcels_south where id %% 7 = %d`, r.IntN(7))
	default:
		return fmt.Sprintf(`insert into parcels_north values (%d, 'north', %s, %d) on conflict do nothing`, id(), owner(), r.IntN(100))
	}
}
