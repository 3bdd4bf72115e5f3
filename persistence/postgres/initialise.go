package postgres

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// initialise makes the cluster and returns the superuser's password. The
// cluster appears under its name only when it is whole, so an interrupted
// attempt is simply repeated.
func (s *Server) initialise(ctx context.Context) (string, error) {
	fresh := s.place.cluster() + ".new"
	if err := os.RemoveAll(fresh); err != nil {
		return "", err
	}
	password, err := s.makePassword()
	if err != nil {
		return "", err
	}
	var failed error
	for _, locale := range localeArguments(s.binaries.Major) {
		if failed = s.initdb(ctx, fresh, locale); failed == nil {
			break
		}
		if ctx.Err() != nil {
			return "", ctx.Err()
		}
		if err := os.RemoveAll(fresh); err != nil {
			return "", err
		}
	}
	if failed != nil {
		return "", failed
	}
	if err := appendLine(filepath.Join(fresh, "postgresql.conf"), "include_if_exists = '"+settingsFile+"'"); err != nil {
		return "", err
	}
	if err := os.Rename(fresh, s.place.cluster()); err != nil {
		return "", err
	}
	return password, nil
}

func (s *Server) initdb(ctx context.Context, dir string, locale []string) error {
	args := append([]string{
		"-D", dir,
		"-U", Superuser,
		"-E", "UTF8",
		"--auth=scram-sha-256",
		"--pwfile=" + s.place.passwordFile(),
	}, locale...)
	if s.options.Ephemeral {
		args = append(args, "--no-sync")
	}
	cmd := exec.CommandContext(ctx, s.binaries.initdb(), args...)
	cmd.Dir = s.place.dir
	cmd.SysProcAttr = s.account.attributes()
	cmd.Env = cleanEnvironment()
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// localeArguments are tried in turn. All of them sort by code point, so indexes
// and answers are the same on every machine, and all know the case of letters
// outside ASCII except the last.
func localeArguments(major int) [][]string {
	all := [][]string{{"--locale=C.UTF-8"}, {"--locale=C"}}
	if major >= 17 {
		all = append([][]string{{"--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"}}, all...)
	}
	return all
}

// makePassword writes a new password to the password file and returns it. The
// file also feeds initdb, so the account must be able to read it.
func (s *Server) makePassword() (string, error) {
	raw := make([]byte, 24)
	if _, err := rand.Read(raw); err != nil {
		return "", err
	}
	password := base64.RawURLEncoding.EncodeToString(raw)
	path := s.place.passwordFile()
	if err := os.WriteFile(path, []byte(password+"\n"), 0o600); err != nil {
		return "", err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return "", err
	}
	return password, s.account.own(path)
}

func readPassword(path string) (string, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("the database's password file %s is missing", path)
	}
	if err != nil {
		return "", err
	}
	return strings.TrimSpace(string(raw)), nil
}

func appendLine(path, line string) error {
	f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("\n" + line + "\n")
	return errors.Join(err, f.Close())
}

// cleanEnvironment is what PostgreSQL may see of our environment: PG* variables
// would change what it does, and our secrets are not its business.
func cleanEnvironment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}
