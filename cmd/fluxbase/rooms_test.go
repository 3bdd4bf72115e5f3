package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// allowed says for every room which rooms it may import besides itself.
var allowed = map[string][]string{
	"persistence": {},
	"actors":      {"persistence"},
	"transport":   {"actors", "persistence"},
	"listeners":   {"actors", "persistence"},
	"cluster":     {"actors", "persistence"},
	"cmd":         {"transport", "listeners", "cluster", "actors", "persistence"},
	"bench":       {"bench"},
}

// leaves are importable by every room and import none.
var leaves = []string{"persistence/caller", "persistence/fault", "persistence/query"}

// keepOut names libraries that belong to some places only.
var keepOut = []struct {
	library string
	from    []string
	except  []string
	why     string
}{
	{"github.com/valyala/fasthttp", []string{"actors", "persistence", "listeners", "cluster"}, nil, "HTTP belongs to transport"},
	{"net/http", []string{"actors", "persistence"}, nil, "HTTP belongs to transport"},
	{"github.com/asynkron/protoactor-go", []string{"actors", "persistence", "transport", "listeners", "cmd"}, []string{"actors/kernel"}, "the kernel hides it"},
	{"github.com/jackc/pgx/v5", []string{"actors", "transport", "cluster", "cmd"}, nil, "SQL belongs to persistence"},
	{"database/sql", []string{"actors", "transport", "cluster", "cmd"}, nil, "SQL belongs to persistence"},
	{"github.com/redis/go-redis/v9", []string{"actors", "persistence", "transport", "listeners", "cmd", "cluster"}, []string{"cluster/redis"}, "what nodes share belongs to cluster"},
	{"github.com/spf13/cobra", []string{"actors", "persistence", "transport", "listeners", "cluster"}, nil, "the command line belongs to cmd"},
}

type source struct {
	folder string // relative to the module, with slashes
	file   string
	test   bool
	paths  []string
}

func sources(t *testing.T) []source {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	var all []source
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		atTop := filepath.Dir(path) == root && (name == "data" || name == "bin") // what make run and make build leave there
		if d.IsDir() && path != root && (strings.HasPrefix(name, ".") || atTop || name == "node_modules") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		s := source{folder: filepath.ToSlash(folder), file: path, test: strings.HasSuffix(name, "_test.go")}
		for _, spec := range parsed.Imports {
			p, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			s.paths = append(s.paths, p)
		}
		all = append(all, s)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatal("no sources found")
	}
	return all
}

func within(path, folder string) bool { return path == folder || strings.HasPrefix(path, folder+"/") }

func room(folder string) string {
	first, _, _ := strings.Cut(folder, "/")
	return first
}

// TestImportsPointOneWay keeps the rooms apart: cmd knows everybody, transport,
// listeners and cluster do not know each other, actors know persistence only.
func TestImportsPointOneWay(t *testing.T) {
	for _, s := range sources(t) {
		from := room(s.folder)
		rooms, known := allowed[from]
		if !known {
			t.Errorf("%s is in no room", s.file)
			continue
		}
		for _, p := range s.paths {
			target, ours := strings.CutPrefix(p, "fluxbase/")
			if !ours {
				continue
			}
			if slices.Contains(leaves, s.folder) && !s.test && !slices.Contains(leaves, target) {
				t.Errorf("%s: the leaf %s imports %s", s.file, s.folder, target)
			}
			// A test may try its room together with others.
			to := room(target)
			if !s.test && to != from && !slices.Contains(rooms, to) && !slices.Contains(leaves, target) {
				t.Errorf("%s: %s must not import %s", s.file, from, target)
			}
		}
	}
}

// TestLibrariesStayInTheirRooms; tests may use what they like.
func TestLibrariesStayInTheirRooms(t *testing.T) {
	for _, s := range sources(t) {
		if s.test || strings.HasSuffix(s.folder, "test") {
			continue
		}
		for _, p := range s.paths {
			for _, k := range keepOut {
				if !within(p, k.library) || !slices.Contains(k.from, room(s.folder)) {
					continue
				}
				if slices.ContainsFunc(k.except, func(e string) bool { return within(s.folder, e) }) {
					continue
				}
				t.Errorf("%s imports %s: %s", s.file, p, k.why)
			}
		}
	}
}

// vague are names that say nothing of what is in a file or folder.
var vague = []string{"util", "utils", "common", "helper", "helpers", "types", "misc", "manager", "managers"}

func TestNamesSayWhatIsThere(t *testing.T) {
	for _, s := range sources(t) {
		name := strings.TrimSuffix(strings.TrimSuffix(filepath.Base(s.file), ".go"), "_test")
		for _, part := range append(strings.Split(s.folder, "/"), name) {
			if slices.Contains(vague, part) {
				t.Errorf("%s: %q says nothing", s.file, part)
			}
		}
	}
}

// TestTopLevelIsFixed: a new folder at the top is a new room, and that is a
// decision, not an accident.
func TestTopLevelIsFixed(t *testing.T) {
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !e.IsDir() || strings.HasPrefix(e.Name(), ".") || slices.Contains([]string{"bin", "data"}, e.Name()) {
			continue
		}
		if _, known := allowed[e.Name()]; !known {
			t.Errorf("unexpected folder %s", e.Name())
		}
	}
}
