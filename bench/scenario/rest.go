package scenario

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"

	"github.com/spf13/pflag"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
	"fluxbase/bench/wire"
)

// restRows and restOwners make a table in which each owner sees 50 rows.
const (
	restRows   = 10000
	restOwners = 200
)

type restLoad struct {
	load
	only string
}

func rest() *Scenario {
	var l restLoad
	return &Scenario{
		Name:  "rest",
		Short: "REST calls under row-level security beside a floor server in the same run",
		Flags: func(f *pflag.FlagSet) {
			l.flags(f)
			f.StringVar(&l.only, "only", "", "one of get, list, insert, bulk")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			return l.run(ctx, t, r)
		},
	}
}

func (l restLoad) run(ctx context.Context, t *target.Target, r *measure.Report) error {
	owners, tokens, err := identities(t, restOwners)
	if err != nil {
		return err
	}
	if err := t.Exec(ctx,
		`drop table if exists public.bench_rest`,
		`create table public.bench_rest (id bigserial primary key, owner uuid not null, n int not null, body text not null, created_at timestamptz not null default now())`,
		fmt.Sprintf(`insert into public.bench_rest (owner, n, body)
			select ('{%s}'::uuid[])[1 + i %% %d], i, 'row ' || i from generate_series(0, %d) i`,
			strings.Join(owners, ","), restOwners, restRows-1),
		`create index on public.bench_rest (owner, id)`,
		`analyze public.bench_rest`,
		`alter table public.bench_rest enable row level security`,
		`create policy owner on public.bench_rest using (owner = auth.uid()) with check (owner = auth.uid())`,
		`grant select, insert, update, delete on public.bench_rest to authenticated`,
		`grant usage on sequence public.bench_rest_id_seq to authenticated`,
	); err != nil {
		return err
	}
	process, err := startFloor(ctx, t)
	if err != nil {
		return err
	}
	defer process.Close()
	for _, c := range calls(owners) {
		if l.only != "" && l.only != c.name {
			continue
		}
		if err := l.beside(ctx, t, process, c, tokens, r); err != nil {
			return err
		}
	}
	return nil
}

func calls(owners []string) []call {
	const list = "/api/v1/tables/bench_rest"
	row := func(owner int) string {
		return fmt.Sprintf(`{"owner":"%s","n":%d,"body":"a new row"}`, owners[owner], rand.IntN(1_000_000))
	}
	return []call{
		{"get", "get by id", 200, func(host, token string, owner int) []byte {
			id := 1 + owner + restOwners*rand.IntN(restRows/restOwners)
			return wire.Request("GET", host, fmt.Sprintf("/api/v1/tables/public/bench_rest/%d", id), token, "")
		}},
		{"list", "list 20, filter and order", 200, func(host, token string, _ int) []byte {
			return wire.Request("GET", host, list+fmt.Sprintf("?n=gte.%d&order=id.asc&limit=20", rand.IntN(3000)), token, "")
		}},
		{"insert", "insert one, returned", 201, func(host, token string, owner int) []byte {
			return wire.Request("POST", host, list, token, row(owner))
		}},
		{"bulk", "insert 100, returned", 201, func(host, token string, owner int) []byte {
			rows := make([]string, 100)
			for i := range rows {
				rows[i] = row(owner)
			}
			return wire.Request("POST", host, list, token, "["+strings.Join(rows, ",")+"]")
		}},
	}
}
