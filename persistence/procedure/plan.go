package procedure

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db"
)

// Plan is a procedure's statement with what PostgreSQL wants in the place of each
// parameter. It is good for as long as the schema is the same.
type Plan struct {
	sql     string
	targets []target
	rows    bool
	made    time.Time
}

// Statement is the statement with its arguments, as Bind gave them. If the procedure
// gives rows, there are limit of them at most, each a JSON object in the only
// column, a text; otherwise the command tag tells how many were written, and limit
// means nothing. Read is the caller's to set.
func (p *Plan) Statement(a Arguments, limit int64) db.Statement {
	args := make([]any, len(p.targets), len(p.targets)+1)
	for i, t := range p.targets {
		args[i] = t.text(a[i])
	}
	if p.rows {
		args = append(args, limit)
	}
	return db.Statement{SQL: p.sql, Args: args}
}

const (
	// maxPlans bounds the plans that a Planner keeps.
	maxPlans = 1024
	// planLife bounds how long a plan is kept: the catalogue that tells of changes
	// does not look at schemas that are not exposed.
	planLife = time.Minute
)

// Planner makes the plans of one database and keeps them. It is safe for concurrent
// use.
type Planner struct {
	db      *db.Database
	catalog *catalog.Catalog

	mu    sync.Mutex
	plans map[planKey]*Plan
}

type planKey struct {
	revision int64
	schema   uint64
	role     caller.DatabaseRole
}

// NewPlanner gives a planner.
func NewPlanner(d *db.Database, c *catalog.Catalog) *Planner { return &Planner{db: d, catalog: c} }

// Plan asks PostgreSQL for the types of a procedure's parameters, as the caller,
// unless it has been asked. The faults are those of the statement: what it names is
// not there, or not for the caller.
func (pl *Planner) Plan(ctx context.Context, c caller.Caller, p *Procedure) (*Plan, error) {
	key := planKey{p.Revision, pl.catalog.Current().Version(), c.DatabaseRole()}
	if plan := pl.find(key); plan != nil {
		return plan, nil
	}
	plan, err := pl.make(ctx, c, p)
	if err != nil {
		return nil, err
	}
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if pl.plans == nil || len(pl.plans) >= maxPlans {
		pl.plans = make(map[planKey]*Plan)
	}
	pl.plans[key] = plan
	return plan, nil
}

func (pl *Planner) find(key planKey) *Plan {
	pl.mu.Lock()
	defer pl.mu.Unlock()
	if p := pl.plans[key]; p != nil && time.Since(p.made) < planLife {
		return p
	}
	return nil
}

// make finds the spelling of the statement that PostgreSQL accepts. It infers the type
// of a parameter from where it stands, which is what is wanted: no value is
// converted, and indexes serve. Where it can infer none, or several, the parameter
// is cast to its declared type.
func (pl *Planner) make(ctx context.Context, c caller.Caller, p *Procedure) (*Plan, error) {
	var first error
	casts := make([]string, len(p.Statement.Parameters))
	for range len(casts) + 1 {
		plan, types, err := pl.describe(ctx, c, p, casts)
		if err == nil {
			return pl.declared(ctx, c, p, plan, types, casts)
		}
		if first == nil {
			first = err
		}
		n := undecided(err)
		if n < 1 || n > len(casts) || casts[n-1] != "" {
			break
		}
		casts[n-1] = p.Statement.Parameters[n-1].cast()
	}
	// "$a + $b" may be anything: only the declared types say what is meant.
	if !typing(first) {
		return nil, first
	}
	for i, q := range p.Statement.Parameters {
		casts[i] = q.cast()
	}
	if plan, _, err := pl.describe(ctx, c, p, casts); err == nil {
		return plan, nil
	}
	return nil, first
}

// declared casts the parameters that PostgreSQL takes for text because nothing says
// what they are, when they are declared to be something else and the statement takes
// them as that, too: $n of type integer in a select list is a number.
func (pl *Planner) declared(ctx context.Context, c caller.Caller, p *Procedure, plan *Plan, types []uint32, casts []string) (*Plan, error) {
	for i, q := range p.Statement.Parameters {
		if casts[i] != "" || types[i] != textOID || q.cast() == "text" {
			continue
		}
		tried := slices.Clone(casts)
		tried[i] = q.cast()
		better, _, err := pl.describe(ctx, c, p, tried)
		switch {
		case err == nil:
			plan, casts = better, tried
		case !typing(err):
			return nil, err
		}
	}
	return plan, nil
}

const textOID = 25

// cast is the type that a parameter is cast to where PostgreSQL cannot tell.
func (q Parameter) cast() string {
	switch q.Name {
	case CallerID:
		return "uuid"
	case ScheduledAt:
		return "timestamptz"
	}
	switch q.Type {
	case UUIDType, BooleanType, DateType, TimeType:
		return string(q.Type)
	case NumberType:
		return "numeric"
	case IntegerType:
		return "bigint"
	case TimestampType:
		return "timestamptz"
	case JSONType, ArrayType:
		return "jsonb"
	default:
		return "text"
	}
}

// describe has PostgreSQL parse the statement with some parameters cast.
func (pl *Planner) describe(ctx context.Context, c caller.Caller, p *Procedure, casts []string) (*Plan, []uint32, error) {
	sql, err := withCasts(p.Statement.SQL, casts)
	if err != nil {
		return nil, nil, err
	}
	plan := &Plan{sql: sql, rows: p.Statement.Rows, made: time.Now()}
	var types []uint32
	err = pl.db.Tx(ctx, c, func(tx pgx.Tx) error {
		described, err := tx.Conn().PgConn().Prepare(ctx, "", sql, nil)
		if err != nil {
			return err
		}
		types = described.ParamOIDs[:len(casts)]
		plan.targets, err = targets(ctx, tx, types)
		return err
	})
	return plan, types, err
}

// withCasts writes casts behind parameters; those that are empty are left out.
func withCasts(sql string, casts []string) (string, error) {
	if !slices.ContainsFunc(casts, func(c string) bool { return c != "" }) {
		return sql, nil
	}
	tokens, err := scan(sql)
	if err != nil {
		return "", err
	}
	var out strings.Builder
	at := 0
	for _, t := range tokens {
		if t.kind != numberedToken {
			continue
		}
		n, err := strconv.Atoi(sql[t.start+1 : t.end])
		if err != nil {
			return "", err
		}
		out.WriteString(sql[at:t.end])
		if n <= len(casts) && casts[n-1] != "" {
			out.WriteString("::" + casts[n-1])
		}
		at = t.end
	}
	return out.String() + sql[at:], nil
}

// targets tells what kind the types are, domains like what is beneath them.
func targets(ctx context.Context, tx pgx.Tx, types []uint32) ([]target, error) {
	rows, err := tx.Query(ctx, `
		WITH RECURSIVE wanted (place, oid, typtype, typbasetype, typcategory, typelem) AS (
			SELECT place, t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem
			  FROM unnest($1::oid[]) WITH ORDINALITY AS w (type, place) JOIN pg_catalog.pg_type t ON t.oid = w.type
			UNION ALL
			SELECT place, t.oid, t.typtype, t.typbasetype, t.typcategory, t.typelem
			  FROM wanted w JOIN pg_catalog.pg_type t ON t.oid = w.typbasetype WHERE w.typtype = 'd'
		)
		SELECT oid IN (114, 3802), typcategory = 'A', typelem IN (114, 3802) FROM wanted WHERE typtype <> 'd' ORDER BY place`, types)
	if err != nil {
		return nil, err
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t target, err error) {
		err = row.Scan(&t.json, &t.array, &t.elements)
		return t, err
	})
	if err == nil && len(found) != len(types) {
		err = errors.New("PostgreSQL does not know the type of a parameter")
	}
	return found, err
}

var parameterNumber = regexp.MustCompile(`\$([0-9]+)`)

// undecided gives the number of the parameter whose type PostgreSQL cannot tell, or 0.
func undecided(err error) int {
	var e *pgconn.PgError
	if !errors.As(err, &e) || e.Code != "42P18" && e.Code != "42P08" {
		return 0
	}
	found := parameterNumber.FindStringSubmatch(e.Message)
	if found == nil {
		return 0
	}
	n, _ := strconv.Atoi(found[1]) // too large a number is none of ours
	return n
}

// typing tells whether an error is about types that do not go together.
func typing(err error) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && slices.Contains([]string{
		"42P18", "42P08", // no type, several types
		"42725", "42883", // an operator or function that is not unique, or not there
		"42804", "42846", // a mismatch, no way to convert
		"22P02", // a constant that is not of the type
	}, e.Code)
}
