package command

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/server"
)

func keysCommand(file *string) *cobra.Command {
	var field string
	cmd := &cobra.Command{
		Use:   "keys",
		Short: "Print address, keys, set-up token and database address as JSON",
		Long: "Print what a client needs to reach the server that runs, or ran last, on the data folder.\n" +
			"The database address is the superuser's. All of it is secret.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			r, err := runtimeOf(*file)
			if err != nil {
				return err
			}
			raw, err := json.MarshalIndent(r.Keys, "", "  ")
			if err != nil {
				return err
			}
			if field == "" {
				_, err = fmt.Fprintln(cmd.OutOrStdout(), string(raw))
				return err
			}
			var fields map[string]string
			if err := json.Unmarshal(raw, &fields); err != nil {
				return err
			}
			value, ok := fields[field]
			if !ok {
				known := make([]string, 0, len(fields))
				for name := range fields {
					known = append(known, name)
				}
				slices.Sort(known)
				return &exitError{exitUsage, fmt.Errorf("there is no field %q; there are %v", field, known)}
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), value)
			return err
		},
	}
	cmd.Flags().StringVar(&field, "field", "", "print this field alone, without quotes")
	return cmd
}

// runtimeOf reads what the server on the configured data folder wrote down.
func runtimeOf(file string) (server.Runtime, error) {
	l, err := load(file)
	if err != nil {
		return server.Runtime{}, err
	}
	r, err := server.ReadRuntime(l.Config.DataDir)
	if errors.Is(err, fs.ErrNotExist) {
		return r, fmt.Errorf("no server has run on the data folder %s yet: start one with `fluxbase serve`", l.Config.DataDir)
	}
	return r, err
}
