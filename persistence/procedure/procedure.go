// Package procedure is a tenant's stored procedures: single SQL statements with
// annotations that callers run by name (rpc.procedures).
//
// A procedure is text: comments that annotate it, then one statement with
// $name placeholders. Compile makes a Procedure of it and decides, on the tree
// that PostgreSQL's own grammar makes of the statement, whether it keeps to what it
// may touch. What is stored has passed that; nothing is parsed when it is called.
//
// That tree says what the statement itself names. What a view or a function
// beneath it does is for grants and policies, as for every statement of a caller.
package procedure

import (
	"slices"
	"time"

	"fluxbase/persistence/caller"
)

// Source says where a procedure came from.
type Source string

// The sources.
const (
	// Filesystem is a file, or a sync's payload that stands for files: a sync may
	// delete what is missing from it.
	Filesystem Source = "filesystem"
	// API was made by hand: a sync never deletes it.
	API Source = "api"
)

// DefaultNamespace is where procedures without one are.
const DefaultNamespace = "default"

// Procedure is a stored procedure. It is shared by whoever uses it: nobody changes
// one after it was made.
type Procedure struct {
	// ID is a uuid; empty until it is stored.
	ID              string
	Namespace, Name string
	Description     string
	Input, Output   Schema
	// AllowedTables are the tables ("t" or "s.t") that the statement may name; none
	// for all of AllowedSchemas.
	AllowedTables  []string
	AllowedSchemas []string
	// MaxExecutionTime bounds each execution; never zero.
	MaxExecutionTime time.Duration
	// RequireRoles are the application roles of which a caller needs one; empty for
	// none. "authenticated" is every caller who is not anonymous.
	RequireRoles []string
	// Public shows it in lists to everybody, and lets everybody run it unless roles
	// are required.
	Public bool
	// DisableLogs leaves out the log of its executions.
	DisableLogs bool
	// Schedule is a cron expression of five or six fields or "@every …"; empty for
	// none.
	Schedule string
	// Enabled is whether it can be run at all.
	Enabled bool
	Version int
	Source  Source
	// Code is the text that was handed in, Query the statement in it as written.
	Code, Query string
	Statement   Statement
	// CreatedBy is the id of the user or key; empty when the server did it.
	CreatedBy            string
	CreatedAt, UpdatedAt time.Time
	// Revision is another number after every change, over all procedures of a
	// database: whatever is made of a procedure may be kept under it.
	Revision int64
}

// Statement is a procedure's statement as it is sent to PostgreSQL.
type Statement struct {
	// SQL has $1, $2 … in the order of Parameters. If it gives rows, each comes as
	// JSON text in the only column, and one more parameter at the end is how many
	// rows are wanted at most (a bigint).
	SQL        string      `json:"sql"`
	Parameters []Parameter `json:"parameters"`
	// Kind is what the statement does: "select", "insert", "update", "delete" or
	// "merge".
	Kind string `json:"kind"`
	// Rows tells that it gives rows; without, only their number is known.
	Rows bool `json:"rows"`
	// Writes tells that it changes rows itself. The functions that it calls may
	// write without it.
	Writes bool `json:"writes"`
	// Tables are the tables that it names, once each, qualified where it does.
	Tables []string `json:"tables"`
}

// Parameter is what stands for $n in a Statement.
type Parameter struct {
	// Name is the placeholder's, without the dollar sign.
	Name string `json:"name"`
	// Type is what the input schema says; AnyType when it says nothing.
	Type Type `json:"type"`
}

// The placeholders that the server fills in. A request cannot.
const (
	CallerID    = "caller_id"
	CallerRole  = "caller_role"
	CallerEmail = "caller_email"
	// Trigger is what started the execution ("cron"), ScheduledAt the moment that it
	// was due. Both are NULL for a caller's request.
	Trigger     = "_trigger"
	ScheduledAt = "_scheduled_at"
)

// Reserved tells whether the server fills in a placeholder of this name.
func Reserved(name string) bool {
	return slices.Contains([]string{CallerID, CallerRole, CallerEmail, Trigger, ScheduledAt}, name)
}

// bypass are the roles that may run and see every procedure.
var bypass = []caller.Role{caller.Service, caller.InstanceAdmin, caller.TenantService}

// Permits tells whether c may run the procedure: service identities may run any,
// whoever has one of the required roles those that require some, everybody the
// public ones, and whoever is not anonymous the others.
func (p *Procedure) Permits(c caller.Caller) bool {
	if c.HasRole(bypass...) {
		return true
	}
	anonymous := c.Role == "" || c.Role == caller.Anon
	if len(p.RequireRoles) == 0 {
		return p.Public || !anonymous
	}
	for _, r := range p.RequireRoles {
		switch caller.Role(r) {
		case caller.Anon, c.Role:
			return true
		case caller.Authenticated:
			if !anonymous {
				return true
			}
		}
	}
	return false
}
