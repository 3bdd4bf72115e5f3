package credential

import (
	"context"
	"sync/atomic"
	"time"

	"fluxbase/persistence/key"
)

// Keyring holds every live opaque key of the installation in memory.
//
// It is read at the start, when the database says that keys changed, and, at most
// once a second, when somebody shows a key that it does not know: a key that
// another node made a moment ago works at once, and a flood of wrong keys costs
// the database one query a second.
type Keyring struct {
	pepper []byte
	load   func(context.Context) ([]key.Key, error)
	keys   atomic.Pointer[map[key.Digest]key.Key]
	// loading holds the time of the last load and lets one loader in.
	loading chan time.Time
}

// reloadEvery is the least time between two loads that unknown keys cause.
const reloadEvery = time.Second

// NewKeyring reads the keys with load and fails when that fails.
func NewKeyring(ctx context.Context, pepper []byte, load func(context.Context) ([]key.Key, error)) (*Keyring, error) {
	r := &Keyring{pepper: append([]byte(nil), pepper...), load: load, loading: make(chan time.Time, 1)}
	r.loading <- time.Time{}
	if err := r.Reload(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// Reload reads the keys again. Call it when the database rings key.Channel, and
// when the connection that would have heard it was lost.
func (r *Keyring) Reload(ctx context.Context) error { return r.reload(ctx, 0) }

func (r *Keyring) reload(ctx context.Context, unlessWithin time.Duration) error {
	var last time.Time
	select {
	case last = <-r.loading:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { r.loading <- last }()
	if unlessWithin > 0 && time.Since(last) < unlessWithin {
		return nil
	}
	began := time.Now()
	keys, err := r.load(ctx)
	if err != nil {
		return err
	}
	m := make(map[key.Digest]key.Key, len(keys))
	for _, k := range keys {
		m[k.Digest] = k
	}
	r.keys.Store(&m)
	last = began
	return nil
}

// find gives the key that text is, if there is one. The look-up compares digests
// under a secret, so its timing says nothing about any key.
func (r *Keyring) find(ctx context.Context, text string) (key.Key, bool, error) {
	digest := key.DigestOf(r.pepper, text)
	k, ok := (*r.keys.Load())[digest]
	if !ok {
		if err := r.reload(ctx, reloadEvery); err != nil {
			return key.Key{}, false, err
		}
		k, ok = (*r.keys.Load())[digest]
	}
	if ok && !k.ExpiresAt.IsZero() && !time.Now().Before(k.ExpiresAt) {
		return key.Key{}, false, nil
	}
	return k, ok, nil
}
