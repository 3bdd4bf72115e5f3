// Package embedding turns texts into vectors. It is a pool of workers that each ask a
// provider, a service outside, and wait for it: a slow provider fills this pool and no
// other.
package embedding

import "fluxbase/persistence/caller"

// Embed asks for the vectors of texts. The reply is an *Embedded. The faults are those
// of texts that are missing, too many or too long, ADMIN_REQUIRED for a provider that
// the caller may not choose, FEATURE_DISABLED where no provider is configured, and what
// a Provider may fail with.
type Embed struct {
	Caller caller.Caller
	Texts  []string
	// Model is the provider's name of a model; empty for the configured one.
	Model string
	// Provider is the name of a configured provider, which administrators may choose;
	// empty for the default one.
	Provider string
}

// Embedded is the vectors of texts.
type Embedded struct {
	// Vectors are in the order of the texts, and have all the same number of numbers,
	// which are finite.
	Vectors [][]float64
	// Model is the one that made them.
	Model string
	// Usage is what the provider counted; nil when it did not say.
	Usage *Usage
}

// Usage is what an embedding cost, in tokens.
type Usage struct{ PromptTokens, TotalTokens int64 }
