package procedure

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	store "fluxbase/persistence/procedure"
)

// Options are the settings of a worker.
type Options struct {
	Store  *store.Store
	Limits store.Limits
	// Directory is the folder of SyncFiles.
	Directory string
}

// Worker handles the messages of this package, one at a time.
type Worker struct{ Options }

var _ kernel.Worker = (*Worker)(nil)

// NewWorker gives a worker for a tenant's pool.
func NewWorker(o Options) *Worker { return &Worker{o} }

// Handle implements kernel.Worker.
func (w *Worker) Handle(ctx context.Context, msg any) (any, error) {
	switch m := msg.(type) {
	case ListPublic:
		return w.public(ctx, m.Namespace)
	case List:
		return w.Store.Summaries(ctx, m.Namespace, false)
	case ListNamespaces:
		return w.Store.Namespaces(ctx)
	case Get:
		p, err := w.Store.Find(ctx, m.Namespace, m.Name)
		return p, missing(err)
	case Alter:
		p, err := w.Store.Change(ctx, m.Namespace, m.Name, m.Change, w.Limits)
		return p, missing(err)
	case Delete:
		return Deleted{}, missing(w.Store.Delete(ctx, m.Namespace, m.Name))
	case Sync:
		return w.Store.Sync(ctx, m.Namespace, m.Given, w.options(m.Caller, m.DeleteMissing, m.DryRun))
	case SyncFiles:
		return w.files(ctx, m)
	default:
		return nil, fmt.Errorf("procedure worker got an unknown message %T", msg)
	}
}

func missing(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fault.New(fault.NotFound, "Procedure not found")
	}
	return err
}

func (w *Worker) public(ctx context.Context, namespace string) ([]*store.Procedure, error) {
	if namespace == store.DefaultNamespace {
		namespace = ""
	}
	return w.Store.Summaries(ctx, namespace, true)
}

func (w *Worker) options(c caller.Caller, deleteMissing, dryRun bool) store.SyncOptions {
	return store.SyncOptions{DeleteMissing: deleteMissing, DryRun: dryRun, By: cmp.Or(c.UserID, c.KeyID), Limits: w.Limits}
}

func (w *Worker) files(ctx context.Context, m SyncFiles) (store.Synced, error) {
	found, err := store.ReadDirectory(w.Directory)
	if err != nil {
		return store.Synced{}, err
	}
	if found == nil && m.DeleteMissing {
		return store.Synced{}, fault.New(fault.ValidationFailed, "The folder of procedures (rpc.procedures_dir) does not exist, so that nothing is missing from it")
	}
	options := w.options(m.Caller, m.DeleteMissing, m.DryRun)
	if m.Namespace != "" {
		return w.Store.Sync(ctx, m.Namespace, found[m.Namespace], options)
	}
	if m.DeleteMissing {
		// Of a namespace whose folder is gone everything is missing.
		stored, err := w.Store.Namespaces(ctx)
		if err != nil {
			return store.Synced{}, err
		}
		for _, namespace := range stored {
			if _, is := found[namespace]; !is {
				found[namespace] = nil
			}
		}
	}
	var report store.Synced
	for _, namespace := range slices.Sorted(maps.Keys(found)) {
		one, err := w.Store.Sync(ctx, namespace, found[namespace], options)
		if err != nil {
			return report, err
		}
		report.Add(one, namespace+"/")
	}
	return report, nil
}
