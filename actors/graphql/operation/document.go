// Package operation reads GraphQL requests: it checks a document against a schema and
// its limits, expands fragments and directives, coerces what the client gave, and
// turns fields into the trees of persistence/query. It runs nothing.
package operation

import (
	"errors"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/fault"
)

// Document is a document that is valid in a schema. It is immutable.
type Document struct {
	schema *schema.Schema
	query  *ast.QueryDocument
}

// Rules say how documents are checked.
type Rules struct {
	Limits
	// Introspection tells whether documents may ask for the schema. Where they may
	// not, errors do not suggest names of it either.
	Introspection bool
}

// Parse reads and checks a document. Its error is a Refusal.
func Parse(s *schema.Schema, text string, r Rules) (*Document, error) {
	doc, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, maxTokens)
	if err != nil {
		return nil, refusal(fault.GraphQLParseFailed, known(err))
	}
	if len(doc.Operations) == 0 {
		return nil, Refusal{failure(fault.GraphQLParseFailed, nil, "the document has no operation")}
	}
	// What validating costs is bounded first.
	if err := r.guard(doc); err != nil {
		return nil, Refusal{err}
	}
	if errs := validator.ValidateWithRules(s.AST, doc, r.rules()); len(errs) > 0 {
		return nil, refusal(fault.GraphQLValidationFailed, errs...)
	}
	return &Document{schema: s, query: doc}, nil
}

// rules are those of the specification.
func (r Rules) rules() *rules.Rules {
	all := rules.NewDefaultRules()
	if !r.Introspection {
		all.ReplaceRule(rules.FieldsOnCorrectTypeRule.Name, rules.FieldsOnCorrectTypeRuleWithoutSuggestions.RuleFunc)
		all.ReplaceRule(rules.KnownArgumentNamesRule.Name, rules.KnownArgumentNamesRuleWithoutSuggestions.RuleFunc)
		all.ReplaceRule(rules.KnownTypeNamesRule.Name, rules.KnownTypeNamesRuleWithoutSuggestions.RuleFunc)
		all.ReplaceRule(rules.ValuesOfCorrectTypeRule.Name, rules.ValuesOfCorrectTypeRuleWithoutSuggestions.RuleFunc)
	}
	return all
}

func known(err error) *gqlerror.Error {
	var e *gqlerror.Error
	if errors.As(err, &e) {
		return e
	}
	return &gqlerror.Error{Message: err.Error()}
}

// Find finds the operation of a name; an empty name means the only one.
func (d *Document) Find(name string) (*ast.OperationDefinition, error) {
	if name == "" {
		if len(d.query.Operations) != 1 {
			return nil, Refusal{failure(fault.GraphQLOperationUnknown, nil, "the document has several operations: operationName must name one of them")}
		}
		return d.query.Operations[0], nil
	}
	for _, op := range d.query.Operations {
		if op.Name == name {
			return op, nil
		}
	}
	return nil, Refusal{failure(fault.GraphQLOperationUnknown, nil, "the document has no operation %q", name)}
}
