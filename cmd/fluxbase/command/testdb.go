package command

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"fluxbase/persistence/postgres"
)

// testdbCommand runs a command, usually the test suite, with one throw-away
// PostgreSQL for all its processes.
func testdbCommand() *cobra.Command {
	return &cobra.Command{
		Use:                "testdb command [argument...]",
		Short:              "Run a command with a throw-away PostgreSQL in FLUXBASE_TEST_DATABASE_URL",
		Args:               cobra.MinimumNArgs(1),
		DisableFlagParsing: true,
		Hidden:             true,
		RunE: func(cmd *cobra.Command, args []string) error {
			if args[0] == "--" {
				args = args[1:]
			}
			if len(args) == 0 {
				return &exitError{exitUsage, errors.New("no command given")}
			}
			// Not TMPDIR: it may be deep, and a socket's address is short.
			dir, err := os.MkdirTemp("/tmp", "fluxbase-test-")
			if err != nil {
				return err
			}
			defer os.RemoveAll(dir)
			if err := os.Chmod(dir, 0o711); err != nil {
				return err
			}
			pg, err := postgres.Start(cmd.Context(), postgres.Options{
				Dir:       filepath.Join(dir, "postgres"),
				Engine:    os.Getenv("FLUXBASE_POSTGRES_ENGINE"),
				Ephemeral: true,
				Progress:  progress,
			})
			if err != nil {
				return err
			}
			child := exec.CommandContext(cmd.Context(), args[0], args[1:]...)
			child.Env = append(os.Environ(), "FLUXBASE_TEST_DATABASE_URL="+pg.URL())
			child.Stdin, child.Stdout, child.Stderr = os.Stdin, os.Stdout, os.Stderr
			// A signal reaches the whole group; the child reports on its own.
			child.Cancel = func() error { return child.Process.Signal(os.Interrupt) }
			err = child.Run()
			err = errors.Join(err, pg.Stop())
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				return &exitError{exit.ExitCode(), nil}
			}
			return err
		},
	}
}
