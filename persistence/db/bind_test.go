package db_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
)

// A statement that would return other columns than it says is not run, nor is what
// stands beside it.
func TestColumnsThatAreOthers(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	d.Exec(`CREATE TABLE a (id int, v uuid); GRANT ALL ON a TO service_role`)
	const insert = `INSERT INTO a VALUES (1, '` + alice + `') RETURNING id, v`
	id, v := db.Column{Name: "id", Type: pgtype.Int4OID}, db.Column{Name: "v", Type: pgtype.UUIDOID}
	for _, columns := range [][]db.Column{
		{}, {id}, {id, v, v}, {v, id}, {id, {Name: "v", Type: pgtype.TextOID}}, {id, {Name: "w", Type: pgtype.UUIDOID}},
	} {
		for range 2 { // once newly prepared, once prepared before
			err := d.DB.Run(t.Context(), d.Service(), db.Statement{SQL: `INSERT INTO a VALUES (0)`}, db.Statement{SQL: insert, Columns: columns})
			if !errors.Is(err, db.ErrColumns) {
				t.Errorf("%+v: %v", columns, err)
			}
		}
	}
	var texts []string
	err := d.DB.Run(t.Context(), d.Service(), db.Statement{SQL: insert, Columns: []db.Column{id, v}, Read: func(rows pgx.Rows) error {
		for rows.Next() {
			for _, value := range rows.RawValues() {
				texts = append(texts, string(value))
			}
		}
		return rows.Err()
	}})
	want := pgtype.UUID{}
	if failed := want.Scan(alice); err != nil || failed != nil || len(texts) != 2 || texts[0] != "1" || texts[1] != string(want.Bytes[:]) {
		t.Errorf("%q, %v", texts, err)
	}
	var n int
	if err := d.DB.RunRead(t.Context(), d.Service(), db.Statement{SQL: `SELECT count(*) FROM a`, Read: scan(&n)}); err != nil || n != 1 {
		t.Errorf("%d rows, %v, want the one of the statement that fits", n, err)
	}
}

// Parameters arrive as they were given, whichever way they are built: texts alone,
// beside whole numbers, and beside what only the driver knows to write.
func TestParameters(t *testing.T) {
	t.Parallel()
	d := dbtest.New(t)
	long := "é" + strings.Repeat("x", 10_000)
	for _, c := range []struct {
		sql  string
		args []any
		want string
	}{
		{`SELECT format('%L', $1::text)`, []any{""}, "''"},
		{`SELECT format('%L %s', $1::text, $2::text)`, []any{"", db.Text("x")}, "'' x"},
		{`SELECT format('%L', $1::text)`, []any{db.Text{}}, "''"},
		{`SELECT format('%L', $1::text)`, []any{nil}, "NULL"},
		{`SELECT $1::json ->> 'a'`, []any{db.Text(`{"a":"b"}`)}, "b"},
		{`SELECT ($1::json ->> 'a') || $2::bytea::text`, []any{db.Text(`{"a":"b"}`), []byte("x")}, `b\x78`},
		{`SELECT ($1::int8 + $2::int4)::text`, []any{int64(1) << 40, "1"}, "1099511627777"},
		{`SELECT ($1::int8 + $2::int4)::text`, []any{int64(-1), int32(-1)}, "-2"},
		{`SELECT $1::uuid::text`, []any{alice}, alice},
		{`SELECT length($1::text)::text || right($1, 3) || left($2, 2)`, []any{long, long}, "10001xxxéx"},
	} {
		var got string
		err := d.DB.RunRead(t.Context(), d.Service(), db.Statement{SQL: c.sql, Args: c.args, Read: scan(&got)})
		if err != nil || got != c.want {
			t.Errorf("%s with %.40q: %q, %v, want %q", c.sql, c.args, got, err, c.want)
		}
	}
}
