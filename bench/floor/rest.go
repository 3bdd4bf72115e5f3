package floor

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Rest serves the four statements of the rest scenario: token check, then role,
// claims and statement in one pipelined implicit transaction, JSON built by
// PostgreSQL; the statement of the graphql scenario in the same way; and the table of
// the export scenario, row by row. databaseURL is a login that may become authenticated.
func Rest(ctx context.Context, listener net.Listener, databaseURL, secret string) error {
	pool, err := pgxpool.New(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer pool.Close()
	mux := http.NewServeMux()
	serve := func(pattern string, status int, statement func(*http.Request) (string, []any, error)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			body, err := answer(r, pool, secret, statement)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Length", fmt.Sprint(len(body)))
			w.WriteHeader(status)
			// A client that hung up shows in the load generator.
			_, _ = io.WriteString(w, body)
		})
	}
	serve("GET /api/v1/tables/public/bench_rest/{id}", http.StatusOK, func(r *http.Request) (string, []any, error) {
		return `select row_to_json(t)::text from public.bench_rest t where id = $1`, []any{r.PathValue("id")}, nil
	})
	serve("GET /api/v1/tables/bench_rest", http.StatusOK, func(r *http.Request) (string, []any, error) {
		least := strings.TrimPrefix(r.URL.Query().Get("n"), "gte.")
		return `select coalesce(json_agg(row_to_json(t)), '[]')::text
		        from (select * from public.bench_rest where n >= $1 order by id limit 20) t`, []any{least}, nil
	})
	serve("POST /api/v1/tables/bench_rest", http.StatusCreated, func(r *http.Request) (string, []any, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return "", nil, err
		}
		if strings.HasPrefix(string(body), "[") {
			return `with inserted as (
			          insert into public.bench_rest (owner, n, body)
			          select owner, n, body from json_populate_recordset(null::public.bench_rest, $1) returning *)
			        select json_agg(row_to_json(inserted))::text from inserted`, []any{string(body)}, nil
		}
		return `with inserted as (
		          insert into public.bench_rest (owner, n, body)
		          select owner, n, body from json_populate_record(null::public.bench_rest, $1) returning *)
		        select row_to_json(inserted)::text from inserted`, []any{string(body)}, nil
	})
	mux.HandleFunc("POST /api/v1/graphql", func(w http.ResponseWriter, r *http.Request) {
		body, err := answer(r, pool, secret, func(r *http.Request) (string, []any, error) {
			// The document says what the statement says: it is read and not looked at.
			_, err := io.Copy(io.Discard, r.Body)
			return threeLevels, []any{5, 5, 5}, err
		})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		body = `{"data":{"benchAuthor":` + body + `}}`
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		_, _ = io.WriteString(w, body)
	})
	mux.HandleFunc("GET /api/v1/tables/bench_export/export", func(w http.ResponseWriter, r *http.Request) {
		if err := export(r.Context(), w, pool); err != nil {
			panic(http.ErrAbortHandler) // the load generator sees that the file has no end
		}
	})
	return http.Serve(listener, mux)
}

// threeLevels is the statement to which the server compiles the document of the
// graphql scenario.
const threeLevels = `
	select array_to_json(array(select row_to_json(item.*) from (
		select "bench_author"."id"::text as "id", "bench_author"."name" as "name",
		array_to_json(array(select row_to_json(item.*) from (
			select "bench_book_1"."id"::text as "id", "bench_book_1"."title" as "title",
			array_to_json(array(select row_to_json(item.*) from (
				select "bench_review_2"."id"::text as "id", "bench_review_2"."stars" as "stars", "bench_review_2"."body" as "body"
				from "public"."bench_review" as "bench_review_2"
				where "bench_review_2"."book_id" = "bench_book_1"."id" order by "bench_review_2"."id" limit $1) as item)) as "benchReview"
			from "public"."bench_book" as "bench_book_1"
			where "bench_book_1"."author_id" = "bench_author"."id" order by "bench_book_1"."id" limit $2) as item)) as "benchBook"
		from "public"."bench_author" order by "bench_author"."id" limit $3) as item))::text`

// export writes every row as PostgreSQL prints it.
func export(ctx context.Context, w http.ResponseWriter, pool *pgxpool.Pool) error {
	return pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, `set local role service_role`); err != nil {
			return err
		}
		rows, err := tx.Query(ctx, `select row_to_json(t)::text from public.bench_export t`)
		if err != nil {
			return err
		}
		defer rows.Close()
		out := bufio.NewWriterSize(w, 32<<10)
		separator := byte('[')
		for rows.Next() {
			// A writer keeps its first error.
			_ = out.WriteByte(separator)
			_, _ = out.Write(rows.RawValues()[0])
			separator = ','
		}
		_ = out.WriteByte(']')
		return errors.Join(rows.Err(), out.Flush())
	})
}

func answer(r *http.Request, pool *pgxpool.Pool, secret string, statement func(*http.Request) (string, []any, error)) (string, error) {
	claims := jwt.MapClaims{}
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	if _, err := jwt.ParseWithClaims(bearer, claims, func(*jwt.Token) (any, error) { return []byte(secret), nil },
		jwt.WithValidMethods([]string{"HS256"})); err != nil {
		return "", err
	}
	subject, err := claims.GetSubject()
	if err != nil {
		return "", err
	}
	encoded, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	sql, args, err := statement(r)
	if err != nil {
		return "", err
	}
	var batch pgx.Batch
	batch.Queue(`select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true), set_config('app.user_id', $2, true)`,
		string(encoded), subject)
	batch.Queue(sql, args...)
	results := pool.SendBatch(r.Context(), &batch)
	var body string
	_, first := results.Exec()
	second := results.QueryRow().Scan(&body)
	return body, errors.Join(first, second, results.Close())
}
