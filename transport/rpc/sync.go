package rpc

import (
	"cmp"
	"time"

	"fluxbase/actors/kernel"
	actor "fluxbase/actors/procedure"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/procedure"
	"fluxbase/transport/route"
)

// syncTimeout is longer than what others have: the first use of the parser takes
// seconds, and a sync may bring a thousand procedures.
const syncTimeout = 2 * time.Minute

func syncRoutes(from route.Ranges) []route.Route {
	return []route.Route{{
		Method: "POST", Path: adminBase + "/sync", Access: authors, BodyLimit: route.LimitAdminSync, Timeout: syncTimeout,
		Message: actor.Sync{}, Handle: syncer{from}.sync,
		Doc: route.Doc{
			Tag: tag, Summary: "Make the stored procedures those that are given",
			Description: "Without `procedures` they are read from the folder `rpc.procedures_dir`. Procedures that have errors are left as they are, and the others are stored all the same.",
			Body:        syncBody{}, BodyOptional: true,
			Answers: route.Answers{200: syncReport{}},
			Faults:  []fault.Code{fault.AccessDenied, fault.BatchTooLarge, fault.ValidationFailed},
		},
	}}
}

type syncBody struct {
	Namespace  string      `json:"namespace,omitempty" doc:"default when procedures are given, all when they are read from files"`
	Procedures []syncGiven `json:"procedures,omitempty"`
	Options    syncOptions `json:"options,omitzero"`
}

type syncGiven struct {
	Name string `json:"name,omitempty" doc:"What it is called unless its annotations say so"`
	Code string `json:"code"`
}

type syncOptions struct {
	DeleteMissing bool `json:"delete_missing,omitempty"`
	DryRun        bool `json:"dry_run,omitempty"`
}

type syncReport struct {
	Message   string      `json:"message"`
	Namespace string      `json:"namespace" doc:"* when all are meant"`
	Summary   syncSummary `json:"summary"`
	Details   syncDetails `json:"details"`
	Errors    []syncError `json:"errors"`
	DryRun    bool        `json:"dry_run"`
}

type syncSummary struct {
	Created   int `json:"created"`
	Updated   int `json:"updated"`
	Deleted   int `json:"deleted"`
	Unchanged int `json:"unchanged"`
	Errors    int `json:"errors"`
}

type syncDetails struct {
	Created   []string `json:"created"`
	Updated   []string `json:"updated"`
	Deleted   []string `json:"deleted"`
	Unchanged []string `json:"unchanged"`
}

type syncError struct {
	Procedure string `json:"procedure"`
	Error     string `json:"error"`
}

// everyNamespace is what the report of a sync of all namespaces calls itself.
const everyNamespace = "*"

type syncer struct{ from route.Ranges }

func (s syncer) sync(r *route.Request) error {
	if len(s.from) > 0 && !s.from.Contain(r.Address()) {
		return fault.New(fault.AccessDenied, "Procedures cannot be synced from this address")
	}
	var body syncBody
	if len(r.Body()) > 0 {
		if err := r.Decode(&body); err != nil {
			return err
		}
	}
	var message any
	if len(body.Procedures) == 0 {
		message = actor.SyncFiles{Caller: r.Caller(), Namespace: body.Namespace, DeleteMissing: body.Options.DeleteMissing, DryRun: body.Options.DryRun}
		body.Namespace = cmp.Or(body.Namespace, everyNamespace)
	} else {
		body.Namespace = cmp.Or(body.Namespace, procedure.DefaultNamespace)
		given := make([]procedure.Given, len(body.Procedures))
		for i, g := range body.Procedures {
			given[i] = procedure.Given{Name: g.Name, Code: g.Code}
		}
		message = actor.Sync{Caller: r.Caller(), Namespace: body.Namespace, Given: given, DeleteMissing: body.Options.DeleteMissing, DryRun: body.Options.DryRun}
	}
	done, err := kernel.Ask[procedure.Synced](r.Context(), r.Tenant().Procedures, message)
	if err != nil {
		return err
	}
	return r.JSON(200, reportOf(done, body.Namespace, body.Options.DryRun))
}

func reportOf(s procedure.Synced, namespace string, dryRun bool) syncReport {
	out := syncReport{
		Message: "Procedures synced", Namespace: namespace, DryRun: dryRun,
		Summary: syncSummary{len(s.Created), len(s.Updated), len(s.Deleted), len(s.Unchanged), len(s.Errors)},
		Details: syncDetails{notNull(s.Created), notNull(s.Updated), notNull(s.Deleted), notNull(s.Unchanged)},
		Errors:  make([]syncError, len(s.Errors)),
	}
	switch {
	case dryRun:
		out.Message = "Nothing was changed: this is what a sync would do"
	case len(s.Errors) > 0:
		out.Message = "Procedures synced, but for those with errors"
	}
	for i, e := range s.Errors {
		out.Errors[i] = syncError{e.Procedure, fault.From(e.Err).Message}
	}
	return out
}
