package procedure

import (
	"errors"
	"strconv"
	"strings"

	pg "github.com/pganalyze/pg_query_go/v6"
)

// rowsName is the name that the statement has in the one around it. PostgreSQL
// refuses a procedure that has a part of the same name.
const rowsName = `"fluxbase: the rows of the procedure"`

// answering puts a statement into one that gives each of its rows as JSON, and at
// most as many as the parameter of that number says.
//
// What writes cannot stand in a FROM clause. It becomes the last part of the WITH
// clause, behind the parts that the statement itself has: PostgreSQL lets those
// write at the top only.
func (s *numbered) answering(node *pg.Node, kind string, limit int) (string, error) {
	with := withClause(node)
	var out strings.Builder
	if kind == "select" && !writesWithin(with) {
		out.WriteString("SELECT pg_catalog.row_to_json(r.*)::text FROM (" + s.text + "\n) r")
	} else {
		head, body, err := s.split(with)
		if err != nil {
			return "", err
		}
		out.WriteString(head + rowsName + " AS (" + body + "\n) SELECT pg_catalog.row_to_json(r.*)::text FROM " + rowsName + " r")
	}
	out.WriteString(" LIMIT $" + strconv.Itoa(limit))
	text := out.String()
	return text, s.intact(text, with, limit)
}

// intact checks what answering has made: one SELECT with all parameters in it.
func (s *numbered) intact(text string, with *pg.WithClause, limit int) error {
	tokens, err := scan(text)
	if err != nil {
		return err
	}
	node, err := parseOne(text, tokens)
	if err != nil {
		return err
	}
	outer := node.GetSelectStmt()
	if outer == nil || len(outer.FromClause) != 1 || outer.LimitCount.GetParamRef().GetNumber() != int32(limit) {
		return errors.New("the statement cannot be put into another one")
	}
	if parts := len(outer.WithClause.GetCtes()); parts > 0 && parts != len(with.GetCtes())+1 {
		return errors.New("the WITH clause cannot be put into another one")
	}
	if len(parametersOf(node)) != len(s.places)+1 {
		return errors.New("the statement loses parameters when it is put into another one")
	}
	return nil
}

func withClause(node *pg.Node) *pg.WithClause {
	switch n := node.Node.(type) {
	case *pg.Node_SelectStmt:
		return n.SelectStmt.WithClause
	case *pg.Node_InsertStmt:
		return n.InsertStmt.WithClause
	case *pg.Node_UpdateStmt:
		return n.UpdateStmt.WithClause
	case *pg.Node_DeleteStmt:
		return n.DeleteStmt.WithClause
	case *pg.Node_MergeStmt:
		return n.MergeStmt.WithClause
	}
	return nil
}

func writesWithin(with *pg.WithClause) bool {
	for _, n := range with.GetCtes() {
		if n.GetCommonTableExpr().GetCtequery().GetSelectStmt() == nil {
			return true
		}
	}
	return false
}

// split parts the text before its main statement. head is ready for one more part of
// the WITH clause.
func (s *numbered) split(with *pg.WithClause) (head, body string, err error) {
	if with == nil {
		return "WITH ", s.text, nil
	}
	if !s.is(s.tokens[0], "with") {
		return "", "", errors.New("the statement begins with a bracket: leave it out")
	}
	last := with.Ctes[len(with.Ctes)-1].GetCommonTableExpr()
	rest := s.tokens
	for len(rest) > 0 && rest[0].start < int(last.Location) {
		rest = rest[1:]
	}
	// name [(columns)] AS [[NOT] MATERIALIZED] (statement)
	if len(rest) > 0 {
		rest = rest[1:]
	}
	if len(last.Aliascolnames) > 0 {
		rest = s.behindBrackets(rest)
	}
	rest = s.behindBrackets(rest)
	// [SEARCH … SET name] [CYCLE … USING name]
	switch {
	case last.CycleClause != nil:
		rest = s.behind(rest, "using")
	case last.SearchClause != nil:
		rest = s.behind(rest, "set")
	}
	if len(rest) == 0 {
		return "", "", errors.New("the main statement is not found behind the WITH clause")
	}
	at := rest[0].start
	return s.text[:at] + ", ", s.text[at:], nil
}

// behindBrackets gives what follows the next pair of brackets.
func (s *numbered) behindBrackets(tokens []token) []token {
	depth := 0
	for i, t := range tokens {
		if t.kind != symbolToken {
			continue
		}
		switch s.text[t.start] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return tokens[i+1:]
			}
		}
	}
	return nil
}

// behind gives what follows a word and the name after it.
func (s *numbered) behind(tokens []token, word string) []token {
	for i, t := range tokens {
		if s.is(t, word) && i+2 <= len(tokens) {
			return tokens[i+2:]
		}
	}
	return nil
}

func (s *numbered) is(t token, word string) bool {
	return t.kind == wordToken && strings.EqualFold(s.text[t.start:t.end], word)
}
