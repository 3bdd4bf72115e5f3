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
			l, err := check(*file, func(warning string) { fmt.Fprintln(os.Stderr, "warning:", warning) })
			if err != nil {
				return err
			}
			return l.Print(cmd.OutOrStdout())
		},
	})
	return cmd
}
