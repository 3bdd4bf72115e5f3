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
	// MaxConditions, MaxListValues, MaxEmbeds and MaxEmbedDepth bound the parts of a
	// query; see query.Size.
	MaxConditions, MaxListValues, MaxEmbeds, MaxEmbedDepth int
	// NoAggregates refuses values computed over rows.
	NoAggregates bool
	// MaxAffectedRows is how many rows an update or a deletion may change, and
	// MaxCost the planner's cost that a statement may have (0 judges none). They
	// do not hold for those who look after the data.
	MaxAffectedRows int64
	MaxCost         float64
	// MaxExports is how many exports may be under way at a time.
	MaxExports int
	// MaxAnswerBytes is how large an answer may be that is not streamed.
	MaxAnswerBytes int64
}

// DefaultLimits are the limits of a configuration that names none.
var DefaultLimits = Limits{
	DefaultPageSize: 1000, MaxPageSize: 1000, MaxTotalResults: 10000, MaxBatchSize: 1000,
	MaxConditions: 1000, MaxListValues: 10000, MaxEmbeds: 50, MaxEmbedDepth: 8,
	MaxAffectedRows: 10000, MaxAnswerBytes: 64 << 20, MaxExports: 6,
}

// looksAfterData tells a caller to whom bounds against misuse do not apply.
func looksAfterData(c caller.Caller) bool {
	return c.HasRole(caller.Admin, caller.InstanceAdmin, caller.TenantAdmin, caller.Service, caller.TenantService)
}

// Page gives the window that a list gets.
func (l Limits) Page(asked query.Page, c caller.Caller) query.Page {
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
	if l.MaxTotalResults < 0 || looksAfterData(c) {
		return asked
	}
	left := max(l.MaxTotalResults-asked.Offset, 0)
	if asked.Limit == query.NoLimit || asked.Limit > left {
		asked.Limit = left
	}
	return asked
}

// Batch checks the number of objects of an insert.
func (l Limits) Batch(rows int) error {
	if l.MaxBatchSize >= 0 && int64(rows) > l.MaxBatchSize {
		return fault.Newf(fault.BatchTooLarge, "Batch size %d exceeds maximum allowed batch size of %d", rows, l.MaxBatchSize)
	}
	return nil
}

// These have one bound for all: they are far beyond what people write and below
// where PostgreSQL gives up.
const (
	maxColumns = 1000
	maxOrders  = 100
	maxNesting = 64
)

// Size refuses a query that has too many parts to be worth compiling, or parts that
// are switched off.
func (l Limits) Size(s query.Size) error {
	if l.NoAggregates && s.Aggregates > 0 {
		return fault.New(fault.AggregatesDisabled, "Aggregates are switched off").WithHint("api.aggregates_enabled switches them on.")
	}
	for _, part := range [...]struct {
		what      string
		got, most int
	}{
		{"conditions", s.Conditions, l.MaxConditions},
		{"values in one list", s.Values, l.MaxListValues},
		{"embedded resources", s.Embeds, l.MaxEmbeds},
		{"levels of embedded resources", s.EmbedDepth, l.MaxEmbedDepth},
		{"columns in one select", s.Columns, maxColumns},
		{"terms in one order", s.Orders, maxOrders},
		{"levels of conditions", s.Depth, maxNesting},
	} {
		if part.most >= 0 && part.got > part.most {
			return fault.Newf(fault.QueryTooLarge, "The query has %d %s, more than %d", part.got, part.what, part.most)
		}
	}
	return nil
}

// Changes is how many rows a caller may change in one statement that asks for a page
// of them; 0 where nothing need be counted.
func (l Limits) Changes(c caller.Caller, page query.Page) int64 {
	if l.MaxAffectedRows < 0 || looksAfterData(c) || page.Limit != query.NoLimit && page.Limit <= l.MaxAffectedRows {
		return 0
	}
	return l.MaxAffectedRows
}
