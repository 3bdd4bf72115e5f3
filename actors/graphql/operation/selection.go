package operation

import (
	"github.com/vektah/gqlparser/v2/ast"

	"fluxbase/actors/graphql/schema"
	"fluxbase/persistence/fault"
)

// Selection is a field of the answer: fragments are expanded, directives obeyed, and
// fields of one key merged.
type Selection struct {
	// Key is what the field is called in the answer.
	Key string
	// Node is the field in the document, the first one of its key.
	Node *ast.Field
	// Object is the type that the field is of.
	Object string
	// Field is what it stands for; nil for __typename, __schema and __type.
	Field *schema.Field
	// Fields are selected from the field's value.
	Fields []*Selection
}

// Operation is an operation of a document with the variables of a request.
type Operation struct {
	Kind   ast.Operation
	Fields []*Selection

	schema   *schema.Schema
	coercion coercion
}

// Prepare makes an operation ready: its variables are coerced, its fields collected
// and held against the limits. variables is a JSON object or empty. The error is a
// Refusal.
func (d *Document) Prepare(op *ast.OperationDefinition, variables []byte, r Rules) (*Operation, error) {
	given, err := readVariables(d.schema.AST.Types, op, variables)
	if err != nil {
		return nil, Refuse(err)
	}
	o := &Operation{Kind: op.Operation, schema: d.schema, coercion: coercion{types: d.schema.AST.Types, variables: given}}
	root := d.schema.AST.Query
	if op.Operation == ast.Mutation {
		root = d.schema.AST.Mutation
	}
	if op.Operation == ast.Subscription || root == nil {
		return nil, Refusal{failure(fault.GraphQLValidationFailed, op.Position, "%s operations are not served here", op.Operation)}
	}
	e := &expansion{operation: o, fragments: d.query.Fragments}
	if o.Fields, err = e.fields(root, op.SelectionSet); err != nil {
		return nil, Refuse(err)
	}
	if err := r.check(o, r.Introspection); err != nil {
		return nil, Refuse(err)
	}
	return o, nil
}

// expansion collects the fields of an operation.
type expansion struct {
	operation *Operation
	fragments ast.FragmentDefinitionList
}

// fields collects what is selected from an object, by the sets that are selected from
// fields of one key.
func (e *expansion) fields(object *ast.Definition, sets ...ast.SelectionSet) ([]*Selection, error) {
	var list []*Selection
	byKey := map[string]*Selection{}
	inner := map[*Selection][]ast.SelectionSet{}
	var collect func(set ast.SelectionSet) error
	collect = func(set ast.SelectionSet) error {
		for _, one := range set {
			switch one := one.(type) {
			case *ast.Field:
				if taken, err := e.taken(one.Directives); err != nil || !taken {
					if err != nil {
						return err
					}
					continue
				}
				s := byKey[one.Alias]
				if s == nil {
					s = &Selection{Key: one.Alias, Node: one, Object: object.Name, Field: e.operation.schema.Field(object.Name, one.Name)}
					byKey[s.Key] = s
					list = append(list, s)
				}
				inner[s] = append(inner[s], one.SelectionSet)
			case *ast.InlineFragment:
				if taken, err := e.taken(one.Directives); err != nil || !taken {
					if err != nil {
						return err
					}
					continue
				}
				if err := collect(one.SelectionSet); err != nil {
					return err
				}
			case *ast.FragmentSpread:
				if taken, err := e.taken(one.Directives); err != nil || !taken {
					if err != nil {
						return err
					}
					continue
				}
				if err := collect(e.fragments.ForName(one.Name).SelectionSet); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for _, set := range sets {
		if err := collect(set); err != nil {
			return nil, err
		}
	}
	for _, s := range list {
		def := e.operation.schema.AST.Types[s.Node.Definition.Type.Name()]
		if def == nil || def.Kind != ast.Object {
			continue
		}
		var err error
		if s.Fields, err = e.fields(def, inner[s]...); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// taken tells what @skip and @include say.
func (e *expansion) taken(directives ast.DirectiveList) (bool, error) {
	for _, d := range directives {
		if d.Name != "skip" && d.Name != "include" {
			continue
		}
		arg := d.Arguments.ForName("if")
		v, absent, err := e.operation.coercion.argument(arg.Value, ast.NonNullNamedType("Boolean", nil), "@"+d.Name)
		if err != nil || absent {
			return false, err
		}
		if (v.leaf() == "true") == (d.Name == "skip") {
			return false, nil
		}
	}
	return true, nil
}
