package identity

import (
	"context"

	"github.com/google/uuid"

	"fluxbase/actors/identity/token"
	"fluxbase/persistence/account"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/revocation"
)

func (w *Worker) refresh(ctx context.Context, m Refresh) (any, error) {
	c, err := w.Tokens.ParseRefresh(m.Token)
	if err != nil {
		return nil, invalidRefresh(err)
	}
	if c.TenantID != "" && c.TenantID != w.Tenant || uuid.Validate(c.SessionID) != nil {
		return nil, invalidRefresh(nil)
	}
	outcome, u, s, err := w.Store.Rotate(ctx, c.SessionID, c.Generation, w.Tokens.RefreshTTL(), RepeatGrace)
	if err != nil {
		return nil, err
	}
	switch outcome {
	case account.Rotated, account.Repeated:
		if u.ID != c.Subject {
			return nil, invalidRefresh(nil)
		}
		return w.grant(u, s)
	case account.Reused:
		if err := w.Store.EndSession(ctx, s.UserID, s.ID); err != nil {
			return nil, err
		}
		if err := w.revoke(ctx, revocation.Session, s.ID); err != nil {
			return nil, err
		}
	}
	return nil, invalidRefresh(nil)
}

func invalidRefresh(cause error) error {
	return fault.New(fault.InvalidToken, "Invalid or expired refresh token").WithCause(cause)
}

func (w *Worker) signOut(ctx context.Context, m SignOut) (any, error) {
	c := m.Caller
	if uuid.Validate(c.UserID) != nil {
		return nil, token.Invalid()
	}
	session := c.SessionID
	if uuid.Validate(session) != nil {
		session = ""
	}
	var ended []string
	var err error
	switch m.Scope {
	case "", ScopeLocal:
		if session != "" {
			err = w.Store.EndSession(ctx, c.UserID, session)
		}
	case ScopeGlobal:
		ended, err = w.Store.EndAllSessions(ctx, c.UserID)
	case ScopeOthers:
		ended, err = w.Store.EndOtherSessions(ctx, c.UserID, session)
	default:
		return nil, fault.New(fault.InvalidInput, "scope must be local, global or others")
	}
	if err != nil {
		return nil, err
	}
	if m.Scope == ScopeOthers {
		return Done{}, w.revoke(ctx, revocation.Session, ended...)
	}
	// The token's own session is revoked whether it still has a row or not: the
	// token is good without one.
	if session != "" {
		ended = appendNew(ended, session)
	} else if c.TokenID != "" {
		if err := w.revoke(ctx, revocation.Token, c.TokenID); err != nil {
			return nil, err
		}
	}
	return Done{}, w.revoke(ctx, revocation.Session, ended...)
}

func appendNew(list []string, s string) []string {
	for _, have := range list {
		if have == s {
			return list
		}
	}
	return append(list, s)
}
