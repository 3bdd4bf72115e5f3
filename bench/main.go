// Command bench measures a Fluxbase server: fan-out, table changes and what they
// cost writers, REST, idle connections, a cluster, and what crashes lose, where it
// can beside the floor of what the machine itself costs. It prints a table and a line of JSON per scenario.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"fluxbase/bench/flooder"
	"fluxbase/bench/floor"
	"fluxbase/bench/measure"
	"fluxbase/bench/scenario"
	"fluxbase/bench/target"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := command().ExecuteContext(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var options target.Options
	root := &cobra.Command{
		Use:           "bench",
		Short:         "Measure a Fluxbase server, self-started unless --data-dir names a running one",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	flags := root.PersistentFlags()
	flags.StringVar(&options.Binary, "binary", "bin/fluxbase", "server executable; built when it is not there")
	flags.StringVar(&options.DataDir, "data-dir", "", "data folder of a running server to measure")
	flags.StringVar(&options.JWTSecret, "jwt-secret", os.Getenv("FLUXBASE_AUTH_JWT_SECRET"), "token secret of the running server")
	flags.IntVar(&options.PID, "pid", 0, "process of the running server, for CPU and memory figures")
	flags.StringArrayVar(&options.Environment, "env", nil, "further NAME=VALUE settings for a self-started server")

	for _, s := range scenario.All() {
		child := &cobra.Command{
			Use:   s.Name,
			Short: s.Short,
			Args:  cobra.NoArgs,
			RunE: func(c *cobra.Command, _ []string) error {
				return run(c.Context(), options, s)
			},
		}
		s.Flags(child.Flags())
		root.AddCommand(child)
	}
	root.AddCommand(&cobra.Command{
		Use:   "all",
		Short: "Every scenario with its defaults, one after another",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			for _, s := range scenario.All() {
				s.Flags(pflag.NewFlagSet(s.Name, pflag.ContinueOnError))
				if err := run(c.Context(), options, s); err != nil {
					return fmt.Errorf("%s: %w", s.Name, err)
				}
			}
			return nil
		},
	})
	root.AddCommand(floorCommand(), flooderCommand())
	return root
}

func run(ctx context.Context, options target.Options, s *scenario.Scenario) (failed error) {
	binary, err := filepath.Abs(options.Binary)
	if err != nil {
		return err
	}
	options.Binary = binary
	if _, err := os.Stat(binary); errors.Is(err, os.ErrNotExist) {
		build := exec.CommandContext(ctx, "go", "build", "-o", binary, "./cmd/fluxbase")
		build.Stdout, build.Stderr = os.Stderr, os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build the server: %w", err)
		}
	}
	fmt.Fprintln(os.Stderr, "starting the server …")
	options.Environment = append(slices.Clone(s.Environment), options.Environment...)
	if s.Prepare != nil {
		environment, stop, err := s.Prepare(ctx)
		if err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, stop()) }()
		options.Environment = append(options.Environment, environment...)
	}
	t, err := target.Open(ctx, options)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, t.Close()) }()
	report := &measure.Report{Scenario: s.Name}
	if err := s.Run(ctx, t, report); err != nil {
		return err
	}
	return report.Print(os.Stdout)
}

// floorCommand runs a floor server until standard input closes; the benchmark
// starts it itself.
func floorCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "floor",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				return err
			}
			fmt.Println(listener.Addr())
			go func() {
				_, _ = io.Copy(io.Discard, os.Stdin)
				os.Exit(0)
			}()
			switch args[0] {
			case "fanout":
				return floor.Fanout(listener)
			case "rest":
				return floor.Rest(c.Context(), listener, os.Getenv("FLOOR_DATABASE_URL"), os.Getenv("FLOOR_JWT_SECRET"))
			default:
				return fmt.Errorf("no floor server is called %q", args[0])
			}
		},
	}
}

// flooderCommand floods a server until standard input closes; the benchmark starts it
// itself.
func flooderCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "flooder",
		Hidden: true,
		Args:   cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			n, err := strconv.Atoi(args[1])
			if err != nil {
				return err
			}
			return flooder.Run(c.Context(), args[0], n, os.Stdin, os.Stdout)
		},
	}
}
