package command

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"
)

func configCommand(file *string) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Look at the configuration"}
	cmd.AddCommand(&cobra.Command{
		Use:   "check",
		Short: "Check the configuration and print the effective values, secrets masked",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			l, err := load(*file)
			if err != nil {
				return err
			}
			if err := l.FindSecrets(); err != nil {
				return err
			}
			warnings, invalidValues := l.Config.Validate()
			for _, w := range append(l.Warnings, warnings...) {
				fmt.Fprintln(os.Stderr, "warning:", w)
			}
			if invalidValues != nil {
				return &exitError{exitUsage, invalid(invalidValues)}
			}
			return l.Print(cmd.OutOrStdout())
		},
	})
	return cmd
}
