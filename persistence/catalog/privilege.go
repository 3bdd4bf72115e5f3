package catalog

import (
	"slices"
	"strings"
)

// Privilege is what may be granted on a relation, by PostgreSQL's letters.
type Privilege byte

// The privileges.
const (
	Select Privilege = 'r'
	Insert Privilege = 'a'
	Update Privilege = 'w'
	Delete Privilege = 'd'
)

// grants are what one role may do with a relation, as relations.sql prints them.
type grants struct {
	Role  string
	Table string
	// Columns are those that have grants of their own.
	Columns map[string]string
}

// privileges are the letters that a role has on a relation as a whole, and those
// on single columns.
type privileges struct {
	table   string
	columns map[string]string
}

func privilegesOf(list []grants) map[string]privileges {
	out := make(map[string]privileges, len(list))
	for _, g := range list {
		out[g.Role] = privileges{g.Table, g.Columns}
	}
	return out
}

// Granted tells whether a database role has a privilege on the relation, or on one
// of its columns at least. Roles are those that callers' statements run as; any
// other has nothing. What policies let pass is another matter.
func (r *Relation) Granted(role string, p Privilege) bool {
	g := r.granted[role]
	if strings.IndexByte(g.table, byte(p)) >= 0 {
		return true
	}
	for _, letters := range g.columns {
		if strings.IndexByte(letters, byte(p)) >= 0 {
			return true
		}
	}
	return false
}

// GrantedColumn tells whether a database role has a privilege on a column: Select,
// Insert or Update.
func (r *Relation) GrantedColumn(role string, p Privilege, column string) bool {
	g := r.granted[role]
	return strings.IndexByte(g.table, byte(p)) >= 0 || strings.IndexByte(g.columns[column], byte(p)) >= 0
}

// Executable tells whether a database role may call the function.
func (r *Routine) Executable(role string) bool { return slices.Contains(r.executors, role) }

// Executable tells whether a database role may call the function.
func (c *Computed) Executable(role string) bool { return slices.Contains(c.executors, role) }

// Executable tells whether a database role may call the function that computes the
// relationship; it may for one that is not computed.
func (r *Relationship) Executable(role string) bool {
	return r.Function == nil || slices.Contains(r.executors, role)
}
