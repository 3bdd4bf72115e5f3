package config

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/v2"
)

// Source says where Load reads from. The zero value reads nothing but defaults.
type Source struct {
	// File is the configuration file. Empty looks in the usual places and does
	// without when none is there.
	File string
	// Environ is in the form of os.Environ.
	Environ []string
	// Search are the folders that are looked through when File is empty.
	Search []string
}

// System is the process's own source: its environment and the usual places.
func System(file string) Source {
	return Source{File: file, Environ: os.Environ(), Search: []string{".", "config", "/etc/fluxbase"}}
}

// Loaded is a configuration and where it came from.
type Loaded struct {
	Config Config
	// File is the file that was read; empty when there was none.
	File string
	// Warnings are about what was ignored.
	Warnings []string
	// origins tell for every path that is not at its default where its value is from.
	origins map[string]string
}

// Origin says where the value of a path comes from: "default", the file, or the
// environment variable.
func (l *Loaded) Origin(path string) string {
	if o, ok := l.origins[path]; ok {
		return o
	}
	return "default"
}

// Load reads defaults, file and environment; later wins. The error joins
// everything that is wrong with keys and values; rules between values are
// Validate's, which the caller runs once missing secrets have been filled in.
func Load(src Source) (*Loaded, error) {
	l := &Loaded{origins: map[string]string{}}
	config := reflect.ValueOf(&l.Config).Elem()
	var problems []error
	for _, k := range keys {
		if k.fallback != "" {
			if err := assign(config.FieldByIndex(k.index), k.fallback); err != nil {
				return nil, fmt.Errorf("default of %s: %w", k.path, err)
			}
		}
	}
	l.Config.Tenants.Configs = map[string]Overrides{}
	path, err := src.find()
	if err != nil {
		return nil, err
	}
	if path != "" {
		l.File = path
		problems = append(problems, l.readFile(path)...)
	}
	problems = append(problems, l.readEnvironment(src.Environ)...)
	return l, errors.Join(problems...)
}

// Check loads src, finds the secrets and applies the rules of Validate. The error
// joins all that is wrong, keys, values and rules, so that one reading of it is
// enough to repair the configuration. Nothing is written; FillSecrets, to be
// called next by whoever starts a server, keeps the secrets that were missing.
// What was loaded comes back with an error, too, for its warnings; it is nil when
// the file that was asked for is not there.
func Check(src Source) (*Loaded, error) {
	l, broken := Load(src)
	if l == nil {
		return nil, broken
	}
	if err := l.FindSecrets(); err != nil {
		return l, errors.Join(broken, err)
	}
	warnings, invalid := l.Config.Validate()
	l.Warnings = append(l.Warnings, warnings...)
	return l, errors.Join(broken, invalid)
}

func (src Source) find() (string, error) {
	if src.File != "" {
		if _, err := os.Stat(src.File); err != nil {
			return "", fmt.Errorf("configuration file: %w", err)
		}
		return src.File, nil
	}
	for _, dir := range src.Search {
		for _, name := range []string{"fluxbase.yaml", "fluxbase.yml"} {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() {
				return path, nil
			}
		}
	}
	return "", nil
}

// fileBytes feeds a file's content to koanf.
type fileBytes []byte

func (b fileBytes) ReadBytes() ([]byte, error) { return b, nil }
func (b fileBytes) Read() (map[string]any, error) {
	return nil, errors.New("a file is read as bytes")
}

// readFile applies a YAML file. Every unknown key and bad value is reported.
func (l *Loaded) readFile(path string) []error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return []error{fmt.Errorf("configuration file: %w", err)}
	}
	return l.applyYAML(filepath.Base(path), raw)
}

func (l *Loaded) applyYAML(name string, raw []byte) []error {
	k := koanf.New(".")
	if err := k.Load(fileBytes(raw), yaml.Parser()); err != nil {
		return []error{fmt.Errorf("%s: %w", name, err)}
	}
	values := k.All()
	var problems []error
	for _, path := range slices.Sorted(maps.Keys(values)) {
		if err := l.set(path, values[path], name); err != nil {
			problems = append(problems, fmt.Errorf("%s: %s: %w", name, path, err))
		}
	}
	return problems
}

// set gives one path a value, wherever it was written.
func (l *Loaded) set(path string, value any, origin string) error {
	config := reflect.ValueOf(&l.Config).Elem()
	if k, ok := byPath[path]; ok && k.kind != overridesType {
		l.origins[path] = origin
		return assign(config.FieldByIndex(k.index), value)
	}
	if of, ok := strings.CutSuffix(path, "_file"); ok && byPath[of].secret() {
		file, ok := scalar(value)
		if !ok {
			return errors.New("the name of a file is expected here")
		}
		l.origins[of] = origin
		return assignFromFile(config.FieldByIndex(byPath[of].index), file)
	}
	if rest, ok := strings.CutPrefix(path, "tenants.configs."); ok {
		slug, setting, ok := strings.Cut(rest, ".")
		if !ok {
			return errors.New("a tenant's configuration has sections")
		}
		return l.override(slug, setting, value)
	}
	if m, ok := value.(map[string]any); (value == nil || ok && len(m) == 0) && isSection(path) {
		return nil // a section with everything in it commented out
	}
	if near := nearest(path); near != "" {
		return fmt.Errorf("unknown key; did you mean %s?", near)
	}
	return errors.New("unknown key")
}

func isSection(path string) bool {
	if path == "tenants.configs" {
		return true
	}
	return slices.ContainsFunc(keys, func(k key) bool { return strings.HasPrefix(k.path, path+".") })
}

// tenantSections are the parts of the configuration that a tenant may have its
// own values for.
var tenantSections = []string{"auth", "storage", "email", "functions", "jobs", "ai", "realtime", "api", "graphql", "rpc"}

// override records a tenant's own value after checking it like any other.
func (l *Loaded) override(slug, path string, value any) error {
	section, _, _ := strings.Cut(path, ".")
	if !slices.Contains(tenantSections, section) {
		return fmt.Errorf("a tenant may set only %s", strings.Join(tenantSections, ", "))
	}
	k, ok := byPath[path]
	if !ok {
		if near := nearest(path); near != "" {
			return fmt.Errorf("unknown key; did you mean %s?", near)
		}
		return errors.New("unknown key")
	}
	typed := reflect.New(k.kind).Elem()
	if err := assign(typed, value); err != nil {
		return err
	}
	if l.Config.Tenants.Configs[slug] == nil {
		l.Config.Tenants.Configs[slug] = Overrides{}
	}
	l.Config.Tenants.Configs[slug][path] = typed.Interface()
	return nil
}

// foreignVariables begin with FLUXBASE_ and belong to clients, the test suite
// and the build, not to the server's configuration.
var foreignVariables = []string{
	"FLUXBASE_TEST_DATABASE_URL", "FLUXBASE_CONFIG", "FLUXBASE_SERVER", "FLUXBASE_TOKEN", "FLUXBASE_PROFILE",
	"FLUXBASE_URL", "FLUXBASE_ANON_KEY", "FLUXBASE_SERVICE_ROLE_KEY", "FLUXBASE_SERVICE_TOKEN", "FLUXBASE_JOB_TOKEN",
}

// readEnvironment applies FLUXBASE_ variables. Unknown ones are warnings: the
// environment is shared with programs that have variables of their own.
func (l *Loaded) readEnvironment(environ []string) []error {
	byVariable := make(map[string]key, len(keys))
	for _, k := range keys {
		byVariable[k.variable] = k
	}
	// REDIS_URL has a short name because it is what people look for first.
	byVariable["FLUXBASE_REDIS_URL"] = byPath["scaling.redis_url"]
	var problems []error
	for _, entry := range slices.Sorted(slices.Values(environ)) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "FLUXBASE_") || slices.Contains(foreignVariables, name) {
			continue
		}
		var err error
		of, isFile := strings.CutSuffix(name, "_FILE")
		switch {
		case byVariable[name].path != "" && byVariable[name].kind != overridesType:
			err = l.set(byVariable[name].path, value, name)
		case isFile && byVariable[of].secret():
			err = l.set(byVariable[of].path+"_file", value, name)
		case strings.HasPrefix(name, "FLUXBASE_TENANTS__"):
			err = l.overrideVariable(strings.TrimPrefix(name, "FLUXBASE_TENANTS__"), value)
		default:
			l.Warnings = append(l.Warnings, "unknown environment variable "+name+" is ignored")
		}
		if err != nil {
			problems = append(problems, fmt.Errorf("%s: %w", name, err))
		}
	}
	if l.Config.Scaling.RedisURL != "" && l.Origin("scaling.backend") == "default" {
		l.Config.Scaling.Backend = "redis"
	}
	return problems
}

// overrideVariable applies SLUG__SECTION__KEY.
func (l *Loaded) overrideVariable(name, value string) error {
	parts := strings.Split(strings.ToLower(name), "__")
	if len(parts) < 3 {
		return errors.New("the form is FLUXBASE_TENANTS__SLUG__SECTION__KEY")
	}
	slug := strings.ReplaceAll(parts[0], "_", "-")
	return l.override(slug, strings.Join(parts[1:], "."), value)
}

func assignFromFile(field reflect.Value, path string) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return assign(field, strings.TrimRight(string(raw), "\r\n"))
}
