// Command fluxbase is the server and its tools. See README.md.
package main

import (
	"os"

	"fluxbase/cmd/fluxbase/command"
)

func main() { os.Exit(command.Main()) }
