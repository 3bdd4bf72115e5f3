package server

import (
	"fmt"
	"os"
)

// PrepareDataDir makes the data folder. Its content is private. Root's folder
// can be passed through, but not listed, by others: PostgreSQL runs as another
// account below it.
func PrepareDataDir(dir string) error {
	mode := os.FileMode(0o700)
	if os.Geteuid() == 0 {
		mode = 0o711
	}
	if _, err := os.Stat(dir); err == nil {
		return nil // whoever made it chose its permissions
	}
	if err := os.MkdirAll(dir, mode); err != nil {
		return fmt.Errorf("make the data folder: %w", err)
	}
	return nil
}
