package procedure

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// Sync makes the synced procedures of a namespace those that are given, in one
// transaction. Those that have errors are left as they are, and the others are
// stored all the same. Syncs of a tenant wait for each other.
func (s *Store) Sync(ctx context.Context, namespace string, given []Given, o SyncOptions) (Synced, error) {
	if err := checkNamespace(namespace); err != nil {
		return Synced{}, invalid(fmt.Errorf("the namespace: %w", err))
	}
	if len(given) > MaxGiven {
		return Synced{}, fault.Newf(fault.BatchTooLarge, "A sync takes %d procedures at most", MaxGiven)
	}
	// Compiling takes its time, and is done before anybody has to wait for it.
	with := newCompiler(namespace, o.Limits)
	stored, err := s.All(ctx, namespace)
	if err != nil {
		return Synced{}, err
	}
	c := reconcile(with, stored, given, o)
	for _, e := range c.report.Errors {
		if fault.CodeOf(e.Err) != fault.ValidationFailed {
			return Synced{}, e.Err // nothing that the author could mend
		}
	}
	if o.DryRun {
		return c.report, nil
	}
	err = s.transact(ctx, func(tx pgx.Tx) error {
		if stored, err = s.list(ctx, tx, `AND p.namespace = $2 ORDER BY p.name`, namespace); err != nil {
			return err
		}
		c = reconcile(with, stored, given, o)
		return s.apply(ctx, tx, namespace, c)
	})
	return c.report, err
}

func (s *Store) apply(ctx context.Context, tx pgx.Tx, namespace string, c changes) error {
	batch := &pgx.Batch{}
	for _, p := range c.create {
		p.Version = max(p.Version, 1)
		v, err := valuesOf(p)
		if err != nil {
			return err
		}
		batch.Queue(`INSERT INTO rpc.procedures (tenant_id, namespace, name, source, created_by, `+written+`)
			VALUES ($1::uuid, $2, $3, $4, nullif($5, ''), $6, $7, $8, $9::json, $10, $11::json, $12::json, $13, $14, $15, $16, $17, $18, nullif($19, ''), $20, $21)`,
			append([]any{s.tenant, p.Namespace, p.Name, p.Source, p.CreatedBy}, v...)...)
	}
	for _, p := range c.update {
		sql, args, err := s.update(p)
		if err != nil {
			return err
		}
		batch.Queue(sql, args...)
	}
	if len(c.remove) > 0 {
		batch.Queue(`DELETE FROM rpc.procedures WHERE tenant_id = $1::uuid AND namespace = $2 AND name = ANY ($3)`, s.tenant, namespace, c.remove)
	}
	return db.Fault(tx.SendBatch(ctx, batch).Close())
}

// written are the columns that valuesOf gives the values of.
const written = `description, original_code, sql_query, statement, edition, input_schema, output_schema,
	allowed_tables, allowed_schemas, max_execution_time_seconds, require_roles, is_public, disable_execution_logs,
	schedule, enabled, version`

func valuesOf(p *Procedure) ([]any, error) {
	var texts [3]*string
	for i, v := range []any{p.Statement, p.Input, p.Output} {
		text, err := json.Marshal(v)
		if err != nil {
			return nil, err
		}
		if !isNull(text) {
			t := string(text)
			texts[i] = &t
		}
	}
	roles := p.RequireRoles
	if roles == nil {
		roles = []string{}
	}
	return []any{p.Description, p.Code, p.Query, texts[0], compilerEdition, texts[1], texts[2],
		p.AllowedTables, p.AllowedSchemas, p.MaxExecutionTime.Seconds(), roles, p.Public, p.DisableLogs,
		p.Schedule, p.Enabled, p.Version}, nil
}

// update is the statement that stores what has changed of a procedure.
func (s *Store) update(p *Procedure) (string, []any, error) {
	v, err := valuesOf(p)
	return `UPDATE rpc.procedures SET (` + written + `) =
		($3, $4, $5, $6::json, $7, $8::json, $9::json, $10, $11, $12, $13, $14, $15, nullif($16, ''), $17, $18)
		WHERE tenant_id = $1::uuid AND id = $2::uuid`, append([]any{s.tenant, p.ID}, v...), err
}

// Change is what is changed of a procedure by hand; nil means unchanged.
type Change struct {
	Description  *string
	Enabled      *bool
	Public       *bool
	RequireRoles *[]string
	// MaxExecutionTime is in seconds.
	MaxExecutionTime *float64
	// AllowedTables are as in an annotation, one by one; none for all.
	AllowedTables, AllowedSchemas *[]string
	// Schedule is empty for none.
	Schedule *string
}

// Change changes a procedure, and gives it as it is then. The faults are those of
// Compile, CONFLICT when others keep changing it, too, and ErrNotFound. What is
// changed stays until a sync brings another text.
func (s *Store) Change(ctx context.Context, namespace, name string, c Change, limits Limits) (*Procedure, error) {
	for range 3 {
		old, err := s.Find(ctx, namespace, name)
		if err != nil {
			return nil, err
		}
		p, err := c.apply(old)
		if err == nil {
			err = p.check(limits)
		}
		if err != nil {
			return nil, invalid(err)
		}
		done, err := s.replace(ctx, old, p)
		if err != nil {
			return nil, err
		}
		if done {
			return s.Find(ctx, namespace, name)
		}
	}
	return nil, fault.New(fault.Conflict, "The procedure is being changed by others, too")
}

// replace stores p in the place of old, unless that is no longer what is stored.
func (s *Store) replace(ctx context.Context, old, p *Procedure) (done bool, err error) {
	sql, args, err := s.update(p)
	if err != nil {
		return false, err
	}
	err = s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, sql+` AND revision = `+strconv.FormatInt(old.Revision, 10), args...)
		done = tag.RowsAffected() > 0
		return db.Fault(err)
	})
	return done, err
}

// apply gives a changed copy.
func (c Change) apply(old *Procedure) (*Procedure, error) {
	p := *old
	set(&p.Description, c.Description)
	set(&p.Enabled, c.Enabled)
	set(&p.Public, c.Public)
	set(&p.RequireRoles, c.RequireRoles)
	set(&p.Schedule, c.Schedule)
	if c.MaxExecutionTime != nil {
		// So that no number overflows a duration; the limits are far below.
		p.MaxExecutionTime = time.Duration(min(*c.MaxExecutionTime, 1e6) * float64(time.Second))
		if p.MaxExecutionTime <= 0 {
			return nil, fmt.Errorf("max_execution_time_seconds is a number above 0")
		}
	}
	var err error
	if c.AllowedTables != nil {
		p.AllowedTables, err = eachName(*c.AllowedTables, ParseTables)
		if err != nil {
			return nil, fmt.Errorf("allowed_tables: %w", err)
		}
	}
	if c.AllowedSchemas != nil {
		p.AllowedSchemas, err = eachName(*c.AllowedSchemas, ParseSchemas)
		if err != nil {
			return nil, fmt.Errorf("allowed_schemas: %w", err)
		}
		if p.AllowedSchemas == nil {
			p.AllowedSchemas = []string{defaultSchema}
		}
	}
	return &p, nil
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// eachName parses names one by one; none give nil.
func eachName(list []string, parse func(string) ([]string, error)) (all []string, err error) {
	for _, item := range list {
		names, err := parse(item)
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if !slices.Contains(all, n) {
				all = append(all, n)
			}
		}
	}
	if len(all) > maxNames {
		return nil, fmt.Errorf("a list has at most %d names", maxNames)
	}
	return all, nil
}

// Delete deletes a procedure, or fails with ErrNotFound.
func (s *Store) Delete(ctx context.Context, namespace, name string) error {
	return s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		tag, err := c.Exec(ctx, `DELETE FROM rpc.procedures WHERE tenant_id = $1::uuid AND namespace = $2 AND name = $3`, s.tenant, namespace, name)
		if err == nil && tag.RowsAffected() == 0 {
			return ErrNotFound
		}
		return db.Fault(err)
	})
}

// transact runs f in a transaction of its own under the lock of the tenant's
// procedures.
func (s *Store) transact(ctx context.Context, f func(pgx.Tx) error) error {
	return s.db.Owner(ctx, func(c *pgxpool.Conn) error {
		return pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended('rpc.procedures ' || $1, 0))`, s.tenant); err != nil {
				return db.Fault(err)
			}
			return f(tx)
		})
	})
}
