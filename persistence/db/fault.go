package db

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Report is the Details of a fault that came from PostgreSQL.
type Report struct {
	SQLState string `json:"sqlstate"`
	// Message is PostgreSQL's own, for dialects whose clients expect it. It is kept
	// back where the details are.
	Message    string `json:"-"`
	Detail     string `json:"detail,omitempty"`
	Hint       string `json:"hint,omitempty"`
	Schema     string `json:"schema,omitempty"`
	Table      string `json:"table,omitempty"`
	Column     string `json:"column,omitempty"`
	Constraint string `json:"constraint,omitempty"`
}

// errEncoding is for a parameter that does not fit the type that PostgreSQL
// wants.
var errEncoding = errors.New("encode a parameter")

// rolledBack is for a transaction whose error was overlooked.
var rolledBack = fault.New(fault.DatabaseError, "The transaction was rolled back")

// rowTooLarge is for a row that is larger than Options.MaxRowBytes.
var rowTooLarge = fault.New(fault.AnswerTooLarge, "A row of the answer is too large").
	WithHint("Ask for fewer columns or fewer related rows.")

// kind is what a SQLSTATE or a class of them means.
type kind struct {
	code fault.Code
	// message replaces PostgreSQL's own; empty keeps it. PostgreSQL's text is
	// kept where it speaks about what the client sent.
	message string
	retry   time.Duration
}

// states are the SQLSTATEs that mean something else than their class.
var states = map[string]kind{
	"20000": {code: fault.InvalidInput},
	"21000": {code: fault.InvalidInput}, // ON CONFLICT twice on one row, subquery with many rows
	"22000": {code: fault.InvalidInput}, // pgvector's vectors of different sizes
	"23001": {code: fault.ForeignKeyViolation, message: "Row is still referenced"},
	"23502": {code: fault.NotNullViolation, message: "Missing required value"},
	"23503": {code: fault.ForeignKeyViolation, message: "Foreign key violation"},
	"23505": {code: fault.DuplicateKey, message: "Duplicate key"},
	"23514": {code: fault.CheckViolation, message: "Check constraint violated"},
	"23P01": {code: fault.Conflict, message: "Conflicts with an existing row"},
	"25006": {code: fault.ReadOnlyRelation, message: "Cannot write in a read-only transaction"},
	"25P03": {code: fault.Timeout, message: "The transaction was idle for too long"},
	"40002": {code: fault.Conflict},
	"42501": {code: fault.InsufficientPermissions, message: "Insufficient permissions"},
	"42601": {code: fault.InvalidQuery},
	"42602": {code: fault.InvalidQuery},
	"42622": {code: fault.InvalidQuery},
	"42702": {code: fault.InvalidQuery},
	"42703": {code: fault.UnknownColumn},
	"42704": {code: fault.InvalidQuery},
	"42723": {code: fault.AlreadyExists},
	"42883": {code: fault.InvalidQuery},
	"42939": {code: fault.InvalidQuery},
	"42P01": {code: fault.TableNotFound},
	"42P03": {code: fault.AlreadyExists},
	"42P04": {code: fault.AlreadyExists},
	"42P06": {code: fault.AlreadyExists},
	"42P07": {code: fault.AlreadyExists},
	"42701": {code: fault.AlreadyExists},
	"42710": {code: fault.AlreadyExists},
	"42P17": {code: fault.DatabaseError, message: "Invalid object definition"}, // infinite recursion in policies
	"42P20": {code: fault.InvalidQuery},
	"2BP01": {code: fault.Conflict}, // something depends on it
	"3F000": {code: fault.NotFound},
	"53300": {code: fault.Overloaded, message: "Too many connections", retry: time.Second},
	"53400": {code: fault.DatabaseError, message: "A limit of the database is exceeded"},
	"54000": {code: fault.PayloadTooLarge},
	"54001": {code: fault.InvalidQuery, message: "Statement is too complex"},
	"55006": {code: fault.Conflict},
	"55P03": {code: fault.Conflict, message: "The row or table is locked", retry: time.Second},
	"57014": {code: fault.Timeout, message: "The statement took too long"},
	"FX001": {code: fault.IdempotencyKeyInUse, retry: time.Second}, // app.claim_idempotency_key
	"FX002": {code: fault.IdempotencyKeyReused},
	"FX003": {code: fault.AlreadyAnswered},
	"FX004": {code: fault.UnexpectedRows}, // app.check_affected
	"FX005": {code: fault.RolledBack},     // app.roll_back
	"FX006": {code: fault.ClaimLost},      // queue.settle
	"FX010": {code: fault.TooManyRows},    // app.cap_affected
	"P0001": {code: fault.RaisedException},
	"P0002": {code: fault.NotFound},
	"P0003": {code: fault.InvalidInput},
	"P0004": {code: fault.CheckViolation},
}

// classes are the rest, by their first two characters.
var classes = map[string]kind{
	"08": {code: fault.ServiceUnavailable, message: "The database is not reachable", retry: time.Second},
	"0A": {code: fault.InvalidQuery},
	"0L": {code: fault.InsufficientPermissions},
	"0P": {code: fault.InsufficientPermissions},
	"22": {code: fault.InvalidInput, message: "Invalid data type provided"},
	"23": {code: fault.CheckViolation},
	"28": {code: fault.ServiceUnavailable, message: "The database refused the server's credentials"},
	"40": {code: fault.Conflict, message: "Conflicts with a concurrent transaction", retry: time.Second},
	"42": {code: fault.InvalidQuery},
	"44": {code: fault.CheckViolation, message: "Row violates the view's check option"},
	"53": {code: fault.ServiceUnavailable, message: "The database is out of resources", retry: 5 * time.Second},
	"57": {code: fault.ServiceUnavailable, message: "The database is not available", retry: time.Second},
}

// raised are the statuses that a function may ask for by RAISE SQLSTATE 'PTnnn'.
var raised = map[string]fault.Code{
	"400": fault.InvalidInput, "401": fault.AuthenticationRequired, "403": fault.AccessDenied,
	"404": fault.NotFound, "405": fault.MethodNotAllowed, "409": fault.Conflict,
	"413": fault.PayloadTooLarge, "415": fault.UnsupportedMedia, "422": fault.ValidationFailed,
	"429": fault.RateLimitExceeded, "503": fault.ServiceUnavailable, "504": fault.Timeout,
}

// Fault turns an error of PostgreSQL or of the way to it into a coded fault with
// a Report in its details. A fault stays as it is, and so does an error that has
// nothing to do with the database; nil gives nil.
func Fault(err error) error {
	if err == nil {
		return nil
	}
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return serverFault(pg).WithCause(err)
	}
	var connect *pgconn.ConnectError
	var large *pgproto3.ExceededMaxBodyLenErr
	switch {
	case errors.As(err, &large):
		return rowTooLarge.WithCause(err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Canceled, "The request was cancelled").WithCause(err)
	case errors.Is(err, context.DeadlineExceeded) || pgconn.Timeout(err):
		return fault.New(fault.Timeout, "The database did not answer in time").WithCause(err)
	case errors.Is(err, errEncoding):
		return fault.New(fault.InvalidInput, "Invalid data type provided").WithCause(err)
	case errors.As(err, &connect), lostConnection(err):
		return unreachable.WithCause(err)
	}
	return err
}

var unreachable = fault.New(fault.ServiceUnavailable, "The database is not reachable").WithRetryAfter(time.Second)

func serverFault(pg *pgconn.PgError) *fault.Fault {
	k, ok := states[pg.Code]
	if !ok && len(pg.Code) == 5 {
		switch code, isRaised := raised[pg.Code[2:]]; {
		case strings.HasPrefix(pg.Code, "PT") && isRaised:
			k, ok = kind{code: code}, true
		case strings.HasPrefix(pg.Code, "PT4"):
			k, ok = kind{code: fault.RaisedException}, true
		default:
			k, ok = classes[pg.Code[:2]]
		}
	}
	if !ok {
		k = kind{code: fault.DatabaseError, message: "Database error"}
	}
	mistake := refusedByPostGIS(pg)
	switch {
	case mistake:
		k = kind{code: fault.InvalidInput}
	case pg.Code == "42501" && refusedByPolicy(pg):
		k = kind{code: fault.RLSPolicyViolation, message: "Row violates a row-level security policy"}
	case pg.Code == "42501" && raisedByFunction(pg), pg.Code[:min(2, len(pg.Code))] == "23" && raisedByFunction(pg):
		k.message = "" // the function's words say more
	}
	report := &Report{
		SQLState: pg.Code, Message: pg.Message, Detail: pg.Detail, Hint: pg.Hint, Schema: pg.SchemaName,
		Table: pg.TableName, Column: pg.ColumnName, Constraint: pg.ConstraintName,
	}
	if len(pg.Code) > 1 && aboutServer[pg.Code[:2]] && !mistake {
		report.Message, report.Detail, report.Hint = k.message, "", ""
	}
	f := fault.New(k.code, k.message).WithDetails(report)
	if f.Message == "" {
		f.Message = pg.Message
	}
	f.Hint, f.RetryAfter = report.Hint, k.retry
	return f
}

// aboutServer are the classes whose details speak of the server (processes,
// settings, files) and not of what the client sent. They stay in the cause, for
// the log.
var aboutServer = map[string]bool{"08": true, "28": true, "40": true, "53": true, "54": true, "57": true, "58": true, "F0": true, "XX": true}

// refusedByPolicy tells a row that fails a policy from a missing grant. The name
// of PostgreSQL's own function is the only mark that no locale changes.
func refusedByPolicy(pg *pgconn.PgError) bool {
	return pg.Routine == "ExecWithCheckOptions" || strings.Contains(pg.Message, "row-level security policy")
}

// refusedByPostGIS tells that PostGIS does not take a shape: it says so as if the
// server had failed.
func refusedByPostGIS(pg *pgconn.PgError) bool {
	return pg.Code == "XX000" && pg.Routine == "pg_error" && pg.File == "lwgeom_pg.c"
}

// raisedByFunction tells an error that a function raised on purpose.
func raisedByFunction(pg *pgconn.PgError) bool { return pg.Routine == "exec_stmt_raise" }

// lostConnection tells whether the connection broke while it was used.
func lostConnection(err error) bool {
	var n *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) ||
		errors.As(err, &n) || pgconn.SafeToRetry(err) || strings.Contains(err.Error(), "conn closed")
}

// faultOf is Fault with the knowledge of why a statement was stopped: a context
// that ended looks like many things by the time it comes back.
func faultOf(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	var pg *pgconn.PgError
	stopped := errors.As(err, &pg) && pg.Code == "57014" || !errors.As(err, &pg) && lostConnection(err)
	if stopped && errors.Is(ctx.Err(), context.Canceled) {
		return fault.New(fault.Canceled, "The request was cancelled").WithCause(err)
	}
	if stopped && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fault.New(fault.Timeout, "The statement took too long").WithCause(err)
	}
	return Fault(err)
}

// refusal tells an anonymous caller to sign in where somebody else would be told
// that he may not.
func refusal(c caller.Caller, err error) error {
	var f *fault.Fault
	if c.DatabaseRole() != caller.DatabaseAnon || !errors.As(err, &f) {
		return err
	}
	if f.Code != fault.RLSPolicyViolation && f.Code != fault.InsufficientPermissions {
		return err
	}
	anonymous := *f
	anonymous.Code, anonymous.Message = fault.AuthenticationRequired, "Authentication required"
	return &anonymous
}
