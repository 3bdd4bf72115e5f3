package db

import (
	"container/list"
	"context"
	"errors"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"fluxbase/persistence/caller"
)

// statementLimit bounds the prepared statements of one connection: each costs
// PostgreSQL tens of kilobytes.
const statementLimit = 256

// The statements that transactions begin with, by their names on the connection.
const (
	resetName    = "fluxbase_reset"
	settingsName = "fluxbase_settings"
	readingName  = "fluxbase_reading"
	roleName     = "fluxbase_role"
)

// preamble has their text. RESET ALL undoes what a function may have set for the
// whole session. The settings are evaluated, but no row is returned: the claims
// need not travel back. Those of a read-only transaction are a statement of their
// own, so that one more need not be sent.
var preamble = map[string]string{
	resetName:    `RESET ALL`,
	settingsName: `SELECT 1 WHERE num_nulls(` + settings + `) > 0`,
	readingName:  `SELECT 1 WHERE num_nulls(` + settings + `, set_config('transaction_read_only', 'on', true)) > 0`,
	roleName:     `SELECT 1 WHERE set_config('role', $1, true) IS NULL`,
}

const settings = `
		set_config('role', $1, true),
		set_config('request.jwt.claims', $2, true),
		set_config('app.current_tenant_id', $3, true),
		set_config('app.user_id', $4, true),
		set_config('app.role', $5, true),
		set_config('statement_timeout', $6, true)`

// preambleLength is how many statements a transaction begins with.
const preambleLength = 2

// session is what we know about one connection: the statements prepared on it.
// They are kept per role, because PostgreSQL plans a statement anew each time it
// meets it under another role than before.
type session struct {
	conn       *pgx.Conn
	preamble   map[string]*pgconn.StatementDescription
	statements map[statementKey]*list.Element // of *prepared
	recent     list.List                      // most recently used first
	generation uint64                         // Database.schema when they were prepared
	run        uint64                         // numbers the uses, for eviction
	named      uint64                         // numbers the names
	bound      []bound                        // the parameters of a run's statements
	settings   bound                          // those of the preamble
}

type statementKey struct {
	role caller.DatabaseRole
	sql  string
}

type prepared struct {
	key         statementKey
	description *pgconn.StatementDescription
	run         uint64 // the last run that used it
	fresh       bool   // prepared in the run that uses it
}

const sessionKey = "fluxbase session"

// startSession prepares a new connection.
func startSession(ctx context.Context, c *pgx.Conn) error {
	s := &session{
		conn:       c,
		preamble:   make(map[string]*pgconn.StatementDescription, len(preamble)),
		statements: make(map[statementKey]*list.Element),
	}
	for name, sql := range preamble {
		d, err := c.Prepare(ctx, name, sql)
		if err != nil {
			return err
		}
		s.preamble[name] = d
	}
	c.PgConn().CustomData()[sessionKey] = s
	return nil
}

func sessionOf(c *pgx.Conn) *session {
	return c.PgConn().CustomData()[sessionKey].(*session)
}

// begin starts a run: nothing that it finds or prepares is evicted before the
// next one begins. Statements of an older schema are forgotten.
func (s *session) begin(ctx context.Context, generation uint64) error {
	s.run++
	if s.generation == generation {
		return nil
	}
	if err := s.forget(ctx); err != nil {
		return err
	}
	s.generation = generation
	return nil
}

// forget drops all prepared statements but the preamble.
func (s *session) forget(ctx context.Context) error {
	if s.recent.Len() == 0 {
		return nil
	}
	pipeline := s.conn.PgConn().StartPipeline(ctx)
	for e := s.recent.Front(); e != nil; e = e.Next() {
		pipeline.SendDeallocate(e.Value.(*prepared).description.Name)
	}
	clear(s.statements)
	s.recent.Init()
	err := pipeline.Sync()
	return errors.Join(err, pipeline.Close())
}

// find gives the prepared statement, or nil.
func (s *session) find(role caller.DatabaseRole, sql string) *prepared {
	e, ok := s.statements[statementKey{role, sql}]
	if !ok {
		return nil
	}
	p := e.Value.(*prepared)
	if p.run != s.run {
		p.run, p.fresh = s.run, false
		s.recent.MoveToFront(e)
	}
	return p
}

// prepare prepares statements that find did not find, in one round trip. Each is
// parsed under its role, in a transaction of its own: whether a role may look
// into a schema is checked when a statement is parsed. refused has those that the
// server did not accept; the error is for a connection that failed.
func (s *session) prepare(ctx context.Context, keys []statementKey) (refused map[statementKey]error, err error) {
	pipeline := s.conn.PgConn().StartPipeline(ctx)
	defer func() {
		if closeErr := pipeline.Close(); err == nil && closeErr != nil && !isServerError(closeErr) {
			err = closeErr
		}
	}()
	for _, name := range s.evict(len(keys)) {
		pipeline.SendDeallocate(name)
	}
	names := make([]string, len(keys))
	for i, k := range keys {
		s.named++
		names[i] = "f" + strconv.FormatUint(s.named, 36)
		pipeline.SendQueryPrepared(roleName, [][]byte{[]byte(k.role)}, nil, nil)
		pipeline.SendPrepare(names[i], k.sql, nil)
		pipeline.SendPipelineSync()
	}
	if err := pipeline.Flush(); err != nil {
		return nil, err
	}
	for i := 0; i < len(keys); {
		result, err := pipeline.GetResults()
		switch result := result.(type) {
		case *pgconn.ResultReader:
			_, err = result.Close()
		case *pgconn.StatementDescription:
			result.Name, result.SQL = names[i], keys[i].sql
			s.keep(keys[i], result)
		case *pgconn.PipelineSync:
			i++
		}
		if err != nil {
			if !isServerError(err) {
				return nil, err
			}
			if refused == nil {
				refused = make(map[statementKey]error)
			}
			refused[keys[i]] = err
		}
	}
	return refused, nil
}

func (s *session) keep(key statementKey, d *pgconn.StatementDescription) {
	s.statements[key] = s.recent.PushFront(&prepared{key: key, description: d, run: s.run, fresh: true})
}

// evict makes room for n more statements and gives the names of those that
// leave.
func (s *session) evict(n int) (names []string) {
	for s.recent.Len()+n > statementLimit {
		oldest := s.recent.Back()
		if oldest == nil || oldest.Value.(*prepared).run == s.run {
			break
		}
		p := s.recent.Remove(oldest).(*prepared)
		delete(s.statements, p.key)
		names = append(names, p.description.Name)
	}
	return names
}

func isServerError(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg)
}
