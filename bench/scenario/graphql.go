package scenario

import (
	"context"
	"fmt"
	"strings"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
	"fluxbase/bench/wire"
)

// graphqlOwners see each so many rows of three tables, one below the other.
const (
	graphqlOwners = 100
	graphqlRows   = 5
)

// threeLevels is a document whose rows are nested in three levels.
const threeLevels = `{ benchAuthor(limit: 5, orderBy: {id: ASC}) { id name benchBook(limit: 5, orderBy: {id: ASC}) { id title benchReview(limit: 5, orderBy: {id: ASC}) { id stars body } } } }`

func graphql() *Scenario {
	var l load
	return &Scenario{
		Name:  "graphql",
		Short: "A query of three levels under row-level security beside the statement alone",
		Flags: l.flags,
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			owners, tokens, err := identities(t, graphqlOwners)
			if err != nil {
				return err
			}
			statements := []string{
				`drop table if exists public.bench_review, public.bench_book, public.bench_author`,
				`create table public.bench_author (id bigserial primary key, owner uuid not null, name text not null)`,
				`create table public.bench_book (id bigserial primary key, owner uuid not null, author_id bigint not null references public.bench_author, title text not null)`,
				`create table public.bench_review (id bigserial primary key, owner uuid not null, book_id bigint not null references public.bench_book, stars int not null, body text not null)`,
				fmt.Sprintf(`insert into public.bench_author (owner, name)
					select owner::uuid, 'author ' || i from unnest('{%s}'::text[]) owner, generate_series(1, %d) i`, strings.Join(owners, ","), graphqlRows),
				fmt.Sprintf(`insert into public.bench_book (owner, author_id, title) select owner, id, 'book ' || i from public.bench_author, generate_series(1, %d) i`, graphqlRows),
				fmt.Sprintf(`insert into public.bench_review (owner, book_id, stars, body) select owner, id, i, 'a review' from public.bench_book, generate_series(1, %d) i`, graphqlRows),
				`create index on public.bench_author (owner, id)`,
				`create index on public.bench_book (author_id, id)`,
				`create index on public.bench_review (book_id, id)`,
			}
			for _, table := range []string{"bench_author", "bench_book", "bench_review"} {
				statements = append(statements,
					`analyze public.`+table,
					`alter table public.`+table+` enable row level security`,
					`create policy owner on public.`+table+` using (owner = auth.uid())`,
					`grant select on public.`+table+` to authenticated`)
			}
			if err := t.Exec(ctx, statements...); err != nil {
				return err
			}
			process, err := startFloor(ctx, t)
			if err != nil {
				return err
			}
			defer process.Close()
			return l.beside(ctx, t, process, call{title: "query of three levels", status: 200, request: func(host, token string, _ int) []byte {
				return wire.Request("POST", host, "/api/v1/graphql", token, fmt.Sprintf(`{"query":%q}`, threeLevels))
			}}, tokens, r)
		},
	}
}
