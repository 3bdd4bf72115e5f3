// Package procedure keeps a tenant's procedures for those who write and list them:
// a pool of workers that compile what they are given and store it. Running
// procedures is not its business.
package procedure

import (
	"fluxbase/persistence/caller"
	store "fluxbase/persistence/procedure"
)

// ListPublic asks for the procedures that everybody may know of: those that are
// public and enabled. The answer is a []*store.Procedure, without texts and statements.
type ListPublic struct {
	// Namespace is empty, or the default one, for all.
	Namespace string
}

// List asks for the procedures of a namespace, or of all for "". The answer is a
// []*store.Procedure, without texts and statements.
type List struct{ Namespace string }

// ListNamespaces asks for the names of the namespaces that hold procedures:
// []string.
type ListNamespaces struct{}

// Get asks for a procedure: *store.Procedure, or NOT_FOUND.
type Get struct{ Namespace, Name string }

// Alter changes a procedure by hand: *store.Procedure, or NOT_FOUND,
// VALIDATION_FAILED, CONFLICT.
type Alter struct {
	Namespace, Name string
	Change          store.Change
}

// Delete deletes a procedure: Deleted, or NOT_FOUND.
type Delete struct{ Namespace, Name string }

// Deleted is the answer to Delete.
type Deleted struct{}

// Sync makes the synced procedures of a namespace those that are given. The answer
// is a store.Synced.
type Sync struct {
	Caller    caller.Caller
	Namespace string
	Given     []store.Given
	// DeleteMissing and DryRun as in store.SyncOptions.
	DeleteMissing, DryRun bool
}

// SyncFiles is Sync with the files of the folder of procedures, all namespaces for
// "". The answer is a store.Synced, whose names begin with their namespace when all
// are meant.
type SyncFiles struct {
	Caller                caller.Caller
	Namespace             string
	DeleteMissing, DryRun bool
}
