package scenario

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"fluxbase/persistence/postgres/npmtest"
)

// TestGraphQLReference: the packages graphql and graphql-http, as npm has them, find
// nothing wrong with a node: its schemas are valid, its answers are what they promise,
// it takes the documents that the reference takes, and it passes the audit.
func TestGraphQLReference(t *testing.T) {
	t.Parallel()
	folder := npmtest.Install(t, "graphql")
	n := startTables(t, graphqlDDL)
	n.exec(t, graphqlSeed)
	type document struct {
		Name      string          `json:"name"`
		Query     string          `json:"query"`
		Variables json.RawMessage `json:"variables,omitempty"`
		Operation string          `json:"operation,omitempty"`
		Valid     bool            `json:"valid"`
	}
	var documents []document
	for _, c := range graphqlCases {
		if c.as != "" || c.code != "" && c.code != "GRAPHQL_VALIDATION_FAILED" {
			continue
		}
		d := document{Name: c.name, Query: c.query, Operation: c.op, Valid: c.code == ""}
		if c.vars != "" {
			d.Variables = json.RawMessage(c.vars)
		}
		documents = append(documents, d)
	}
	text, err := json.Marshal(documents)
	if err != nil {
		t.Fatal(err)
	}
	cases := filepath.Join(t.TempDir(), "cases.json")
	if err := os.WriteFile(cases, text, 0o600); err != nil {
		t.Fatal(err)
	}
	const script = "testdata/graphql.mjs"
	// Opened here, so that go test knows that its result depends on it.
	if _, err := os.Stat(script); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", script)
	cmd.Env = append(os.Environ(), "PACKAGES="+folder, "CASES="+cases, "URL_="+n.URL, "SERVICE="+n.ServiceKey, "ANN="+n.ann.AccessToken)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
