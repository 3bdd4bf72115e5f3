package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

func parse(t *testing.T, s source) (*token.FileSet, *ast.File) {
	t.Helper()
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, s.file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	return fset, file
}

// statement is text that is SQL rather than a sentence about it.
var statement = regexp.MustCompile(`(?is)^\s*(` + strings.Join([]string{
	`select\s+[\w*"(].*\sfrom\s+["\w]+\.?`,
	`insert\s+into\s+[\w".]+\s*[(sv]`,
	`update\s+[\w".]+\s+set\s+[\w"]+\s*=`,
	`delete\s+from\s+[\w".]+\s*(where|using|$)`,
	`(create|alter|drop)\s+(table|schema|role|database|extension|function|trigger|policy|index|view)\s+(if\s+|[\w"]+[.\s;])`,
	`with\s+(recursive\s+)?\w+\s+as\s+(materialized\s+)?\(`,
	`set\s+(local\s+|session\s+)?(role|statement_timeout|search_path)\b`,
	`(grant|revoke)\s+[\w, ]+\s+(on|to|from)\s+[\w"]+\s*(to|from|;|$)`,
	`(listen|notify|unlisten)\s+["\w]+;?\s*$`,
	`select\s+(set_config|pg_\w+)\s*\(`,
}, "|") + `)`)

// capitalised is how a sentence starts, and SQL does not.
var capitalised = regexp.MustCompile(`^\s*[A-Z][a-z]`)

func isSQL(text string) bool { return statement.MatchString(text) && !capitalised.MatchString(text) }

// SQL is written in one room.
func TestSQLStaysInPersistence(t *testing.T) {
	for _, s := range sources(t) {
		if r := room(s.folder); s.test || r == "persistence" || r == "bench" || strings.HasSuffix(s.folder, "test") {
			continue
		}
		fset, file := parse(t, s)
		ast.Inspect(file, func(n ast.Node) bool {
			lit, ok := n.(*ast.BasicLit)
			if !ok || lit.Kind != token.STRING {
				return true
			}
			text, err := strconv.Unquote(lit.Value)
			if err != nil {
				t.Fatal(err)
			}
			if isSQL(text) {
				t.Errorf("%s: SQL outside of persistence: %.80q", fset.Position(lit.Pos()), text)
			}
			return true
		})
	}
}

func TestStatementTellsSQLFromSentences(t *testing.T) {
	for _, text := range []string{
		"SELECT 1 FROM pg_class", "select id, name\nfrom auth.users where id = $1", "INSERT INTO a (b) VALUES ($1)",
		"update platform.leases set epoch = $1", "DELETE FROM x WHERE id = 1", "CREATE TABLE IF NOT EXISTS t (id int)",
		"WITH a AS (SELECT 1) SELECT * FROM a", "SET LOCAL ROLE anon", "select set_config('role', 'anon', true)", "LISTEN doorbell",
	} {
		if !isSQL(text) {
			t.Errorf("SQL is not seen: %q", text)
		}
	}
	for _, text := range []string{
		"select", "update a task", "Select a server from the list", "delete from the menu", "create a table", "with a server that listens",
		"drop the connection", "listen on this address", "insert into the queue", "/api/v1/tables/{table}",
	} {
		if isSQL(text) {
			t.Errorf("a sentence is taken for SQL: %q", text)
		}
	}
}

// No transaction outlives a message: an actor never holds one.
func TestActorsHoldNoTransaction(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || room(s.folder) != "actors" {
			continue
		}
		fset, file := parse(t, s)
		ast.Inspect(file, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok && sel.Sel.Name == "Tx" {
				if pkg, ok := sel.X.(*ast.Ident); ok && pkg.Name == "pgx" {
					t.Errorf("%s: pgx.Tx in an actor", fset.Position(sel.Pos()))
				}
			}
			return true
		})
	}
}
