package scenario

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// tablesNode is a node on a database with tables made for the test, a
// superuser's connection to it, and somebody of every kind to ask as.
type tablesNode struct {
	*servertest.Node
	admin    *pgx.Conn
	ann, bob servertest.User
}

// startTables brings up a node on a database that ddl was run in. settings are those
// of servertest.Start.
func startTables(t *testing.T, ddl string, settings ...string) *tablesNode {
	t.Helper()
	address := dbtest.Create(t)
	admin, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = admin.Close(context.Background()) })
	n := &tablesNode{admin: admin}
	n.exec(t, ddl)
	n.Node = servertest.On(t, address, settings...)
	n.ann, n.bob = n.SignUp("ann@example.com"), n.SignUp("bob@example.com")
	return n
}

// token is the credential of somebody: ann, bob, anon, service or nobody.
func (n *tablesNode) token(t *testing.T, who string) string {
	t.Helper()
	switch who {
	case "service":
		return n.ServiceKey
	case "anon":
		return n.AnonKey
	case "ann":
		return n.ann.AccessToken
	case "bob":
		return n.bob.AccessToken
	case "nobody":
		return ""
	}
	t.Fatalf("nobody is called %q", who)
	return ""
}

func (n *tablesNode) exec(t *testing.T, sql string) {
	t.Helper()
	if _, err := n.admin.Exec(t.Context(), sql); err != nil {
		t.Fatal(err)
	}
}

func (n *tablesNode) text(t *testing.T, sql string) string {
	t.Helper()
	var text string
	if err := n.admin.QueryRow(t.Context(), sql).Scan(&text); err != nil {
		t.Fatal(err)
	}
	return text
}
