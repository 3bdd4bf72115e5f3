package config

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// SecretsDir is the folder of generated secrets below DataDir.
const SecretsDir = "secrets"

// generated are the secrets that the server can make up on its own. Each has a
// file of its own, which can be handed to another node as KEY_FILE.
var generated = []struct {
	path  string
	field func(*Config) *Secret
	make  func() string
}{
	{"auth.jwt_secret", func(c *Config) *Secret { return &c.Auth.JWTSecret }, func() string { return base64.RawURLEncoding.EncodeToString(random(48)) }},
	// 32 bytes that are also 32 printable characters.
	{"encryption_key", func(c *Config) *Secret { return &c.EncryptionKey }, func() string { return base64.RawURLEncoding.EncodeToString(random(24)) }},
	{"realtime.cursor_key", func(c *Config) *Secret { return &c.Realtime.CursorKey }, func() string { return base64.RawURLEncoding.EncodeToString(random(24)) }},
	{"security.setup_token", func(c *Config) *Secret { return &c.Security.SetupToken }, func() string { return hex.EncodeToString(random(20)) }},
}

func random(n int) []byte {
	b := make([]byte, n)
	rand.Read(b) // never fails: the runtime stops the program if it would
	return b
}

// FillSecrets gives every missing secret the value kept in the data folder, and
// makes and keeps a new one the first time. Configured values are not stored.
func (l *Loaded) FillSecrets() error { return l.fill(true) }

// FindSecrets is FillSecrets without making files: a secret that is not kept yet
// gets a value for now, which FillSecrets replaces.
func (l *Loaded) FindSecrets() error { return l.fill(false) }

// unkept is the origin of a secret that has no file yet.
const unkept = "made at the first start"

func (l *Loaded) fill(store bool) error {
	dir := filepath.Join(l.Config.DataDir, SecretsDir)
	for _, g := range generated {
		field := g.field(&l.Config)
		if *field != "" && l.origins[g.path] != unkept {
			continue
		}
		file := SecretFile(l.Config.DataDir, g.path)
		value, origin := g.make(), file
		if store {
			if err := os.MkdirAll(dir, 0o700); err != nil {
				return fmt.Errorf("make the folder for secrets: %w", err)
			}
		}
		switch kept, err := read(file); {
		case err == nil:
			value = kept
		case !errors.Is(err, fs.ErrNotExist):
			return fmt.Errorf("%s: %w", g.path, err)
		case !store:
			origin = unkept
		default:
			if value, err = keep(file, value); err != nil {
				return fmt.Errorf("%s: %w", g.path, err)
			}
		}
		*field = Secret(value)
		l.origins[g.path] = origin
	}
	return nil
}

// SecretFile is where the generated secret of a key is kept.
func SecretFile(dataDir, path string) string {
	return filepath.Join(dataDir, SecretsDir, strings.ReplaceAll(path, ".", "_"))
}

func read(file string) (string, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	kept := strings.TrimSpace(string(raw))
	if kept == "" {
		return "", fmt.Errorf("%s is empty", file)
	}
	return kept, nil
}

// keep writes value to file and returns what the file holds then: two processes
// that start at once agree on one value, because the file appears whole, by a
// link that fails for the second.
func keep(file, value string) (string, error) {
	fresh, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return "", err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.WriteString(value + "\n")
	if err = errors.Join(err, fresh.Chmod(0o600), fresh.Sync(), fresh.Close()); err != nil {
		return "", err
	}
	if err := os.Link(fresh.Name(), file); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return read(file)
		}
		return "", err
	}
	return value, nil
}

// GeneratedSecrets are the paths of the secrets that FillSecrets can make.
func GeneratedSecrets() []string {
	paths := make([]string, 0, len(generated))
	for _, g := range generated {
		paths = append(paths, g.path)
	}
	return paths
}
