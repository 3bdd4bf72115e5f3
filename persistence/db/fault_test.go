package db_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/db"
	"fluxbase/persistence/db/dbtest"
	"fluxbase/persistence/fault"
)

func TestFaultOfEveryClass(t *testing.T) {
	for state, want := range map[string]fault.Code{
		"00000": fault.DatabaseError,
		"08006": fault.ServiceUnavailable,
		"09000": fault.DatabaseError,
		"0A000": fault.InvalidQuery,
		"0L000": fault.InsufficientPermissions,
		"0P000": fault.InsufficientPermissions,
		"21000": fault.InvalidInput,
		"22000": fault.InvalidInput, "22001": fault.InvalidInput, "22003": fault.InvalidInput, "22P02": fault.InvalidInput, "22012": fault.InvalidInput,
		"23000": fault.CheckViolation, "23001": fault.ForeignKeyViolation, "23502": fault.NotNullViolation,
		"23503": fault.ForeignKeyViolation, "23505": fault.DuplicateKey, "23514": fault.CheckViolation, "23P01": fault.Conflict,
		"25001": fault.DatabaseError, "25006": fault.ReadOnlyRelation, "25P03": fault.Timeout,
		"28P01": fault.ServiceUnavailable,
		"2D000": fault.DatabaseError,
		"38000": fault.DatabaseError, "39000": fault.DatabaseError, "3B000": fault.DatabaseError,
		"3F000": fault.NotFound,
		"40001": fault.Conflict, "40P01": fault.Conflict,
		"42501": fault.InsufficientPermissions, "42601": fault.InvalidQuery, "42703": fault.UnknownColumn,
		"42883": fault.InvalidQuery, "42P01": fault.TableNotFound, "42P02": fault.InvalidQuery, "42P07": fault.AlreadyExists,
		"42P17": fault.DatabaseError, "42804": fault.InvalidQuery,
		"44000": fault.CheckViolation,
		"53100": fault.ServiceUnavailable, "53300": fault.Overloaded, "53400": fault.DatabaseError,
		"54000": fault.PayloadTooLarge, "54001": fault.InvalidQuery, "54023": fault.DatabaseError,
		"55006": fault.Conflict, "55P03": fault.Conflict, "55000": fault.DatabaseError,
		"57014": fault.Timeout, "57P01": fault.ServiceUnavailable,
		"58000": fault.DatabaseError, "F0000": fault.DatabaseError, "HV000": fault.DatabaseError, "XX000": fault.DatabaseError,
		"P0000": fault.DatabaseError, "P0001": fault.RaisedException, "P0002": fault.NotFound,
		"PT400": fault.InvalidInput, "PT404": fault.NotFound, "PT409": fault.Conflict, "PT418": fault.RaisedException,
		"PT429": fault.RateLimitExceeded, "PT503": fault.ServiceUnavailable, "PT500": fault.DatabaseError,
		"": fault.DatabaseError,
	} {
		err := db.Fault(fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: state, Message: "words"}))
		if got := fault.CodeOf(err); got != want {
			t.Errorf("%q: got %s, want %s", state, got, want)
		}
		if r, ok := fault.From(err).Details.(*db.Report); !ok || r.SQLState != state {
			t.Errorf("%q: details %+v", state, fault.From(err).Details)
		}
		if fault.From(err).Message == "" {
			t.Errorf("%q: no message", state)
		}
	}
}

func TestFaultKeepsTheServersInsideToItself(t *testing.T) {
	for state, kept := range map[string]bool{"23505": true, "22P02": true, "P0001": true, "40P01": false, "54001": false, "53200": false, "58030": false, "XX000": false} {
		err := db.Fault(&pgconn.PgError{Code: state, Message: "words", Detail: "the detail", Hint: "the hint"})
		f := fault.From(err)
		r := f.Details.(*db.Report)
		if got := r.Detail != "" && r.Hint != "" && f.Hint != ""; got != kept || !kept && r.Detail+r.Hint+f.Hint != "" {
			t.Errorf("%s: detail %q, hints %q and %q", state, r.Detail, r.Hint, f.Hint)
		}
	}
}

func TestFaultOfOtherErrors(t *testing.T) {
	mine := errors.New("mine")
	for _, test := range []struct {
		err  error
		want fault.Code
	}{
		{nil, ""},
		{mine, fault.InternalError},
		{context.Canceled, fault.Canceled},
		{fmt.Errorf("x: %w", context.DeadlineExceeded), fault.Timeout},
		{io.ErrUnexpectedEOF, fault.ServiceUnavailable},
		{fault.New(fault.Conflict, "x"), fault.Conflict},
	} {
		if got := fault.CodeOf(db.Fault(test.err)); got != test.want {
			t.Errorf("%v: got %s, want %s", test.err, got, test.want)
		}
	}
	if err := db.Fault(mine); err != mine {
		t.Errorf("a foreign error became %v", err)
	}
	if _, err := db.Open(t.Context(), db.Options{URL: "postgres://127.0.0.1:1/x", Password: func(string) string { return "" }}); err == nil {
		t.Error("Open succeeds without a server")
	} else if got := fault.CodeOf(db.Fault(err)); got != fault.ServiceUnavailable {
		t.Errorf("no server: %s", got)
	}
}

func TestFaultsSayWhatHappened(t *testing.T) {
	d := dbtest.New(t)
	d.Exec(`
		CREATE TABLE parent (id int PRIMARY KEY);
		CREATE TABLE t (
			id int CONSTRAINT t_pk PRIMARY KEY,
			parent int CONSTRAINT t_parent REFERENCES parent,
			name text NOT NULL DEFAULT '',
			age int CONSTRAINT t_age CHECK (age > 0),
			short varchar(2));
		CREATE VIEW grown AS SELECT * FROM t WHERE age >= 18 WITH CHECK OPTION;
		GRANT INSERT ON grown TO authenticated;
		INSERT INTO t VALUES (1);
		CREATE FUNCTION refuse() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			RAISE EXCEPTION 'not today' USING DETAIL = 'the detail', HINT = 'the hint';
		END $$;
		CREATE FUNCTION deny() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			RAISE EXCEPTION 'only on Sundays' USING ERRCODE = 'insufficient_privilege';
		END $$;
		CREATE FUNCTION vanish() RETURNS void LANGUAGE plpgsql AS $$
		BEGIN
			RAISE SQLSTATE 'PT404' USING MESSAGE = 'gone away';
		END $$`)
	for _, test := range []struct {
		sql     string
		code    fault.Code
		message string
		report  db.Report
	}{
		{`INSERT INTO t VALUES (1)`, fault.DuplicateKey, "Duplicate key",
			db.Report{SQLState: "23505", Detail: "Key (id)=(1) already exists.", Schema: "public", Table: "t", Constraint: "t_pk"}},
		{`INSERT INTO t VALUES (2, 7)`, fault.ForeignKeyViolation, "Foreign key violation",
			db.Report{SQLState: "23503", Detail: `Key (parent)=(7) is not present in table "parent".`, Schema: "public", Table: "t", Constraint: "t_parent"}},
		{`INSERT INTO t VALUES (2, NULL, NULL)`, fault.NotNullViolation, "Missing required value",
			db.Report{SQLState: "23502", Detail: "Failing row contains (2, null, null, null, null).", Schema: "public", Table: "t", Column: "name"}},
		{`INSERT INTO t VALUES (2, NULL, '', -1)`, fault.CheckViolation, "Check constraint violated",
			db.Report{SQLState: "23514", Detail: "Failing row contains (2, null, , -1, null).", Schema: "public", Table: "t", Constraint: "t_age"}},
		{`INSERT INTO grown VALUES (2, NULL, '', 1)`, fault.CheckViolation, "Row violates the view's check option",
			db.Report{SQLState: "44000", Detail: "Failing row contains (2, null, , 1, null)."}},
		{`INSERT INTO t (id, short) VALUES (2, 'long')`, fault.InvalidInput, "Invalid data type provided", db.Report{SQLState: "22001"}},
		{`SELECT 'x'::int`, fault.InvalidInput, "Invalid data type provided", db.Report{SQLState: "22P02"}},
		{`SELECT missing FROM t`, fault.UnknownColumn, `column "missing" does not exist`, db.Report{SQLState: "42703"}},
		{`SELECT * FROM missing`, fault.TableNotFound, `relation "missing" does not exist`, db.Report{SQLState: "42P01"}},
		{`SELECT refuse()`, fault.RaisedException, "not today", db.Report{SQLState: "P0001", Detail: "the detail", Hint: "the hint"}},
		{`SELECT deny()`, fault.InsufficientPermissions, "only on Sundays", db.Report{SQLState: "42501"}},
		{`SELECT vanish()`, fault.NotFound, "gone away", db.Report{SQLState: "PT404"}},
		{`SELECT * FROM platform.tenants`, fault.InsufficientPermissions, "Insufficient permissions", db.Report{SQLState: "42501"}},
	} {
		f := fault.From(d.DB.Run(t.Context(), d.User(alice), db.Statement{SQL: test.sql}))
		report, ok := f.Details.(*db.Report)
		if !ok || report.Message == "" {
			t.Errorf("%s: got %v with %+v", test.sql, f, f.Details)
			continue
		}
		got := *report
		got.Message = "" // PostgreSQL's own words
		if f.Code != test.code || f.Message != test.message || got != test.report || f.Hint != test.report.Hint {
			t.Errorf("%s: got %v with %+v", test.sql, f, f.Details)
		}
	}
}
