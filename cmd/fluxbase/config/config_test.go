package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

func load(t *testing.T, yaml string, env ...string) (*Loaded, error) {
	t.Helper()
	src := Source{Environ: env}
	if yaml != "" {
		src.File = filepath.Join(t.TempDir(), "fluxbase.yaml")
		if err := os.WriteFile(src.File, []byte(yaml), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return Load(src)
}

// valid is a configuration that keeps every rule.
func valid(t *testing.T) *Loaded {
	t.Helper()
	l, err := load(t, "", "FLUXBASE_DATA_DIR="+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if err := l.FillSecrets(); err != nil {
		t.Fatal(err)
	}
	return l
}

func TestDefaultsAreValid(t *testing.T) {
	l := valid(t)
	warnings, err := l.Config.Validate()
	if err != nil || len(warnings) > 0 {
		t.Errorf("got %v, %v", warnings, err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"server.address", l.Config.Server.Address, ":8080"},
		{"auth.jwt_expiry", l.Config.Auth.JWTExpiry, 15 * time.Minute},
		{"server.body_limits.auth", l.Config.Server.BodyLimits.Auth, Bytes(64 << 10)},
		{"database.max_connections", l.Config.Database.MaxConnections, 50},
		{"functions.default_timeout", l.Config.Functions.DefaultTimeout, 30 * time.Second},
		{"storage.default_buckets", fmt.Sprint(l.Config.Storage.DefaultBuckets), "[uploads temp-files public]"},
		{"managed", l.Config.Database.Managed(), true},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
}

func TestKeysAreUnambiguous(t *testing.T) {
	paths, variables := map[string]bool{}, map[string]string{}
	for _, k := range keys {
		if strings.HasSuffix(k.path, ".") || strings.Contains(k.path, "..") {
			t.Errorf("a field has no key tag: %q", k.path)
		}
		if paths[k.path] {
			t.Errorf("%s is there twice", k.path)
		}
		if other, ok := variables[k.variable]; ok {
			t.Errorf("%s means both %s and %s", k.variable, k.path, other)
		}
		paths[k.path], variables[k.variable] = true, k.path
	}
}

func TestLaterSourcesWin(t *testing.T) {
	l, err := load(t, "server:\n  address: :1\n  read_timeout: 5\ncors:\n  allowed_origins: [https://a.example, https://b.example]\n",
		"FLUXBASE_SERVER_ADDRESS=:2", "FLUXBASE_SERVER_TRUSTED_PROXIES=10.0.0.0/8, 127.0.0.1", "OTHER=x")
	if err != nil {
		t.Fatal(err)
	}
	if l.Config.Server.Address != ":2" || l.Origin("server.address") != "FLUXBASE_SERVER_ADDRESS" {
		t.Errorf("address %s from %s", l.Config.Server.Address, l.Origin("server.address"))
	}
	if l.Config.Server.ReadTimeout != 5*time.Second || l.Origin("server.read_timeout") != "fluxbase.yaml" {
		t.Errorf("a bare number is seconds: got %s from %s", l.Config.Server.ReadTimeout, l.Origin("server.read_timeout"))
	}
	if got := fmt.Sprint(l.Config.CORS.AllowedOrigins, l.Config.Server.TrustedProxies); got != "[https://a.example https://b.example] [10.0.0.0/8 127.0.0.1]" {
		t.Errorf("lists: %s", got)
	}
}

func TestFileMistakes(t *testing.T) {
	for _, c := range []struct{ name, yaml, want string }{
		{"misspelled key", "server:\n  adress: :1\n", "server.adress: unknown key; did you mean server.address?"},
		{"misspelled section", "databse:\n  host: x\n", "did you mean database.host?"},
		{"wrong section", "jwt_secret: x\n", "did you mean auth.jwt_secret?"},
		{"nothing like it", "qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq: 1\n", "unknown key"},
		{"no duration", "auth:\n  jwt_expiry: soon\n", `auth.jwt_expiry: "soon" is no duration`},
		{"negative duration", "auth:\n  jwt_expiry: -5m\n", "is no duration"},
		{"no number", "api:\n  max_page_size: many\n", `"many" is no whole number`},
		{"no boolean", "debug: maybe\n", "neither true nor false"},
		{"no size", "server:\n  body_limit: 2 elephants\n", "is no size"},
		{"section as value", "server: 5\n", "server: unknown key"},
		{"value as section", "debug:\n  deep: 1\n", "debug.deep: unknown key"},
		{"broken file", "server: [\n", "fluxbase.yaml"},
		{"missing secret file", "encryption_key_file: /nowhere/at/all\n", "no such file"},
		{"foreign tenant section", "tenants:\n  configs:\n    acme:\n      server:\n        address: x\n", "a tenant may set only"},
		{"unknown tenant key", "tenants:\n  configs:\n    acme:\n      auth:\n        jwt_expirx: 1m\n", "did you mean auth.jwt_expiry?"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := load(t, c.yaml)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("all at once", func(t *testing.T) {
		_, err := load(t, "server:\n  adress: x\nauth:\n  jwt_expiry: soon\n", "FLUXBASE_DEBUG=maybe")
		for _, want := range []string{"server.adress", "auth.jwt_expiry", "FLUXBASE_DEBUG"} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%q is missing in: %v", want, err)
			}
		}
	})
	t.Run("sections without content are fine", func(t *testing.T) {
		if _, err := load(t, "server:\nauth: {}\ntenants:\n  configs:\n"); err != nil {
			t.Error(err)
		}
	})
	t.Run("a named file must be there", func(t *testing.T) {
		if _, err := Load(Source{File: "/nowhere/fluxbase.yaml"}); err == nil {
			t.Error("no error")
		}
	})
}

func TestEnvironment(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("from the file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := load(t, "",
		"FLUXBASE_AUTH_JWT_SECRET_FILE="+secret,
		"FLUXBASE_TEST_DATABASE_URL=ignored",
		"FLUXBASE_SERVER_ADRESS=:1",
		"FLUXBASE_REDIS_URL=redis://localhost",
		"FLUXBASE_TENANTS__ACME_CORP__AUTH__JWT_EXPIRY=1h",
	)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Config.Auth.JWTSecret.Reveal(); got != "from the file" {
		t.Errorf("secret from file: %q", got)
	}
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "FLUXBASE_SERVER_ADRESS") {
		t.Errorf("warnings: %q", l.Warnings)
	}
	if l.Config.Scaling.Backend != "redis" {
		t.Errorf("a Redis address alone chooses Redis: got %s", l.Config.Scaling.Backend)
	}
	if got := l.Config.Tenants.Configs["acme-corp"]["auth.jwt_expiry"]; got != time.Hour {
		t.Errorf("tenant's own value: %v", got)
	}
	if _, err := load(t, "", "FLUXBASE_TENANTS__ACME=1"); err == nil {
		t.Error("a tenant variable without section was accepted")
	}
}

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Config)
		want   string
	}{
		{"empty JWT secret", func(c *Config) { c.Auth.JWTSecret = "" }, "auth.jwt_secret: is required"},
		{"example JWT secret", func(c *Config) { c.Auth.JWTSecret = "your-secret-key-change-in-production" }, "published example"},
		{"regular JWT secret", func(c *Config) { c.Auth.JWTSecret = Secret(strings.Repeat("abcd", 20)) }, "too regular"},
		{"short JWT secret", func(c *Config) { c.Auth.JWTSecret = "aB3$dE5gH7jK9mN1pQ2rS4tU" }, "at least 32 characters"},
		{"short encryption key", func(c *Config) { c.EncryptionKey = "short" }, "exactly 32 bytes"},
		{"weak set-up token", func(c *Config) { c.Security.SetupToken = "ChangeMe123" }, "can be guessed"},
		{"ssl mode", func(c *Config) { c.Database.SSLMode = "maybe" }, "database.ssl_mode"},
		{"port", func(c *Config) { c.Metrics.Port = 70000 }, "metrics.port"},
		{"address", func(c *Config) { c.Server.Address = "8080" }, "server.address"},
		{"database address", func(c *Config) { c.Database.URL = "mysql://x" }, "database.url"},
		{"base address", func(c *Config) { c.BaseURL = "localhost:8080" }, "base_url"},
		{"redis without address", func(c *Config) { c.Scaling.Backend = "redis" }, "scaling.redis_url"},
		{"logs in S3 without bucket", func(c *Config) { c.Logging.Backend = "s3" }, "logging.s3_bucket"},
		{"range", func(c *Config) { c.Server.TrustedProxies = []string{"everyone"} }, "server.trusted_proxies"},
		{"open CORS", func(c *Config) { c.CORS.AllowedOrigins = []string{"*"} }, "cors.allowed_origins"},
		{"late fence", func(c *Config) { c.Cluster.Fence = c.Cluster.Lease }, "cluster.fence"},
		{"no time to drain", func(c *Config) { c.Server.DrainGrace = c.Server.ShutdownTimeout }, "server.drain_grace"},
		{"no workers", func(c *Config) { c.Tables.Workers = 0 }, "tables.workers"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := valid(t)
			c.change(&l.Config)
			_, err := l.Config.Validate()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	t.Run("hexadecimal JWT secrets are fine", func(t *testing.T) {
		l := valid(t)
		l.Config.Auth.JWTSecret = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
		if warnings, err := l.Config.Validate(); err != nil || len(warnings) > 0 {
			t.Errorf("got %q, %v", warnings, err)
		}
	})
	t.Run("all at once", func(t *testing.T) {
		l := valid(t)
		l.Config.EncryptionKey, l.Config.Server.Address = "x", "y"
		_, err := l.Config.Validate()
		if err == nil || !strings.Contains(err.Error(), "encryption_key") || !strings.Contains(err.Error(), "server.address") {
			t.Errorf("got %v", err)
		}
	})
}

func TestSecretsAreMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	read := func() Config {
		l, err := load(t, "", "FLUXBASE_DATA_DIR="+dir)
		if err != nil {
			t.Error(err)
			return Config{}
		}
		if err := l.FillSecrets(); err != nil {
			t.Error(err)
		}
		return l.Config
	}
	// Nodes that share a folder may start at the same moment.
	var all [8]Config
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = read() })
	}
	wg.Wait()
	for _, c := range all {
		if c.Auth.JWTSecret != all[0].Auth.JWTSecret || c.EncryptionKey != all[0].EncryptionKey || c.Realtime.CursorKey != all[0].Realtime.CursorKey || c.Security.SetupToken != all[0].Security.SetupToken {
			t.Fatal("two readers got different secrets")
		}
	}
	if len(all[0].EncryptionKey) != 32 || all[0].EncryptionKey == all[0].Realtime.CursorKey {
		t.Errorf("keys of %d bytes", len(all[0].EncryptionKey))
	}
	files, err := filepath.Glob(filepath.Join(dir, SecretsDir, "*"))
	if err != nil || len(files) != 4 {
		t.Errorf("files: %v %v", files, err)
	}
	for _, f := range files {
		if info, err := os.Stat(f); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", f, info.Mode(), err)
		}
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	l, err := load(t, `
auth:
  jwt_secret: hunter2-jwt
  oauth_providers:
    - {name: google, client_secret: hunter2-oauth}
  saml_providers:
    - {name: corp, sp_private_key: hunter2-saml}
database:
  url: postgres://me:hunter2-url@db.example/app
tracing:
  endpoint: http://me:hunter2-endpoint@collector
tenants:
  configs:
    acme:
      auth: {jwt_secret: hunter2-tenant}
`)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := l.Print(&out); err != nil {
		t.Fatal(err)
	}
	asJSON, err := json.Marshal(l.Config)
	if err != nil {
		t.Fatal(err)
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("config", "secret", l.Config.Auth.JWTSecret)
	fmt.Fprintf(&out, "%s %v %+v %#v", asJSON, l.Config.Auth.JWTSecret, l.Config.Database, l.Config.Auth.JWTSecret)
	if i := strings.Index(out.String(), "hunter2"); i >= 0 {
		s := out.String()[i:]
		// JSON keeps the providers, which are not logged anywhere.
		if !strings.Contains(s[:min(20, len(s))], "oauth") && !strings.Contains(s[:min(20, len(s))], "saml") {
			t.Errorf("shown: %s", s[:min(40, len(s))])
		}
	}
	var printed bytes.Buffer
	if err := l.Print(&printed); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(printed.String(), "hunter2") {
		t.Errorf("config check shows a secret:\n%s", printed.String())
	}
	if !strings.Contains(printed.String(), "auth.jwt_secret: ********  # fluxbase.yaml") {
		t.Errorf("the origin is missing:\n%s", printed.String())
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]Bytes{"0": 0, "17": 17, "64KB": 64 << 10, "2 gb": 2 << 30, "1B": 1} {
		if got, err := parseBytes(text); err != nil || got != want {
			t.Errorf("%s: got %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "-1", "1.5MB", "KB", "9223372036854775807TB"} {
		if got, err := parseBytes(text); err == nil {
			t.Errorf("%q: got %d", text, got)
		}
	}
	if got := Bytes(8 << 20).String(); got != "8MB" {
		t.Errorf("got %s", got)
	}
}

// FuzzFile: no file makes the loader panic, and what is accepted can be printed.
func FuzzFile(f *testing.F) {
	for _, seed := range []string{"server:\n  address: :1\n", "a: [", "tenants:\n  configs:\n    x: {auth: {jwt_expiry: 7d}}", "? {}", "server: 1", "auth:\n  saml_providers:\n    - {a: 1}", "1: 2", "~: ~", "cors: {allowed_origins: [{a: b}]}"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		l := &Loaded{origins: map[string]string{}}
		l.Config.Tenants.Configs = map[string]Overrides{}
		if problems := l.applyYAML("fuzz.yaml", raw); len(problems) > 0 {
			return
		}
		if err := l.Print(&bytes.Buffer{}); err != nil {
			t.Error(err)
		}
		_, _ = l.Config.Validate()
	})
}

// FuzzEnvironment: no variable makes the loader panic.
func FuzzEnvironment(f *testing.F) {
	f.Add("SERVER_ADDRESS", ":1")
	f.Add("TENANTS__A__AUTH__JWT_EXPIRY", "7d")
	f.Add("TENANTS_CONFIGS", "x")
	f.Add("AUTH_SAML_PROVIDERS", "x")
	f.Add("SERVER_BODY_LIMIT", "99999999999999999TB")
	f.Fuzz(func(t *testing.T, name, value string) {
		if strings.HasSuffix(name, "_FILE") {
			return // would read files of this machine
		}
		_, _ = Load(Source{Environ: []string{"FLUXBASE_" + name + "=" + value}})
	})
}

func TestCheckReportsKeysValuesAndRulesAtOnce(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "fluxbase.yaml")
	text := "server:\n  adress: \":9\"\n  read_timeout: soon\ndatabase:\n  ssl_mode: maybe\nauth:\n  jwt_secret: short\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Check(Source{File: file, Environ: []string{
		"FLUXBASE_DATA_DIR=" + filepath.Join(dir, "data"), "FLUXBASE_ENCRYPTION_KEY=short", "FLUXBASE_SERVER_ADRESS=:9",
	}})
	if err == nil {
		t.Fatal("a broken configuration passes")
	}
	for _, want := range []string{"did you mean server.address", "server.read_timeout", "database.ssl_mode", "auth.jwt_secret", "encryption_key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not speak of %s:\n%v", want, err)
		}
	}
	if len(l.Warnings) != 1 || !strings.Contains(l.Warnings[0], "FLUXBASE_SERVER_ADRESS") {
		t.Errorf("got the warnings %q", l.Warnings)
	}
	if _, err := os.Stat(filepath.Join(dir, "data")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("checking left something in the data folder: %v", err)
	}
}

func TestSecretsOfACheckAreKeptByTheStart(t *testing.T) {
	src := Source{Environ: []string{"FLUXBASE_DATA_DIR=" + t.TempDir()}}
	l, err := Check(src)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.FillSecrets(); err != nil {
		t.Fatal(err)
	}
	again, err := Check(src)
	if err != nil {
		t.Fatal(err)
	}
	if again.Config.Auth.JWTSecret != l.Config.Auth.JWTSecret || again.Config.EncryptionKey != l.Config.EncryptionKey {
		t.Error("the server that started has other secrets than the ones in the data folder")
	}
}
