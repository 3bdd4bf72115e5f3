package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"fluxbase/persistence/postgres"
)

func sqlCommand(file *string) *cobra.Command {
	var output string
	cmd := &cobra.Command{
		Use:   "sql [statements]",
		Short: "Run SQL as the database's superuser",
		Long:  "Run the statements given as arguments, or on standard input, as the database's superuser.\nThey run in one transaction unless they say otherwise. No psql is needed.",
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
			return runSQL(cmd.Context(), r.DatabaseURL, text, output, cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVarP(&output, "output", "o", "table", "table, or json: the rows of each statement as an array on a line")
	return cmd
}

func runSQL(ctx context.Context, address, text, output string, out io.Writer) error {
	print := printTable
	switch output {
	case "table":
	case "json":
		print = printJSON
	default:
		return &exitError{exitUsage, fmt.Errorf("--output %q is neither table nor json", output)}
	}
	return postgres.Execute(ctx, address, text, func(r postgres.Result) error { return print(out, r) })
}

func printTable(out io.Writer, r postgres.Result) error {
	if len(r.Columns) == 0 {
		_, err := fmt.Fprintln(out, r.Tag)
		return err
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(r.Columns, "\t")) // errors stay with the writer until Flush
	for _, row := range r.Rows {
		cells := make([]string, len(row))
		for i, v := range row {
			if v != nil {
				cells[i] = *v
			}
		}
		fmt.Fprintln(w, strings.Join(cells, "\t"))
	}
	return w.Flush()
}

func printJSON(out io.Writer, r postgres.Result) error {
	if len(r.Columns) == 0 {
		return nil
	}
	objects := make([]map[string]*string, 0, len(r.Rows))
	for _, row := range r.Rows {
		o := make(map[string]*string, len(row))
		for i, v := range row {
			o[r.Columns[i]] = v
		}
		objects = append(objects, o)
	}
	return json.NewEncoder(out).Encode(objects)
}
