package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/spf13/cobra"

	"fluxbase/cmd/fluxbase/server"
)

// sqlCommand runs SQL as the database's superuser: the machine need not have
// psql, and the engine that we install has none.
func sqlCommand(dataDir func() (string, error)) *cobra.Command {
	var output string
	command := &cobra.Command{
		Use:   "sql [STATEMENTS]",
		Short: "Run SQL as the superuser of the server's database; reads standard input when no statement is given",
		Args:  cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			text := strings.Join(args, "")
			if len(args) == 0 {
				read, err := io.ReadAll(c.InOrStdin())
				if err != nil {
					return err
				}
				text = string(read)
			}
			folder, err := dataDir()
			if err != nil {
				return err
			}
			runtime, err := server.ReadRuntime(folder)
			if errors.Is(err, os.ErrNotExist) {
				return fmt.Errorf("no server has been started on %s: run `fluxbase serve` first", folder)
			}
			if err != nil {
				return err
			}
			return runSQL(c.Context(), runtime.DatabaseURL, text, output, c.OutOrStdout())
		},
	}
	command.Flags().StringVarP(&output, "output", "o", "table", "table or json")
	return command
}

// runSQL sends the text as one simple query, so several statements are one
// transaction unless they say otherwise, and prints each result that has rows.
func runSQL(ctx context.Context, url, text, output string, w io.Writer) error {
	if output != "table" && output != "json" {
		return fmt.Errorf("output %q: want table or json", output)
	}
	conn, err := pgconn.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	results, err := conn.Exec(ctx, text).ReadAll()
	for _, result := range results {
		if result.Err != nil {
			continue
		}
		if len(result.FieldDescriptions) == 0 {
			if output == "table" {
				fmt.Fprintln(w, result.CommandTag)
			}
			continue
		}
		print := printTable
		if output == "json" {
			print = printJSON
		}
		if err := print(w, result); err != nil {
			return err
		}
	}
	return describe(err, text)
}

func printTable(w io.Writer, result *pgconn.Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for i, field := range result.FieldDescriptions {
		if i > 0 {
			fmt.Fprint(t, "\t")
		}
		fmt.Fprint(t, field.Name)
	}
	fmt.Fprintln(t)
	for _, row := range result.Rows {
		for i, value := range row {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprintf(t, "%s", value)
		}
		fmt.Fprintln(t)
	}
	return t.Flush()
}

func printJSON(w io.Writer, result *pgconn.Result) error {
	rows := make([]map[string]*string, len(result.Rows))
	for i, row := range result.Rows {
		rows[i] = make(map[string]*string, len(row))
		for j, value := range row {
			if value == nil {
				rows[i][result.FieldDescriptions[j].Name] = nil
				continue
			}
			text := string(value)
			rows[i][result.FieldDescriptions[j].Name] = &text
		}
	}
	return json.NewEncoder(w).Encode(rows)
}

// describe adds the line of the text at which PostgreSQL found the error.
func describe(err error, text string) error {
	var refused *pgconn.PgError
	if !errors.As(err, &refused) {
		return err
	}
	message := refused.Severity + ": " + refused.Message
	if at := int(refused.Position); at > 0 && at <= len(text)+1 {
		message += fmt.Sprintf(" (line %d)", 1+strings.Count(text[:at-1], "\n"))
	}
	for _, more := range []struct{ name, text string }{{"DETAIL", refused.Detail}, {"HINT", refused.Hint}} {
		if more.text != "" {
			message += "\n" + more.name + ": " + more.text
		}
	}
	return errors.New(message)
}
