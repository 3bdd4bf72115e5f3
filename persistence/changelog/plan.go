package changelog

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/query/sql"
)

// Plan is what was true of the enabled tables at one snapshot. It is immutable.
type Plan struct {
	// Snapshot is the one that the plan was read in.
	Snapshot Snapshot
	// Unmarked tells that no event trigger writes markers: a table's columns may
	// have changed anywhere between the plan before and this one.
	Unmarked   bool
	tables     map[int32]*Table
	named      map[[2]string]*Table
	dependents map[int32][]int32
	// text tells plans apart where no event trigger writes markers.
	text string
}

// Table finds an enabled table by its id.
func (p *Plan) Table(id int32) (*Table, bool) {
	t, ok := p.tables[id]
	return t, ok
}

// Named finds an enabled table by its name.
func (p *Plan) Named(schema, table string) (*Table, bool) {
	t, ok := p.named[[2]string{schema, table}]
	return t, ok
}

// Tables are the enabled tables by their ids. The map is not to be changed.
func (p *Plan) Tables() map[int32]*Table { return p.tables }

// Dependents are the enabled tables whose SELECT policies read the table, directly
// or through views, functions and other policies: a change of its rows may change
// which of their rows somebody sees. What functions read whose body PostgreSQL
// does not parse is not known. The slice is not to be changed.
func (p *Plan) Dependents(table int32) []int32 { return p.dependents[table] }

// Table is an enabled table.
type Table struct {
	ID           int32                          `json:"id"`
	Schema       string                         `json:"schema"`
	Name         string                         `json:"table"`
	Events       []string                       `json:"events"`
	Exclude      []string                       `json:"exclude"`
	Signature    string                         `json:"signature"`
	Key          []string                       `json:"key"`
	RowSecurity  bool                           `json:"rls"`
	Columns      []Column                       `json:"columns"`
	Policies     []Policy                       `json:"policies"`
	RightsByRole map[caller.DatabaseRole]Rights `json:"roles"`
	// Reads are the enabled tables that the policies read.
	Reads []int32 `json:"reads"`

	relation *sql.Relation
	// columns and functions are what policies may name.
	columns   []policy.Column
	functions map[string]policy.Function
	digest    [sha256.Size]byte // of all that the plan says of it
	views     sync.Map          // caller.DatabaseRole → *View
}

// Column is a column of a table.
type Column struct {
	Name string `json:"name"`
	// Type is the name of the type in pg_type; SQL the type as SQL writes it.
	Type string `json:"type"`
	SQL  string `json:"sql"`

	BaseSchema string `json:"base_schema"`
	Base       string `json:"base"`
	Array      bool   `json:"array"`
	Category   string `json:"category"`
	// Deterministic tells of texts that are equal when their bytes are.
	Deterministic bool `json:"deterministic"`
}

// Policy is a policy that SELECT obeys.
type Policy struct {
	Name       string `json:"name"`
	Permissive bool   `json:"permissive"`
	// Using is the expression, with all names qualified.
	Using string `json:"using"`
	// Roles are those of the callers' roles that it is for.
	Roles []caller.DatabaseRole `json:"roles"`
}

// binds tells whether the policy is for a role.
func (p Policy) binds(role caller.DatabaseRole) bool { return slices.Contains(p.Roles, role) }

// Rights are what a role may do with a table.
type Rights struct {
	Usage bool `json:"usage"`
	// Bypass: policies do not bind the role.
	Bypass bool `json:"bypass"`
	// Columns are those that it may select.
	Columns []string `json:"columns"`
}

// Visibility is how a role's visibility of a row is decided.
type Visibility uint8

// The ways.
const (
	// Never: no row is visible.
	Never Visibility = iota
	// Always: every row is.
	Always
	// ByPolicy: View.Rule does where there is one and it takes the caller, else
	// PostgreSQL evaluates View.Policy over the image.
	ByPolicy
)

// View is a table as one role sees it.
type View struct {
	Visibility Visibility
	// Policy is the SQL of the policies together, when they decide.
	Policy string
	// Rule is the same, decided in memory; nil when the policies are not all of
	// a form that is.
	Rule *policy.Rule
	// Columns are those that are delivered: readable and not excluded.
	Columns []Column
	// Whole tells that Columns are all columns of the table.
	Whole bool
	// Denied tells that the role has no privilege at all to read the table.
	Denied bool
}

// Reads tells whether the view delivers a column.
func (v *View) Reads(column string) bool {
	return slices.ContainsFunc(v.Columns, func(c Column) bool { return c.Name == column })
}

// Same tells whether two plans say the same of a table.
func (t *Table) Same(o *Table) bool { return t == o || o != nil && t.digest == o.digest }

// View gives the table as role sees it.
func (t *Table) View(role caller.DatabaseRole) *View {
	if v, ok := t.views.Load(role); ok {
		return v.(*View)
	}
	v, _ := t.views.LoadOrStore(role, t.view(role))
	return v.(*View)
}

func (t *Table) view(role caller.DatabaseRole) *View {
	rights := t.RightsByRole[role]
	if !rights.Usage || len(rights.Columns) == 0 {
		return &View{Denied: true}
	}
	v := &View{}
	for _, c := range t.Columns {
		if slices.Contains(rights.Columns, c.Name) && !slices.Contains(t.Exclude, c.Name) {
			v.Columns = append(v.Columns, c)
		}
	}
	v.Whole = len(v.Columns) == len(t.Columns)
	if !t.RowSecurity || rights.Bypass {
		v.Visibility = Always
		return v
	}
	var permissive, restrictive []string
	for _, p := range t.Policies {
		if !p.binds(role) {
			continue
		}
		if p.Permissive {
			permissive = append(permissive, p.Using)
		} else {
			restrictive = append(restrictive, p.Using)
		}
	}
	restrictive = slices.DeleteFunc(restrictive, func(e string) bool { return e == "true" })
	switch {
	case len(permissive) == 0:
		v.Visibility = Never
	case slices.Contains(permissive, "true") && len(restrictive) == 0:
		v.Visibility = Always
	default:
		v.Visibility = ByPolicy
		// The order in which PostgreSQL asks them.
		var terms []string
		for _, e := range restrictive {
			terms = append(terms, "("+e+")")
		}
		terms = append(terms, "(("+strings.Join(permissive, ") OR (")+"))")
		v.Policy = strings.Join(terms, " AND ")
		v.Rule = t.rule(role, restrictive, permissive)
	}
	return v
}

// HasKey tells whether the table has a primary key.
func (t *Table) HasKey() bool { return len(t.Key) > 0 }

func (t *Table) column(name string) (Column, bool) {
	for _, c := range t.Columns {
		if c.Name == name {
			return c, true
		}
	}
	return Column{}, false
}

// from is the table's name in SQL; as is its alias wherever images stand in its
// place: policies write its columns as table.column.
func (t *Table) from() string { return quote(t.Schema) + "." + quote(t.Name) }
func (t *Table) as() string   { return quote(t.Name) }

func (l *Log) parsePlan(text string, at Snapshot) (*Plan, error) {
	var all struct {
		Plain     bool              `json:"plain"`
		Functions json.RawMessage   `json:"functions"`
		Tables    []json.RawMessage `json:"tables"`
	}
	if err := json.Unmarshal([]byte(text), &all); err != nil {
		return nil, fmt.Errorf("read the plan of the enabled tables: %w", err)
	}
	p := &Plan{Snapshot: at, Unmarked: l.unmarked.Load(), text: text,
		tables: make(map[int32]*Table, len(all.Tables)), named: make(map[[2]string]*Table, len(all.Tables)), dependents: map[int32][]int32{}}
	var functions map[string]policy.Function
	if err := json.Unmarshal(all.Functions, &functions); err != nil {
		return nil, fmt.Errorf("read the functions that policies name callers by: %w", err)
	}
	for _, text := range all.Tables {
		t := &Table{digest: sha256.Sum256(fmt.Appendf(nil, "%t %s %s", all.Plain, all.Functions, text))}
		if err := json.Unmarshal(text, t); err != nil {
			return nil, fmt.Errorf("read the plan of an enabled table: %w", err)
		}
		t.relation = t.asRelation()
		t.functions = functions
		for _, c := range t.Columns {
			column := policy.Column{Name: c.Name}
			if all.Plain {
				column = policy.NewColumn(c.Name, c.SQL, c.Deterministic)
			}
			t.columns = append(t.columns, column)
		}
		p.tables[t.ID] = t
		p.named[[2]string{t.Schema, t.Name}] = t
		for _, read := range t.Reads {
			p.dependents[read] = append(p.dependents[read], t.ID)
		}
	}
	return p, nil
}

// asRelation describes the table to the query compiler.
func (t *Table) asRelation() *sql.Relation {
	r := &sql.Relation{Schema: t.Schema, Name: t.Name, Key: t.Key}
	for _, c := range t.Columns {
		r.Columns = append(r.Columns, sql.Column{Name: c.Name, Type: sql.Type{Schema: c.BaseSchema, Name: c.Base, Kind: c.kind()}})
	}
	return r.Index()
}

func (c Column) kind() sql.Kind {
	if c.Array {
		return sql.KindArray
	}
	switch c.Base {
	case "json":
		return sql.KindJSON
	case "jsonb":
		return sql.KindJSONB
	case "tsvector":
		return sql.KindSearch
	}
	switch c.Category {
	case "S":
		return sql.KindText
	case "B":
		return sql.KindBool
	case "N":
		return sql.KindNumber
	case "R":
		return sql.KindRange
	case "C":
		return sql.KindComposite
	}
	return sql.KindScalar
}

func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// Newer tells whether p was read after o; anything is newer than nil.
func (p *Plan) Newer(o *Plan) bool { return o == nil || p.Snapshot.max >= o.Snapshot.max }
