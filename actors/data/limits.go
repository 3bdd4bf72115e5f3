package data

import (
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Limits bound what one message may ask for; -1 is no limit.
type Limits struct {
	// DefaultPageSize is the limit of a list that names none.
	DefaultPageSize int64
	// MaxPageSize caps the limit of a list, and of the rows that an embed shows in
	// each row; more is cut down silently.
	MaxPageSize int64
	// MaxTotalResults caps offset and limit together; a page that begins beyond
	// is empty. It does not hold for admins.
	MaxTotalResults int64
	// MaxBatchSize is the number of objects that one insert may have.
	MaxBatchSize int64
}

// DefaultLimits are the limits of a configuration that names none.
var DefaultLimits = Limits{DefaultPageSize: 1000, MaxPageSize: 1000, MaxTotalResults: 10000, MaxBatchSize: 1000}

// page gives the window that a list gets.
func (l Limits) page(asked query.Page, c caller.Caller) query.Page {
	limit := asked.Limit
	if limit == query.NoLimit {
		limit = l.DefaultPageSize
	}
	if l.MaxPageSize >= 0 && (limit == query.NoLimit || limit > l.MaxPageSize) {
		limit = l.MaxPageSize
	}
	if l.MaxTotalResults >= 0 && !c.HasRole(caller.Admin, caller.InstanceAdmin) {
		left := max(l.MaxTotalResults-asked.Offset, 0)
		if limit == query.NoLimit || limit > left {
			limit = left
		}
	}
	return query.Page{Limit: limit, Offset: asked.Offset}
}

// cap bounds the number of rows alone, whatever comes before them.
func (l Limits) cap(asked query.Page) query.Page {
	if l.MaxPageSize >= 0 && (asked.Limit == query.NoLimit || asked.Limit > l.MaxPageSize) {
		asked.Limit = l.MaxPageSize
	}
	return asked
}

// export gives the window that an export gets: all of it for those who look after
// the data, as far as a list can be paged for others.
func (l Limits) export(asked query.Page, c caller.Caller) query.Page {
	if l.MaxTotalResults < 0 || c.HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service, caller.TenantService) {
		return asked
	}
	left := max(l.MaxTotalResults-asked.Offset, 0)
	if asked.Limit == query.NoLimit || asked.Limit > left {
		asked.Limit = left
	}
	return asked
}

// batch checks the number of objects of an insert.
func (l Limits) batch(rows int) error {
	if l.MaxBatchSize >= 0 && int64(rows) > l.MaxBatchSize {
		return fault.Newf(fault.BatchTooLarge, "Batch size %d exceeds maximum allowed batch size of %d", rows, l.MaxBatchSize)
	}
	return nil
}
