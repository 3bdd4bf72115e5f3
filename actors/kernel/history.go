package kernel

import (
	"context"
	"errors"
	"time"
)

// ErrSuperseded means that somebody else claimed a history, or that it is gone: what
// was to be appended was not.
var ErrSuperseded = errors.New("the history is another's")

// History keeps what homes number where it outlives them. Its errors, besides
// ErrSuperseded, leave open whether something was done.
type History interface {
	// Claim takes over the history under key and gives what is kept. Whoever claimed
	// it before can append to it no more. A new history gets the epoch.
	Claim(ctx context.Context, key string, epoch uint64, age time.Duration) (Kept, error)
	// Append adds entries behind an offset and keeps the newest ones, keep of them
	// at most, until nothing was appended or renewed for age.
	Append(ctx context.Context, key, claim string, behind uint64, entries [][]byte, keep int, age time.Duration) error
	// Renew keeps the history for another age.
	Renew(ctx context.Context, key, claim string, age time.Duration) error
}

// Kept is a history as it was claimed.
type Kept struct {
	// Claim is what Append and Renew need.
	Claim string
	// Epoch names the history, Offset is the number of its newest entry.
	Epoch, Offset uint64
	// Entries are the newest ones, oldest first; the last one has Offset.
	Entries [][]byte
}
