// Package command is the command line: one file per command.
package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/config"
)

// Exit codes, by class.
const (
	exitFailure = 1
	exitUsage   = 2
)

// impatience is how long after a signal another one counts as a second wish.
const impatience = time.Second

// exitError carries the code that the process ends with.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// Main runs the command line of the process and gives its exit code.
func Main() int {
	// The first signal ends the command in order; once NotifyContext has restored
	// the default, a second one ends the process at once. Not at the same moment:
	// whoever signals both a process and its group means one signal, and
	// PostgreSQL would be left running.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, func() { time.AfterFunc(impatience, stop) })
	err := root().ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	var exit *exitError
	if errors.As(err, &exit) {
		if exit.err != nil {
			fmt.Fprintln(os.Stderr, "Error:", exit.err)
		}
		return exit.code
	}
	fmt.Fprintln(os.Stderr, "Error:", err)
	return exitFailure
}

// root is the command tree. Without a subcommand it serves.
func root() *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use:           "fluxbase",
		Short:         "A realtime backend over PostgreSQL",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	cmd.PersistentFlags().StringVar(&file, "config", os.Getenv("FLUXBASE_CONFIG"), "configuration file (default: fluxbase.yaml in ., ./config or /etc/fluxbase)")
	serve := serveCommand(&file)
	cmd.RunE = serve.RunE
	cmd.AddCommand(serve, configCommand(&file), keysCommand(&file), sqlCommand(&file), listenCommand(&file),
		clusterCommand(&file), versionCommand(), testdbCommand())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &exitError{exitUsage, err} })
	return cmd
}

// load reads the configuration and reports everything that is wrong with it.
func load(file string) (*config.Loaded, error) {
	l, err := config.Load(config.System(file))
	if err != nil {
		return nil, &exitError{exitUsage, invalid(err)}
	}
	return l, nil
}

// check is load for commands that need every rule of the configuration to hold.
// show is told what was ignored or is doubtful, before any error is returned: a
// misspelt variable is often the reason for it.
func check(file string, show func(warning string)) (*config.Loaded, error) {
	l, err := config.Check(config.System(file))
	if l != nil {
		for _, w := range l.Warnings {
			show(w)
		}
	}
	if err != nil {
		return nil, &exitError{exitUsage, invalid(err)}
	}
	return l, nil
}

// invalid makes a list of the joined errors of a configuration.
func invalid(err error) error {
	lines := strings.Split(err.Error(), "\n")
	return errors.New("the configuration is not valid:\n  - " + strings.Join(lines, "\n  - "))
}
