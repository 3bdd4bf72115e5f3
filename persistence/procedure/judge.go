package procedure

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// Rules say what a statement may name.
type Rules struct {
	// Tables are "t" or "s.t"; none for all of Schemas. A table without a schema is one
	// of schema public.
	Tables []string
	// Schemas are those whose tables, functions and types may be named.
	Schemas []string
}

// defaultSchema is where unqualified tables are looked up, see the search_path in
// persistence/db.
const defaultSchema = "public"

// extensionSchema holds what extensions bring along. Its functions and types may
// always be named: without a schema they are found there as well.
const extensionSchema = "extensions"

// blockedSchema tells whether nothing of a schema may ever be named: PostgreSQL's own
// and the server's.
func blockedSchema(name string) bool {
	return strings.HasPrefix(name, "pg_") || slices.Contains([]string{"information_schema", "fluxbase", "platform", "rpc"}, name)
}

// verdict is what a judge has found in a statement.
type verdict struct {
	tables []string
	writes bool
}

// judge walks through a statement's tree and refuses what the rules do not allow. It
// follows PostgreSQL in what a name means: a table of a WITH clause hides a real one
// only where the clause reaches, and never as what is written to.
type judge struct {
	rules   Rules
	found   verdict
	scopes  []map[string]bool // names of WITH clauses, the innermost last
	refusal error
}

// capitals are where a word begins within the name of a node.
var capitals = regexp.MustCompile(`([a-z])([A-Z])`)

// judgeStatement gives what a statement touches, or the first thing in it that is not
// allowed.
func judgeStatement(statement *pg.Node, rules Rules) (verdict, error) {
	j := judge{rules: rules}
	j.walk(statement.ProtoReflect())
	return j.found, j.refusal
}

func (j *judge) refuse(format string, args ...any) {
	if j.refusal == nil {
		j.refusal = fmt.Errorf(format, args...)
	}
}

// walk looks at a message and all within.
func (j *judge) walk(m protoreflect.Message) {
	if j.refusal != nil || !m.IsValid() {
		return
	}
	switch n := m.Interface().(type) {
	case *pg.SelectStmt:
		j.scoped(n.WithClause, m, "with_clause")
	case *pg.InsertStmt:
		j.target(n.Relation)
		j.scoped(n.WithClause, m, "with_clause", "relation")
	case *pg.UpdateStmt:
		j.target(n.Relation)
		j.scoped(n.WithClause, m, "with_clause", "relation")
	case *pg.DeleteStmt:
		j.target(n.Relation)
		j.scoped(n.WithClause, m, "with_clause", "relation")
	case *pg.MergeStmt:
		j.target(n.Relation)
		j.scoped(n.WithClause, m, "with_clause", "relation")
	case *pg.IntoClause:
		j.refuse("SELECT INTO makes a table, which is not allowed")
	case *pg.CurrentOfExpr:
		j.refuse("cursors are not allowed")
	case *pg.RangeVar:
		j.source(n)
	case *pg.LockingClause:
		// The names in FOR UPDATE OF are those of the FROM clause.
	case *pg.FuncCall:
		j.function(names(n.Funcname), n.Funcformat == pg.CoercionForm_COERCE_SQL_SYNTAX)
		j.fields(m)
	case *pg.RangeTableSample:
		j.function(names(n.Method), false)
		j.fields(m)
	case *pg.TypeName:
		j.typeName(names(n.Names))
		j.fields(m)
	case *pg.A_Expr:
		j.operator(names(n.Name))
		j.fields(m)
	case *pg.ColumnRef:
		// Behind a table a name may be a function of its row, too.
		if parts := names(n.Fields); len(parts) > 1 {
			j.called(parts[len(parts)-1])
		}
	case *pg.A_Indirection:
		for _, name := range names(n.Indirection) {
			j.called(name)
		}
		j.fields(m)
	default:
		if name := string(m.Descriptor().Name()); strings.HasSuffix(name, "Stmt") {
			kind := capitals.ReplaceAllString(strings.TrimSuffix(name, "Stmt"), "$1 $2")
			j.refuse("%s is not allowed: a procedure is one SELECT, INSERT, UPDATE, DELETE or MERGE", strings.ToUpper(kind))
			return
		}
		j.fields(m)
	}
}

// fields looks at what is within a message, but for the fields that are named.
func (j *judge) fields(m protoreflect.Message, except ...protoreflect.Name) {
	within(m, func(inner protoreflect.Message) bool {
		j.walk(inner)
		return j.refusal == nil
	}, except...)
}

// scoped looks at a statement in the reach of its WITH clause.
func (j *judge) scoped(with *pg.WithClause, statement protoreflect.Message, except ...protoreflect.Name) {
	scope := map[string]bool{}
	j.scopes = append(j.scopes, scope)
	defer func() { j.scopes = j.scopes[:len(j.scopes)-1] }()
	if with.GetRecursive() {
		for _, n := range with.Ctes {
			scope[n.GetCommonTableExpr().GetCtename()] = true
		}
	}
	for _, n := range with.GetCtes() {
		e := n.GetCommonTableExpr()
		if e == nil {
			j.refuse("the WITH clause is not understood")
			return
		}
		j.fields(e.ProtoReflect())
		// Without RECURSIVE it is known to those that follow only.
		scope[e.Ctename] = true
	}
	j.fields(statement, except...)
}

// source is a relation that is read, or a name of a WITH clause.
func (j *judge) source(r *pg.RangeVar) {
	if r.Schemaname == "" && r.Catalogname == "" {
		for _, scope := range j.scopes {
			if scope[r.Relname] {
				return
			}
		}
	}
	j.table(r)
}

// target is the relation that is written.
func (j *judge) target(r *pg.RangeVar) {
	j.found.writes = true
	if r == nil {
		j.refuse("what is written to is not understood")
		return
	}
	j.table(r)
}

func (j *judge) table(r *pg.RangeVar) {
	schema, name := r.Schemaname, r.Relname
	shown := name
	if schema != "" {
		shown = schema + "." + name
	}
	if !slices.Contains(j.found.tables, shown) {
		j.found.tables = append(j.found.tables, shown)
	}
	switch {
	case r.Catalogname != "":
		j.refuse("the table %s.%s names a database", r.Catalogname, shown)
	case blockedSchema(schema):
		j.refuse("the schema %s is not allowed", schema)
	case schema == "" && strings.HasPrefix(name, "pg_"):
		j.refuse("the table %s is not allowed: without a schema it is one of PostgreSQL's own", name)
	case j.listed(schema, name):
	case len(j.rules.Tables) > 0:
		j.refuse("the table %s is not one of the allowed tables", shown)
	case !slices.Contains(j.rules.Schemas, cmp.Or(schema, defaultSchema)):
		j.refuse("the schema %s of the table %s is not one of the allowed schemas", cmp.Or(schema, defaultSchema), name)
	}
}

// listed tells whether the allowed tables name this one, in either spelling.
func (j *judge) listed(schema, name string) bool {
	schema = cmp.Or(schema, defaultSchema)
	return slices.Contains(j.rules.Tables, schema+"."+name) ||
		schema == defaultSchema && slices.Contains(j.rules.Tables, name)
}

func (j *judge) function(name []string, syntax bool) {
	switch len(name) {
	case 1:
		j.called(name[0])
	case 2:
		j.called(name[1])
		j.functionSchema(name[0], name[1], syntax)
	default:
		j.refuse("the function %s is not allowed", strings.Join(name, "."))
	}
}

func (j *judge) functionSchema(schema, name string, syntax bool) {
	switch {
	case schema == "pg_catalog" && (syntax || name == "like_escape" || name == "similar_to_escape"):
		// That is how the grammar writes EXTRACT, OVERLAY, LIKE … ESCAPE and others.
	case schema == "auth" && callerFunctions[name], schema == extensionSchema, schema == defaultSchema:
	case blockedSchema(schema):
		j.refuse("the schema %s is not allowed", schema)
	case !slices.Contains(j.rules.Schemas, schema):
		j.refuse("the schema %s of the function %s is not one of the allowed schemas", schema, name)
	}
}

// called refuses functions by their names, whatever schema they are in.
func (j *judge) called(name string) {
	switch {
	case refusedFunctions[name],
		slices.ContainsFunc(refusedFamilies, func(prefix string) bool { return strings.HasPrefix(name, prefix) }),
		strings.HasPrefix(name, "pg_") && !systemFunctions[name]:
		j.refuse("the function %s is not allowed", name)
	}
}

func (j *judge) typeName(name []string) {
	switch {
	case len(name) < 2, len(name) == 2 && (name[0] == "pg_catalog" || name[0] == extensionSchema || name[0] == defaultSchema):
	case len(name) > 2 || blockedSchema(name[0]) || !slices.Contains(j.rules.Schemas, name[0]):
		j.refuse("the schema of the type %s is not one of the allowed schemas", strings.Join(name, "."))
	}
}

func (j *judge) operator(name []string) {
	switch {
	case len(name) < 2, len(name) == 2 && (name[0] == "pg_catalog" || name[0] == extensionSchema || name[0] == defaultSchema):
	case len(name) > 2 || blockedSchema(name[0]) || !slices.Contains(j.rules.Schemas, name[0]):
		j.refuse("the schema of the operator %s is not one of the allowed schemas", strings.Join(name, "."))
	}
}

// parametersOf gives the numbers of a statement's parameters by their places in the
// text.
func parametersOf(statement *pg.Node) map[int]int {
	found := map[int]int{}
	var walk func(protoreflect.Message)
	walk = func(m protoreflect.Message) {
		if p, is := m.Interface().(*pg.ParamRef); is {
			found[int(p.Location)] = int(p.Number)
		}
		within(m, func(inner protoreflect.Message) bool { walk(inner); return true })
	}
	walk(statement.ProtoReflect())
	return found
}

// within calls f with the messages directly within m until it says false, but for
// those in the fields that are named.
func within(m protoreflect.Message, f func(protoreflect.Message) bool, except ...protoreflect.Name) {
	m.Range(func(field protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		if field.Message() == nil || slices.Contains(except, field.Name()) {
			return true
		}
		if !field.IsList() {
			return f(v.Message())
		}
		for i := range v.List().Len() {
			if !f(v.List().Get(i).Message()) {
				return false
			}
		}
		return true
	})
}

// names are the strings of a list of nodes; other nodes are left out.
func names(nodes []*pg.Node) []string {
	var all []string
	for _, n := range nodes {
		if s := n.GetString_(); s != nil {
			all = append(all, s.Sval)
		}
	}
	return all
}
