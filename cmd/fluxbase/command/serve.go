package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/server"
)

func serveCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Run the server (the default)",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), *file, cmd.OutOrStdout())
		},
	}
}

func serve(ctx context.Context, file string, out io.Writer) error {
	l, err := check(file, func(warning string) { fmt.Fprintln(os.Stderr, "warning:", warning) })
	if err != nil {
		return err
	}
	if err := server.PrepareDataDir(l.Config.DataDir); err != nil {
		return err
	}
	if err := l.FillSecrets(); err != nil {
		return err
	}
	logger := newLogger(l.Config, os.Stderr)
	slog.SetDefault(logger)
	s, err := server.Start(ctx, server.Options{Config: l.Config, Logger: logger, Progress: progress})
	if err != nil {
		return err
	}
	greet(out, s)
	var failed error
	select {
	case <-ctx.Done():
		logger.Info("stopping")
	case failed = <-s.Failed():
		logger.Error("the server ends itself", "error", failed)
	}
	stopping, cancel := context.WithTimeout(context.Background(), l.Config.Server.ShutdownTimeout)
	defer cancel()
	err = s.Stop(stopping)
	var exit interface{ ExitCode() int }
	if errors.As(failed, &exit) {
		return &exitError{exit.ExitCode(), errors.Join(failed, err)}
	}
	return errors.Join(failed, err)
}

// greet shows how to reach the server. The keys are secrets that belong on the
// terminal of whoever started it and not into logs, hence standard output.
func greet(out io.Writer, s *server.Server) {
	k := s.Keys()
	fmt.Fprintf(out, "\n  Fluxbase is ready.\n\n  URL          %s\n  anon key     %s\n  service key  %s\n  setup token  %s\n\n",
		k.URL, k.AnonKey, k.ServiceKey, k.SetupToken)
}
