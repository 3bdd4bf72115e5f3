package sql

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/postgres/npmtest"
)

// engine is a PostgreSQL that has pgvector and our functions.
type engine interface {
	// script runs statements without parameters.
	script(sql string) error
	// rows runs one statement and gives its rows as texts; NULL is nil.
	rows(sql string, args ...any) ([][]*string, error)
}

// engines runs a test on each PostgreSQL with pgvector that there is: the test server's,
// if it has the extension, and PGlite from npm.
func engines(t *testing.T, test func(t *testing.T, e engine)) {
	t.Run("server", func(t *testing.T) {
		t.Parallel()
		conn := serverEngine{connectTo(t, dbtest.Create(t))}
		available, err := conn.rows(`SELECT name FROM pg_available_extensions WHERE name = 'vector'`)
		if err != nil {
			t.Fatal(err)
		}
		if len(available) == 0 {
			t.Skip("the test server has no pgvector")
		}
		if err := conn.script(`CREATE EXTENSION vector`); err != nil {
			t.Fatal(err)
		}
		test(t, conn)
	})
	t.Run("pglite", func(t *testing.T) {
		t.Parallel()
		p := startPGlite(t)
		if err := p.script(`CREATE EXTENSION vector; CREATE SCHEMA app;
			CREATE ROLE anon; CREATE ROLE authenticated; CREATE ROLE service_role; CREATE ROLE tenant_service;` + vectorFunctions(t)); err != nil {
			t.Fatal(err)
		}
		test(t, p)
	})
}

// vectorFunctions is what the migration makes.
func vectorFunctions(t testing.TB) string {
	t.Helper()
	text, err := os.ReadFile("../../migration/tenant/0013_vector_distance.sql")
	if err != nil {
		t.Fatal(err)
	}
	up, _, _ := strings.Cut(string(text), "-- +goose Down")
	return up
}

func connectTo(t testing.TB, address string) *pgx.Conn {
	t.Helper()
	ctx := context.Background()
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(ctx) })
	return conn
}

// serverEngine is a server with the wire protocol.
type serverEngine struct{ *pgx.Conn }

func (e serverEngine) script(sql string) error {
	_, err := e.Exec(context.Background(), sql)
	return err
}

func (e serverEngine) rows(sql string, args ...any) ([][]*string, error) {
	rows, err := e.Query(context.Background(), sql, append([]any{pgx.QueryResultFormats{pgx.TextFormatCode}}, args...)...)
	if err != nil {
		return nil, stated(err)
	}
	defer rows.Close()
	out := [][]*string{}
	for rows.Next() {
		row := make([]*string, len(rows.RawValues()))
		for i, value := range rows.RawValues() {
			if value != nil {
				text := string(value)
				row[i] = &text
			}
		}
		out = append(out, row)
	}
	return out, stated(rows.Err())
}

// stated is an error as "SQLSTATE: message".
func stated(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return errors.New(pg.Code + ": " + pg.Message)
	}
	return err
}

// pglite is a PGlite in a Node process.
type pglite struct {
	in  io.Writer
	out *bufio.Reader
}

func startPGlite(t *testing.T) *pglite {
	t.Helper()
	folder := npmtest.Install(t, "pglite")
	const script = "testdata/pglite.mjs"
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "PACKAGES="+folder)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		if err := cmd.Wait(); err != nil {
			t.Errorf("pglite: %v", err)
		}
		cancel()
	})
	return &pglite{in: in, out: bufio.NewReader(out)}
}

func (p *pglite) script(sql string) error {
	_, err := p.ask(map[string]any{"script": sql})
	return err
}

func (p *pglite) rows(sql string, args ...any) ([][]*string, error) {
	texts := make([]any, len(args))
	for i, a := range args {
		texts[i] = fmt.Sprint(a)
	}
	return p.ask(map[string]any{"sql": sql, "args": texts})
}

func (p *pglite) ask(what any) ([][]*string, error) {
	line, err := json.Marshal(what)
	if err != nil {
		return nil, err
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		return nil, err
	}
	answer, err := p.out.ReadBytes('\n')
	if err != nil {
		return nil, fmt.Errorf("pglite does not answer: %w", err)
	}
	var out struct {
		Rows  [][]*string
		Error string
	}
	if err := json.Unmarshal(answer, &out); err != nil {
		return nil, err
	}
	if out.Error != "" {
		return nil, errors.New(out.Error)
	}
	return out.Rows, nil
}
