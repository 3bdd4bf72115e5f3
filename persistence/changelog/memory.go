package changelog

import (
	"bytes"
	"encoding/json"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/changelog/policy"
	"fluxbase/persistence/query"
)

// rule compiles the policies of a role; nil when PostgreSQL must evaluate them.
func (t *Table) rule(role caller.DatabaseRole, restrictive, permissive []string) *policy.Rule {
	scope := policy.Scope{Columns: t.columns, Functions: t.functions, Role: string(role)}
	rule, ok := policy.CompileAll(&scope, restrictive, permissive)
	if !ok {
		return nil
	}
	return rule
}

// settings are what db.Run tells PostgreSQL of a caller.
func settings(c caller.Caller) policy.Settings {
	return policy.Settings{Claims: string(c.Claims), UserID: c.UserID, Role: string(c.Role), Tenant: c.Tenant}
}

// Predicate is what decides in memory which rows a caller sees by the table's
// policies. false: PostgreSQL must be asked. It is for callers whose View is
// ByPolicy.
func (t *Table) Predicate(c caller.Caller) (*policy.Predicate, bool) {
	rule := t.View(c.DatabaseRole()).Rule
	if rule == nil {
		return nil, false
	}
	return rule.Bind(settings(c))
}

// Filter is what decides a filter in memory. false: PostgreSQL must be asked.
func (t *Table) Filter(filter query.Condition) (*policy.Predicate, bool) {
	return policy.Filter(t.columns, filter)
}

// Row reads an image for predicates. false: it is not such an image as the
// table's columns print, and PostgreSQL must be asked.
func (t *Table) Row(image json.RawMessage) (policy.Row, bool) {
	row := make(policy.Row, len(t.columns))
	at, seen, ok := 0, 0, true
	err := members(image, func(name string, member []byte) {
		// Members have the order of the columns, but for images of partitions.
		if at == len(t.columns) || t.columns[at].Name != name {
			for at = 0; at < len(t.columns) && t.columns[at].Name != name; at++ {
			}
			if at == len(t.columns) {
				ok = false
				return
			}
		}
		if t.columns[at].Kind != policy.Other {
			value := member[stringEnd(member):]
			value = bytes.TrimSpace(bytes.TrimSpace(value)[1:])
			v, read := readValue(value, t.columns[at])
			row[at], ok = v, ok && read
		}
		at++
		seen++
	})
	return row, err == nil && ok && seen == len(t.columns)
}

// readValue reads a value as row_to_json prints it.
func readValue(text []byte, column policy.Column) (policy.Value, bool) {
	if string(text) == "null" {
		return policy.Value{}, true
	}
	if len(text) == 0 || (text[0] == '"') != (column.Kind == policy.Text || column.Kind == policy.UUID) {
		return policy.Value{}, false
	}
	if text[0] != '"' {
		return column.Value(string(text))
	}
	if bytes.IndexByte(text, '\\') < 0 {
		return column.Value(string(text[1 : len(text)-1]))
	}
	var s string
	if err := json.Unmarshal(text, &s); err != nil {
		return policy.Value{}, false
	}
	return column.Value(s)
}
