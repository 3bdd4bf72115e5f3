package server

import (
	"context"

	"fluxbase/actors/credential"
	"fluxbase/actors/identity/password"
	"fluxbase/actors/identity/token"
	"fluxbase/actors/kernel"
	"fluxbase/actors/operator"
	"fluxbase/actors/revocation"
	"fluxbase/persistence/key"
	operators "fluxbase/persistence/operator"
	deny "fluxbase/persistence/revocation"
)

// credentials tell who somebody is. They belong to the installation, not to a
// tenant.
type credentials struct {
	tokens    *token.Authority
	keyring   *credential.Keyring
	revoked   *revocation.Registry
	verifier  *credential.Verifier
	hasher    *password.Hasher
	operators *kernel.Pool
	defaults  key.Defaults
}

func (s *Server) openCredentials(ctx context.Context) error {
	c := s.options.Config
	var err error
	if s.tokens, err = token.NewAuthority(token.Options{
		Secret: []byte(c.Auth.JWTSecret.Reveal()), AccessTTL: c.Auth.JWTExpiry, RefreshTTL: c.Auth.RefreshExpiry,
	}); err != nil {
		return err
	}
	// The pepper of key digests comes from the encryption key, so that nodes agree
	// on it and the database alone cannot check a guess.
	pepper := s.seal.Derive("key digests", 32)
	if s.defaults, err = key.EnsureDefaults(ctx, s.control, s.seal, pepper, key.Defaults{
		Anon: c.Tenants.Default.AnonKey.Reveal(), Service: c.Tenants.Default.ServiceKey.Reveal(),
	}); err != nil {
		return err
	}
	load := func(ctx context.Context) ([]key.Key, error) { return key.Active(ctx, s.control) }
	if s.keyring, err = credential.NewKeyring(ctx, pepper, load); err != nil {
		return err
	}
	if s.revoked, err = revocation.Start(ctx, s.system, revocation.Options{
		Log: deny.NewLog(s.control), FailOpen: c.Security.ServiceRoleFailOpen, Logger: s.options.Logger,
	}); err != nil {
		return err
	}
	s.verifier = credential.NewVerifier(s.tokens, s.keyring, s.revoked)
	if s.hasher, err = password.NewHasher(s.system, password.Options{}); err != nil {
		return err
	}
	setup := c.Security.SetupToken.Reveal()
	if !c.Admin.Enabled {
		setup = ""
	}
	worker := operator.Options{
		Store: operators.New(s.control), Tokens: s.tokens, Passwords: s.hasher, Revoker: s.revoked,
		Policy: s.passwordPolicy(), SetupToken: setup,
	}
	s.operators, err = s.system.SpawnPool(kernel.PoolProps{
		Name: "operators", Workers: 4, Queue: 64,
		New: func() kernel.Worker { return operator.NewWorker(worker) },
	})
	return err
}

func (s *Server) passwordPolicy() password.Policy {
	a := s.options.Config.Auth
	return password.Policy{
		MinLength:        a.PasswordMinLength,
		RequireUppercase: a.PasswordRequireUppercase,
		RequireLowercase: a.PasswordRequireLowercase,
		RequireNumber:    a.PasswordRequireNumber,
		RequireSpecial:   a.PasswordRequireSpecial,
	}
}
