// Package sql compiles query trees into SQL.
//
// Three rules keep what a client writes from changing the shape of a statement:
// names of columns and relations come from the catalogue and are quoted; values
// and JSON keys are parameters, always; the only names of a client's own are
// the labels of a result, quoted after a check. Each value is converted by
// PostgreSQL to the type of what it is compared with, so that a bad literal is
// the client's fault and no digit is lost on the way.
//
// Rows come back in the order that was asked for, as JSON that PostgreSQL built, one
// value per row, or as columns of which the server builds the same JSON (see
// Options.Columns). What PostgreSQL built is never parsed.
package sql

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Plan is a compiled query: immutable, and good for any caller as long as the
// catalogue it was compiled with is current.
type Plan struct {
	// SQL is the statement. Its text depends on the shape of the query alone.
	SQL string
	// Args are the parameters: texts, and whole numbers for limits.
	Args []any
	// Explain is the statement whose plan gives the estimate, with the first
	// ExplainArgs of Args; empty unless an estimate was asked for.
	Explain     string
	ExplainArgs int
	// Counted tells that a column stands before those of the row: a total, NULL but
	// in one row that has nothing else.
	Counted bool
	// Kept tells that each row has three columns: the JSON, the number of rows
	// written and how many of them are new (both NULL but in one row).
	Kept bool
	// Rows tells whether the statement returns rows at all.
	Rows bool
	// row is how the server writes a row; nil where each row is one column with its
	// JSON or its text.
	row *rowShape
	// Labels are the names of the columns, Form how rows are given.
	Labels []string
	Form   Form
	// Threshold is where an exact count of CountEstimated stops.
	Threshold int64
	// MaxBytes is how large the answer may be; 0 for any size.
	MaxBytes int64
	// Empty tells that there is nothing to run: no row is read or written.
	Empty bool
	// nearest tells that pgvector orders the rows, perhaps by an index.
	nearest bool
	// totals tells that the third column of a Kept plan is a total.
	totals bool
	// explain, when not nil, is how the plan is to be explained in place of being run.
	explain *Explain
}

// maxArgs is how many parameters a statement may have in the wire protocol.
const maxArgs = 65535

// statement is what all scopes of one statement share.
type statement struct {
	relations Relations
	options   Options
	args      []any
	// nearest tells that an operator of pgvector was written.
	nearest bool
}

// compiler compiles what is said of the rows of one relation: the relation of the
// query, or one that is embedded in it.
type compiler struct {
	*statement
	relation *Relation
	// name is what the relation is called in the statement.
	name string
	// call, when not empty, is what stands in the FROM in place of the relation: the
	// call of a function that returns its rows.
	call string
	// names are all names of this scope's FROM; parent is the scope around it, nil
	// for the query's own.
	names  []string
	parent *compiler
	depth  int
	// via is how the rows belong to the parent's; nil for the query's own.
	via *catalog.Relationship
	// junction is what via's junction is called.
	junction string
	// embeds are the embeds of the projection.
	embeds []*embedding
	// whole tells that all rows become one, whether or not the projection has
	// aggregates.
	whole bool
	// present leaves out a row of which everything is null; nothing else is asked of
	// the rows then.
	present bool
}

// newCompiler starts a statement over a relation.
func newCompiler(relations Relations, rel *Relation, o Options) *compiler {
	return &compiler{statement: &statement{relations: relations, options: o}, relation: rel, name: rel.Name, names: []string{rel.Name}}
}

// arg adds a parameter and writes its place.
func (s *statement) arg(w *strings.Builder, value any) {
	s.args = append(s.args, value)
	w.WriteByte('$')
	var digits [8]byte
	w.Write(strconv.AppendInt(digits[:0], int64(len(s.args)), 10))
}

// typed adds a text parameter that PostgreSQL converts to t.
func (s *statement) typed(w *strings.Builder, value string, t Type) {
	s.arg(w, value)
	w.WriteString("::")
	t.write(w)
}

// typedList adds a parameter that holds a list of values of t.
func (s *statement) typedList(w *strings.Builder, values []string, t Type) {
	s.arg(w, arrayLiteral(values))
	w.WriteString("::")
	t.write(w)
	w.WriteString("[]")
}

// write writes the type's name, so that it needs no search path.
func (t Type) write(w *strings.Builder) {
	if t.Schema != "" && t.Schema != "pg_catalog" {
		quote(w, t.Schema)
		w.WriteByte('.')
	}
	quote(w, t.Name)
	if t.Kind == KindArray {
		w.WriteString("[]")
	}
}

// quote writes an identifier.
func quote(w *strings.Builder, name string) {
	w.WriteByte('"')
	for {
		i := strings.IndexByte(name, '"')
		if i < 0 {
			break
		}
		w.WriteString(name[:i])
		w.WriteString(`""`)
		name = name[i+1:]
	}
	w.WriteString(name)
	w.WriteByte('"')
}

// qualified writes a name with its schema.
func qualified(w *strings.Builder, schema, name string) {
	quote(w, schema)
	w.WriteByte('.')
	quote(w, name)
}

// from writes the qualified name of the relation.
func (c *compiler) from(w *strings.Builder) { qualified(w, c.relation.Schema, c.relation.Name) }

// row writes the whole row.
func (c *compiler) row(w *strings.Builder) {
	quote(w, c.name)
	w.WriteString(".*")
}

// column writes a column, qualified by the relation's name.
func (c *compiler) column(w *strings.Builder, name string) { qualified(w, c.name, name) }

// value writes the value of a column, stored or computed.
func (c *compiler) value(w *strings.Builder, col *Column) {
	if col.Function == nil {
		c.column(w, col.Name)
		return
	}
	qualified(w, col.Function.Schema, col.Function.Name)
	w.WriteByte('(')
	c.row(w)
	w.WriteByte(')')
}

// find looks a column up.
func (c *compiler) find(name string) (*Column, error) {
	if col, ok := c.relation.Column(name); ok {
		return col, nil
	}
	return nil, fault.Newf(fault.UnknownColumn, "Unknown column: %s", name).
		WithHint("The relation " + c.relation.query().String() + " has no column of that name.").
		WithDetails(MissingColumn{Relation: c.name, Column: name})
}

// MissingColumn is the Details of UNKNOWN_COLUMN.
type MissingColumn struct {
	// Relation is what the statement calls the relation.
	Relation string `json:"relation"`
	Column   string `json:"column"`
	// Written tells that a value was given for the column.
	Written bool `json:"-"`
}

// findWritten looks a column up for which a value is given.
func (c *compiler) findWritten(name string) (*Column, error) {
	col, err := c.find(name)
	if err != nil {
		return nil, fault.From(err).WithDetails(MissingColumn{Relation: c.name, Column: name, Written: true})
	}
	return col, nil
}

// relationOf looks the relation of a query up.
func relationOf(relations Relations, r query.Relation) (*Relation, error) {
	rel, ok := relations.Relation(r.Schema, r.Name)
	if !ok {
		return nil, NotFound(r)
	}
	return rel, nil
}

// NotFound is the fault of a relation that does not exist or is not exposed.
func NotFound(r query.Relation) *fault.Fault {
	return fault.Newf(fault.TableNotFound, "Table '%s' not found", r).WithDetails(r)
}

func invalid(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.InvalidQuery, "Invalid query parameters: "+format, args...)
}

// text checks that PostgreSQL can take a value as text.
func text(value string) error {
	if strings.IndexByte(value, 0) >= 0 || !utf8.ValidString(value) {
		return invalid("a value is not valid UTF-8 text")
	}
	return nil
}
