package sql

import (
	"slices"
	"strings"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Reason is the Details of a fault that can say more than its message does.
type Reason struct {
	Reason string `json:"reason"`
}

// MissingRelationship is the Details of RELATIONSHIP_NOT_FOUND.
type MissingRelationship struct {
	Reason string `json:"reason"`
	// From is where the relationship was to begin, Name what was to be embedded.
	From query.Relation `json:"-"`
	Name string         `json:"-"`
}

// EmbedName is the Details of a fault about an embed.
type EmbedName struct {
	Embed string `json:"embed"`
}

// Candidate is one of several relationships that an embed could mean.
type Candidate struct {
	Cardinality  string `json:"cardinality"`
	Embedding    string `json:"embedding"`
	Relationship string `json:"relationship"`
}

// relationship finds the one relationship that an embed means.
func (c *compiler) relationship(e *query.Embed) (*catalog.Relationship, error) {
	if e.Via != "" {
		return c.keyed(e.Via)
	}
	found := c.candidates(e)
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		using := ""
		if e.Hint != "" {
			using = " using the hint '" + e.Hint + "'"
		}
		return nil, fault.Newf(fault.RelationshipNotFound, "Could not find a relationship between '%s' and '%s' in the schema cache", c.relation.Name, e.Name).
			WithDetails(MissingRelationship{From: c.relation.query(), Name: e.Name, Reason: "Searched for a foreign key relationship between '" +
				c.relation.Name + "' and '" + e.Name + "'" + using + " in the schema '" + c.relation.Schema + "', but no matches were found."})
	}
	details, hints := make([]Candidate, len(found)), make([]string, len(found))
	for i, r := range found {
		details[i] = c.candidate(r)
		by := r.Constraint
		if r.Junction != nil {
			by = r.Junction.Name
			if r.Self {
				by = r.Junction.Far.Constraint
			}
		}
		hints[i] = "'" + r.Name + "!" + by + "'"
	}
	return nil, fault.Newf(fault.AmbiguousRelationship, "Could not embed because more than one relationship was found for '%s' and '%s'", c.relation.Name, e.Name).
		WithHint("Try changing '" + e.Name + "' to one of the following: " + strings.Join(hints, ", ") + ". Find the desired relationship in the 'details' key.").
		WithDetails(details)
}

func (c *compiler) candidate(r *catalog.Relationship) Candidate {
	list := func(columns []string) string { return "(" + strings.Join(columns, ", ") + ")" }
	out := Candidate{Cardinality: r.Cardinality.String(), Embedding: c.relation.Name + " with " + r.Name}
	switch {
	case r.Function != nil:
		out.Relationship = r.Function.Name + "(" + c.relation.Name + ")"
	case r.Junction != nil:
		out.Relationship = r.Junction.Name + " using " + r.Junction.Near.Constraint + list(r.Junction.Near.Columns) +
			" and " + r.Junction.Far.Constraint + list(r.Junction.Far.Columns)
	default:
		out.Relationship = r.Constraint + " using " + c.relation.Name + list(r.Columns) + " and " + r.Name + list(r.Referenced)
	}
	return out
}

// candidates are the relationships that an embed's name and hint fit. Functions
// come first: they are made to say which relationship is meant.
func (c *compiler) candidates(e *query.Embed) []*catalog.Relationship {
	var functions, found, further []*catalog.Relationship
	for i := range c.relation.Relationships {
		r := &c.relation.Relationships[i]
		switch {
		case r.Function != nil:
			if e.Name == r.Function.Name {
				functions = append(functions, r)
			}
		case c.fits(e, r):
			found = append(found, r)
		case e.Name == r.Name && r.Junction != nil && (e.Hint == r.Junction.Far.Constraint || isOnly(r.Junction.Far.Columns, e.Hint)):
			further = append(further, r)
		}
	}
	if len(functions) > 0 {
		return functions
	}
	if len(found) == 0 {
		found = further
	}
	return preferred(preferred(found, func(r *catalog.Relationship) bool { return r.Schema == c.relation.Schema }),
		// A table with a key to itself means that key before any junction.
		func(r *catalog.Relationship) bool { return !r.Self || r.Junction == nil })
}

// preferred keeps those that have a quality, if any has.
func preferred(list []*catalog.Relationship, quality func(*catalog.Relationship) bool) []*catalog.Relationship {
	if slices.ContainsFunc(list, quality) {
		return slices.DeleteFunc(list, func(r *catalog.Relationship) bool { return !quality(r) })
	}
	return list
}

// fits tells whether an embed may mean a relationship. The name is the other
// relation's, or, where that is a table, the constraint's or that of its only
// column here. The hint names a constraint, its only column on either side, or a
// junction. Of the two directions of a table's key to itself, the table's name
// means the rows that refer to this one, the column's name the row referred to.
func (c *compiler) fits(e *query.Embed, r *catalog.Relationship) bool {
	if e.Name == r.Name {
		if r.Self && r.Junction == nil && !r.Inverse {
			return false
		}
		return e.Hint == "" || e.Hint == r.Constraint || isOnly(r.Columns, e.Hint) && r.Junction == nil ||
			isOnly(r.Referenced, e.Hint) && r.Junction == nil || r.Junction != nil && e.Hint == r.Junction.Name
	}
	if e.Hint != "" || r.Junction != nil || r.OfPartition {
		return false
	}
	if rel, ok := c.relations.Relation(r.Schema, r.Name); !ok || rel.View {
		return false
	}
	if e.Name == r.Constraint {
		return !r.Self || r.Inverse
	}
	return !r.Inverse && isOnly(r.Columns, e.Name)
}

func isOnly(columns []string, name string) bool { return len(columns) == 1 && columns[0] == name }
