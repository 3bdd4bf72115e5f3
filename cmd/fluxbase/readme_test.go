package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuaranteesAreHeldByTests: each line of the README's guarantees names the
// tests that hold it, and those exist; no line that was promised is missing.
func TestGuaranteesAreHeldByTests(t *testing.T) {
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(readme), "\n## Guarantees\n")
	if !ok {
		t.Fatal("the README has no guarantees")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	exists := testNames(t)
	named := regexp.MustCompile("`(Test[A-Za-z0-9_]*)`")
	var lines []string
	for _, line := range strings.Split(section, "\n") {
		cells := strings.Split(strings.Trim(line, "| "), " | ")
		if !strings.HasPrefix(line, "| ") || slices.Contains([]string{"Message", "What happens"}, cells[0]) {
			continue
		}
		lines = append(lines, cells[0])
		held := named.FindAllStringSubmatch(cells[len(cells)-1], -1)
		if len(held) == 0 && !strings.Contains(line, "not built yet") {
			t.Errorf("no test holds %q", cells[0])
		}
		for _, name := range held {
			if !exists[name[1]] {
				t.Errorf("%q is held by %s, which does not exist", cells[0], name[1])
			}
		}
	}
	for _, promised := range []string{
		"Table change", "Broadcast", "Presence", "Log of an execution", "Progress",
		"A client reconnects", "A node crashes", "PostgreSQL restarts", "A client is slow", "Access is revoked",
	} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(line, promised) }) {
			t.Errorf("nothing is said about: %s", promised)
		}
	}
}

// testNames are all tests of the module.
func testNames(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	declared := regexp.MustCompile(`(?m)^func (Test[A-Za-z0-9_]*)\(t \*testing\.T\)`)
	err := filepath.WalkDir("../..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "../.." && strings.HasPrefix(d.Name(), ".") {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		for _, name := range declared.FindAllStringSubmatch(string(text), -1) {
			names[name[1]] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return names
}
