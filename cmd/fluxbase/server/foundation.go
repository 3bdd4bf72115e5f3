package server

import (
	"context"
	"fmt"
	"strings"

	"fluxbase/actors/kernel"
	"fluxbase/cmd/fluxbase/config"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/db"
	"fluxbase/persistence/lease"
	"fluxbase/persistence/migration"
	"fluxbase/persistence/seal"
	"fluxbase/transport/metrics"
)

// foundation is what everything else stands on.
type foundation struct {
	seal    *seal.Key
	control *db.Database
	system  *kernel.System
}

// openFoundation prepares the control database, opens it and makes the actor
// system.
func (s *Server) openFoundation(ctx context.Context) error {
	c, logger := s.options.Config, s.options.Logger
	key, err := seal.NewKey([]byte(c.EncryptionKey.Reveal()))
	if err != nil {
		return err
	}
	s.seal = key
	// Before anything is changed: with another encryption key we would lock out
	// whoever else uses the database.
	if err := lease.CheckSecrets(ctx, s.source.adminURL, s.sharedSecrets()); err != nil {
		return err
	}
	if _, err := (migration.Bootstrap{AdminURL: s.source.adminURL, Password: key.Password, Logger: logger}).Run(ctx); err != nil {
		return err
	}
	// Half of the connections are for users' statements, a quarter for service
	// identities, the rest for our own work: nobody's flood may keep others from
	// signing in or changes from being read.
	most := int32(c.Database.MaxConnections)
	self := max(2, most/12)
	s.control, err = db.Open(ctx, db.Options{
		URL: s.source.adminURL, Password: key.Password, Logger: logger,
		UserConnections:    max(2, most/2),
		ServiceConnections: max(2, most/4),
		SelfConnections:    self,
		OwnerConnections:   max(3, most-most/2-most/4-self),
		IdleTime:           c.Database.MaxConnIdleTime,
		StatementTimeout:   c.Server.RequestTimeout,
		Timeouts: db.Timeouts{
			caller.DatabaseAnon:          c.API.StatementTimeout.Anon,
			caller.DatabaseAuthenticated: c.API.StatementTimeout.Authenticated,
			caller.DatabaseService:       c.API.StatementTimeout.Service,
			caller.DatabaseTenantService: c.API.StatementTimeout.Service,
		},
		MaxRowBytes: rowBytes(c.API),
	})
	if err != nil {
		return err
	}
	s.onStop("database", func(context.Context) error { s.control.Close(); return nil })
	applied, err := migration.Up(ctx, s.control.OwnerConfig(), migration.Control, migration.Tenant)
	if err != nil {
		return err
	}
	if len(applied) > 0 {
		names := make([]string, 0, len(applied))
		for _, a := range applied {
			names = append(names, fmt.Sprintf("%s/%d", a.Set, a.Version))
		}
		logger.Info("migrated the database", "applied", strings.Join(names, " "))
	}
	s.metrics = metrics.New()
	s.system = kernel.NewSystem(kernel.SystemOptions{Logger: logger})
	s.onStop("actors", s.system.Shutdown)
	return nil
}

// leastRowBytes is what a row may have in any case: changes with their images come
// through the same connections.
const leastRowBytes = 32 << 20

// rowBytes bounds one row: it cannot be larger than the answer that it is for, and
// what is no answer has room beside it.
func rowBytes(c config.API) int {
	if c.MaxAnswerBytes == 0 {
		return 0
	}
	return max(int(c.MaxAnswerBytes), leastRowBytes) + leastRowBytes
}
