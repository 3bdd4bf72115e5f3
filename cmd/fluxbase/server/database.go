package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"path/filepath"
	"strconv"

	"fluxbase/cmd/fluxbase/config"
	"fluxbase/persistence/postgres"
)

// source is the PostgreSQL that the server stands on.
type source struct {
	// managed is nil when the user brought a server.
	managed *postgres.Server
	// adminURL is the address of the control database for bootstrap.
	adminURL string
	// publicURL is adminURL for people and scripts: over the network, not a socket.
	publicURL string
}

// openSource starts the managed PostgreSQL or takes the configured address.
func openSource(ctx context.Context, c config.Config, logger *slog.Logger, progress func(string)) (source, error) {
	if !c.Database.Managed() {
		address := configuredURL(c.Database)
		err := postgres.Await(ctx, address, c.Database.RetryAttempts, func(err error) {
			logger.Warn("the database does not answer yet", "error", err)
		})
		if err != nil {
			return source{}, err
		}
		return source{adminURL: address, publicURL: address}, nil
	}
	pg, err := postgres.Start(ctx, postgres.Options{
		Dir:         filepath.Join(c.DataDir, "postgres"),
		BinDir:      c.Postgres.BinDir,
		Engine:      c.Postgres.Engine,
		KeepRunning: c.Postgres.KeepRunning,
		Progress:    progress,
		Logger:      logger,
	})
	if err != nil {
		return source{}, err
	}
	s := source{managed: pg}
	if err := s.prepare(ctx, c.Database.Name); err != nil {
		return source{}, fmt.Errorf("%w%s", err, s.stopAfter())
	}
	return s, nil
}

func (s *source) prepare(ctx context.Context, name string) error {
	if err := s.managed.EnsureDatabase(ctx, name); err != nil {
		return err
	}
	var err error
	if s.adminURL, err = postgres.InDatabase(s.managed.SocketURL(), name); err != nil {
		return err
	}
	s.publicURL, err = postgres.InDatabase(s.managed.URL(), name)
	return err
}

// stopAfter stops PostgreSQL after another error and tells if that failed too.
func (s *source) stopAfter() string {
	if err := s.stop(); err != nil {
		return fmt.Sprintf(" (and PostgreSQL did not stop: %v)", err)
	}
	return ""
}

// stop shuts the managed PostgreSQL down; it does nothing to the user's.
func (s *source) stop() error {
	if s.managed == nil {
		return nil
	}
	return s.managed.Stop()
}

// configuredURL is the address of the user's server. The admin account, when
// there is one, is who may make roles and schemas.
func configuredURL(d config.Database) string {
	if d.URL != "" {
		return d.URL.Reveal()
	}
	user, password := d.User, d.Password
	if d.AdminUser != "" {
		user = d.AdminUser
	}
	if d.AdminPassword != "" {
		password = d.AdminPassword
	}
	u := url.URL{
		Scheme:   "postgres",
		User:     url.UserPassword(user, password.Reveal()),
		Host:     net.JoinHostPort(d.Host, strconv.Itoa(d.Port)),
		Path:     "/" + d.Name,
		RawQuery: url.Values{"sslmode": {d.SSLMode}}.Encode(),
	}
	return u.String()
}
