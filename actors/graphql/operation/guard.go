package operation

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/persistence/fault"
)

// What a document may have at all, so that reading and checking it costs little: some
// rules compare each field with each other of its name. An operation of more fields
// than its complexity may be would be refused in any case, were it not for those that
// are there twice.
const (
	maxTokens   = 12000
	leastFields = 1000
	mostFields  = 10000
	maxNesting  = 100
)

// maxFields is how many fields a document may have, its fragments expanded.
func (r Rules) maxFields() int {
	if r.MaxComplexity <= 0 {
		return mostFields
	}
	return min(max(r.MaxComplexity, leastFields), mostFields)
}

// guard refuses documents whose fields are too many or too deep once their fragments
// are expanded, and fragments where there may be none. It needs no schema, and counts
// each fragment once: of fragments that double at each step the number alone would
// never end.
func (r Rules) guard(doc *ast.QueryDocument) *Error {
	most := r.maxFields()
	g := &guard{doc: doc, fragments: !r.RefuseFragments, known: map[string]size{}}
	total := 0
	for _, op := range doc.Operations {
		s := g.selections(op.SelectionSet)
		if total += s.fields; total > most || g.failed == nil && s.depth > maxNesting {
			return failure(fault.GraphQLLimitExceeded, op.Position, "the document has too many fields: at most %d, nested at most %d deep", most, maxNesting)
		}
	}
	// Those that no operation uses are checked, too.
	for _, f := range doc.Fragments {
		if s := g.fragment(f); s.fields > most || s.depth > maxNesting {
			return failure(fault.GraphQLLimitExceeded, f.Position, "the document has too many fields: at most %d, nested at most %d deep", most, maxNesting)
		}
	}
	return g.failed
}

type guard struct {
	doc       *ast.QueryDocument
	fragments bool
	known     map[string]size
	failed    *Error
}

// size is how many fields there are in a selection, and how deep they are nested.
type size struct{ fields, depth int }

func (s size) with(o size) size {
	return size{min(s.fields+o.fields, mostFields+1), max(s.depth, o.depth)}
}

func (g *guard) selections(set ast.SelectionSet) size {
	var s size
	for _, one := range set {
		switch one := one.(type) {
		case *ast.Field:
			inner := g.selections(one.SelectionSet)
			s = s.with(size{inner.fields + 1, inner.depth + 1})
		case *ast.InlineFragment:
			s = s.with(g.selections(one.SelectionSet))
		case *ast.FragmentSpread:
			if !g.fragments && g.failed == nil {
				g.failed = failure(fault.GraphQLLimitExceeded, one.Position, "Fragment spreads are not allowed")
			}
			if f := g.doc.Fragments.ForName(one.Name); f != nil {
				s = s.with(g.fragment(f))
			}
		}
	}
	return s
}

func (g *guard) fragment(f *ast.FragmentDefinition) size {
	if s, ok := g.known[f.Name]; ok {
		return s // of one that contains itself: nothing yet; the rules refuse it
	}
	g.known[f.Name] = size{}
	s := g.selections(f.SelectionSet)
	g.known[f.Name] = s
	return s
}
