package ddl

import (
	"testing"

	grammar "github.com/wasilibs/go-pgquery"
)

// FuzzExpression: a text that is let through stays inside of its parentheses: the
// table that it is a default of has the same columns as with any other default.
func FuzzExpression(f *testing.F) {
	for _, text := range []string{
		"1", "now()", "'a'')'", `"x"`, "ARRAY[1,2]", "1), b int default (2", "1 -- x", "'open", "$$)$$", "E'\\'')'", "U&'\\'", "(1", "[(])", "1 /* ) */",
		"'a'\n'b'", "case when true then 1 end", "x'1'", "1;", "a'b", "é'b'", `"a""b)"`, "'", "1 = any('{1}')", "(select 1)", "1::numeric(10,2)",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if checkExpression(text) != nil {
			return
		}
		tree, err := grammar.Parse("CREATE TABLE t (a int NOT NULL DEFAULT (" + text + "\n), b int)")
		if err != nil {
			return // no expression
		}
		if len(tree.Stmts) != 1 || tree.Stmts[0].Stmt.GetCreateStmt() == nil {
			t.Fatalf("%q makes %d statements", text, len(tree.Stmts))
		}
		columns := tree.Stmts[0].Stmt.GetCreateStmt().TableElts
		if len(columns) != 2 || columns[0].GetColumnDef() == nil || columns[1].GetColumnDef().GetColname() != "b" || len(columns[0].GetColumnDef().Constraints) != 2 {
			t.Fatalf("%q leaves its parentheses: %v", text, columns)
		}
	})
}
