package server

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Keys are what people and scripts need to reach a server. All of it is secret.
type Keys struct {
	URL        string `json:"url"`
	AnonKey    string `json:"anon_key"`
	ServiceKey string `json:"service_key"`
	SetupToken string `json:"setup_token"`
	// DatabaseURL is the superuser's address of the control database.
	DatabaseURL string `json:"database_url"`
}

// Runtime is what a started server leaves in its data folder for the command
// line. It stays there when the server stops.
type Runtime struct {
	Keys
	PID int `json:"pid"`
	// MetricsURL is the Prometheus address; empty when it is off.
	MetricsURL string `json:"metrics_url,omitempty"`
}

func runtimeFile(dataDir string) string { return filepath.Join(dataDir, "runtime.json") }

// ReadRuntime reads what the last server on the folder wrote. The error is
// fs.ErrNotExist when there was none.
func ReadRuntime(dataDir string) (Runtime, error) {
	var r Runtime
	raw, err := os.ReadFile(runtimeFile(dataDir))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(raw, &r); err != nil {
		return r, fmt.Errorf("%s: %w", runtimeFile(dataDir), err)
	}
	return r, nil
}

// write replaces the file in one step, readable by its owner alone.
func (r Runtime) write(dataDir string) error {
	raw, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return err
	}
	fresh, err := os.CreateTemp(dataDir, ".runtime-*")
	if err != nil {
		return err
	}
	defer os.Remove(fresh.Name())
	_, err = fresh.Write(append(raw, '\n'))
	if err := errors.Join(err, fresh.Close()); err != nil {
		return err
	}
	return os.Rename(fresh.Name(), runtimeFile(dataDir))
}
