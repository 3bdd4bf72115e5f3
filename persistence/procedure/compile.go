package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	pg "github.com/pganalyze/pg_query_go/v6"

	"fluxbase/persistence/fault"
)

// compilerEdition numbers the ways in which statements are compiled: what another
// edition has stored is compiled anew when it is read.
const compilerEdition = 2

// maxCode bounds the text of a procedure, in bytes.
const maxCode = 256 << 10

// maxParameters bounds the placeholders of a statement; PostgreSQL has room for
// 65,535.
const maxParameters = 200

// Limits are what all procedures keep to.
type Limits struct {
	// DefaultTime is the execution time of a procedure that does not name one, and
	// MaxTime the longest that one may name; zero means 30 seconds and 5 minutes.
	DefaultTime, MaxTime time.Duration
}

func (l Limits) withDefaults() Limits {
	if l.DefaultTime <= 0 {
		l.DefaultTime = 30 * time.Second
	}
	if l.MaxTime <= 0 {
		l.MaxTime = 5 * time.Minute
	}
	return l
}

// Compile makes a procedure of its text. name is what it is called if it does not
// say so itself. The error is for its author, VALIDATION_FAILED, unless the parser
// is out of order.
func Compile(namespace, name, code string, limits Limits) (*Procedure, error) {
	p, err := compile(namespace, name, code, limits.withDefaults())
	if err != nil {
		return nil, invalid(err)
	}
	return p, nil
}

// invalid makes an author's fault of an error that is no fault yet.
func invalid(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		return err
	}
	message := err.Error()
	return fault.New(fault.ValidationFailed, strings.ToUpper(message[:1])+message[1:])
}

func compile(namespace, name, code string, limits Limits) (*Procedure, error) {
	if len(code) > maxCode {
		return nil, fmt.Errorf("a procedure has at most %d bytes", maxCode)
	}
	a, query, err := parseAnnotations(code)
	if err != nil {
		return nil, err
	}
	p := &Procedure{
		Namespace: namespace, Name: name, Description: a.description,
		Input: a.input, Output: a.output,
		AllowedTables: a.allowedTables, AllowedSchemas: a.allowedSchemas,
		MaxExecutionTime: a.maxExecutionTime, RequireRoles: a.requireRoles,
		Public: a.public, DisableLogs: a.disableLogs, Schedule: a.schedule,
		Enabled: true, Version: a.version, Code: code, Query: strings.TrimSpace(query),
	}
	if a.name != "" {
		p.Name = a.name
	}
	if p.AllowedSchemas == nil {
		p.AllowedSchemas = []string{defaultSchema}
	}
	if p.MaxExecutionTime == 0 {
		p.MaxExecutionTime = min(limits.DefaultTime, limits.MaxTime)
	}
	return p, p.check(limits)
}

// check compiles the statement and tells whether all of the procedure fits together.
func (p *Procedure) check(limits Limits) error {
	limits = limits.withDefaults()
	for _, err := range []error{checkNamespace(p.Namespace), checkName(p.Name), checkDescription(p.Description), checkRoles(p.RequireRoles)} {
		if err != nil {
			return err
		}
	}
	if p.MaxExecutionTime > limits.MaxTime {
		return fmt.Errorf("an execution may take %s at most (rpc.max_max_execution_time)", limits.MaxTime)
	}
	for _, f := range p.Input.Fields {
		if Reserved(f.Name) {
			return fmt.Errorf("the server fills in $%s: it cannot be an input", f.Name)
		}
	}
	statement, err := compileStatement(p.Query, p.rules())
	if err != nil {
		return err
	}
	for _, q := range statement.Parameters {
		if folded := strings.ToLower(q.Name); folded != q.Name && Reserved(folded) {
			return fmt.Errorf("$%s would be given by the request: the server fills in $%s, in lower case", q.Name, folded)
		}
	}
	p.Statement = statement
	return p.declare()
}

func (p *Procedure) rules() Rules {
	return Rules{Tables: p.AllowedTables, Schemas: p.AllowedSchemas}
}

// declare gives the parameters the types that the input schema has for them.
func (p *Procedure) declare() error {
	for i := range p.Statement.Parameters {
		q := &p.Statement.Parameters[i]
		f := p.Input.Find(q.Name)
		switch {
		case f != nil:
			q.Type = f.Type
		case p.Input.Typed && !Reserved(q.Name):
			return fmt.Errorf("$%s is not an input of the procedure", q.Name)
		}
		if p.Schedule != "" && !Reserved(q.Name) && (f == nil || !f.Optional) {
			return fmt.Errorf("$%s must be an optional input of a procedure with a schedule, which gives it nothing", q.Name)
		}
	}
	if p.Schedule != "" {
		_, err := ParseSchedule(p.Schedule)
		return err
	}
	return nil
}

// compileStatement turns placeholders into parameters, judges the statement by the
// rules, and has its rows come as JSON.
func compileStatement(query string, rules Rules) (Statement, error) {
	tokens, err := scan(query)
	if err != nil {
		return Statement{}, err
	}
	s, err := number(query, tokens)
	if err != nil {
		return Statement{}, err
	}
	node, err := parseOne(s.text, s.tokens)
	if err != nil {
		return Statement{}, err
	}
	found, err := judgeStatement(node, rules)
	if err != nil {
		return Statement{}, err
	}
	// The scanner and the grammar must mean the same text: a placeholder that stands
	// in a string to the one and not to the other would be bound to nothing.
	if err := s.agrees(parametersOf(node)); err != nil {
		return Statement{}, err
	}
	compiled := Statement{SQL: s.text, Parameters: s.parameters, Writes: found.writes, Tables: found.tables}
	if compiled.Tables == nil {
		compiled.Tables = []string{}
	}
	compiled.Kind, compiled.Rows = kindOf(node)
	if compiled.Rows {
		compiled.SQL, err = s.answering(node, compiled.Kind, len(compiled.Parameters)+1)
	}
	return compiled, err
}

// numbered is a statement whose placeholders have numbers. It has neither comments nor
// semicolons.
type numbered struct {
	text       string
	tokens     []token
	parameters []Parameter
	// places are the numbers of parameters by their places in the text.
	places map[int]int
}

// number writes $1, $2 … for placeholders, the same for the same name.
func number(query string, tokens []token) (numbered, error) {
	for _, t := range tokens {
		if t.kind == commentToken && strings.Contains(query[t.start:t.end], annotationMark) {
			return numbered{}, errors.New("annotations stand before the statement, in lines of their own")
		}
	}
	for len(tokens) > 0 {
		last := tokens[len(tokens)-1]
		if last.kind != commentToken && query[last.start:last.end] != ";" {
			break
		}
		tokens = tokens[:len(tokens)-1]
	}
	var out strings.Builder
	s := numbered{parameters: []Parameter{}, places: map[int]int{}}
	at := 0
	for i, t := range tokens {
		piece := query[t.start:t.end]
		if i > 0 {
			out.WriteString(query[at:t.start])
		}
		at = t.end
		start := out.Len()
		switch t.kind {
		case commentToken:
			out.WriteByte(' ')
			continue
		case numberedToken:
			return s, fmt.Errorf("%s is not allowed: parameters have names, like $limit", piece)
		case placeholderToken:
			n, err := s.numberOf(piece[1:])
			if err != nil {
				return s, err
			}
			s.places[start] = n
			out.WriteString("$" + strconv.Itoa(n))
		case symbolToken:
			if piece == ";" {
				return s, errors.New("a procedure is one statement: there is something behind a semicolon")
			}
			out.WriteString(piece)
		default:
			out.WriteString(piece)
		}
		s.tokens = append(s.tokens, token{t.kind, start, out.Len()})
	}
	s.text = out.String()
	if len(s.tokens) == 0 {
		return s, errors.New("there is no statement")
	}
	return s, nil
}

func (s *numbered) numberOf(name string) (int, error) {
	if i := slices.IndexFunc(s.parameters, func(p Parameter) bool { return p.Name == name }); i >= 0 {
		return i + 1, nil
	}
	if len(s.parameters) == maxParameters {
		return 0, fmt.Errorf("a procedure has at most %d placeholders", maxParameters)
	}
	s.parameters = append(s.parameters, Parameter{Name: name, Type: AnyType})
	return len(s.parameters), nil
}

// parseOne parses a text that must be one statement.
func parseOne(text string, tokens []token) (*pg.Node, error) {
	statements, err := theParser.parse(text, tokens)
	if err != nil {
		return nil, err
	}
	if len(statements) != 1 || statements[0].GetStmt() == nil {
		return nil, fmt.Errorf("a procedure is one statement, not %d", len(statements))
	}
	return statements[0].Stmt, nil
}

// agrees compares the places of parameters with those that the grammar found.
func (s *numbered) agrees(found map[int]int) error {
	for place, n := range s.places {
		if found[place] != n {
			return fmt.Errorf("$%s stands where no value can", s.parameters[n-1].Name)
		}
	}
	if len(found) != len(s.places) {
		return errors.New("the statement has parameters without a name")
	}
	return nil
}

// kindOf tells what a statement does, and whether it gives rows.
func kindOf(statement *pg.Node) (kind string, rows bool) {
	switch n := statement.Node.(type) {
	case *pg.Node_InsertStmt:
		return "insert", len(n.InsertStmt.ReturningList) > 0
	case *pg.Node_UpdateStmt:
		return "update", len(n.UpdateStmt.ReturningList) > 0
	case *pg.Node_DeleteStmt:
		return "delete", len(n.DeleteStmt.ReturningList) > 0
	case *pg.Node_MergeStmt:
		return "merge", len(n.MergeStmt.ReturningList) > 0
	default:
		return "select", true
	}
}
