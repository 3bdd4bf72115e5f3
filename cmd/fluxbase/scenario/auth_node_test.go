package scenario

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/cmd/fluxbase/server"
)

// startAuthNode brings up a whole node on a database until the test ends. Nodes
// on one database have the same secrets.
func startAuthNode(t *testing.T, databaseURL string) server.Keys {
	t.Helper()
	loaded, err := config.Load(config.Source{Environ: []string{
		"FLUXBASE_DATABASE_URL=" + databaseURL,
		"FLUXBASE_DATA_DIR=" + t.TempDir(),
		"FLUXBASE_SERVER_ADDRESS=127.0.0.1:0",
		"FLUXBASE_METRICS_ENABLED=false",
		"FLUXBASE_AUTH_JWT_SECRET=w8Xk2Zq0PfLr5TbNc7VdYhJm3GsQeUaI",
		// The encryption key of the test databases: it makes the logins' passwords.
		"FLUXBASE_ENCRYPTION_KEY=fluxbase test encryption key 32b",
		"FLUXBASE_REALTIME_CURSOR_KEY=c4Rt9LmVx2NpQs6WyKe8ZaBd0FgHj1Uo",
		"FLUXBASE_SECURITY_SETUP_TOKEN=rT5yHn8JkLq3WsXc",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := loaded.FillSecrets(); err != nil {
		t.Fatal(err)
	}
	if _, err := loaded.Config.Validate(); err != nil {
		t.Fatal(err)
	}
	s, err := server.Start(t.Context(), server.Options{Config: loaded.Config, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Error(err)
		}
	})
	return s.Keys()
}
