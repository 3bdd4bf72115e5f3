// Package rpc serves stored procedures: it turns requests under /rpc and /admin/rpc
// into the messages of actors/procedure and actors/execution and their replies into
// responses.
package rpc

import (
	"slices"
	"time"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

// Options are what the routes need to know.
type Options struct {
	// Enabled serves procedures; without, every route refuses.
	Enabled bool
	// Timeout bounds a call, its wait for a place included.
	Timeout time.Duration
	// SyncRanges are the addresses that a sync may come from; none for all.
	SyncRanges route.Ranges
}

// Routes are the routes of procedures.
func Routes(o Options) []route.Route {
	all := slices.Concat(procedureRoutes(), adminRoutes(), syncRoutes(o.SyncRanges), running(o.Timeout))
	if !o.Enabled {
		for i := range all {
			all[i].Handle = disabled
		}
	}
	return all
}

func disabled(*route.Request) error {
	return fault.New(fault.FeatureDisabled, "Feature is not enabled").WithField("feature_key", "app.rpc.enabled")
}
