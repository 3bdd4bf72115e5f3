package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"fluxbase/persistence/postgres"
)

func sqlCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "sql [statements]",
		Short: "Run SQL as the database's superuser",
		Long:  "Run the statements given as arguments, or on standard input, as the database's superuser.\nThey run in one transaction unless they say otherwise. Rows are printed with tabs between columns.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := runtimeOf(*file)
			if err != nil {
				return err
			}
			text := strings.Join(args, " ")
			if text == "" {
				raw, err := io.ReadAll(cmd.InOrStdin())
				if err != nil {
					return err
				}
				text = string(raw)
			}
			if strings.TrimSpace(text) == "" {
				return &exitError{exitUsage, errors.New("no statements given")}
			}
			return runSQL(cmd.Context(), r.DatabaseURL, text, cmd.OutOrStdout())
		},
	}
}

func runSQL(ctx context.Context, address, text string, out io.Writer) error {
	return postgres.Execute(ctx, address, text, func(r postgres.Result) error {
		if len(r.Columns) == 0 {
			_, err := fmt.Fprintln(out, r.Tag)
			return err
		}
		if _, err := fmt.Fprintln(out, strings.Join(r.Columns, "\t")); err != nil {
			return err
		}
		for _, row := range r.Rows {
			if _, err := fmt.Fprintln(out, strings.Join(row, "\t")); err != nil {
				return err
			}
		}
		return nil
	})
}
