package data

import (
	"sync"

	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// maxPlans bounds the plans that are kept. When it is reached all are dropped:
// what is used often is back at once.
const maxPlans = 4096

// Plans keeps the compiled plans of a tenant as long as its catalogue stays the
// same. It is safe for use by many workers.
type Plans struct {
	source func() sql.Relations

	mu        sync.RWMutex
	relations sql.Relations
	kept      map[planKey]*sql.Plan
}

// planKey is everything that a plan depends on beside the catalogue.
type planKey struct {
	text  string
	limit int64
	byID  bool
}

// NewPlans makes plans against the catalogue that source gives. source is called
// for every message: it must be cheap, and give the same value, comparable by ==,
// until the catalogue changes.
func NewPlans(source func() sql.Relations) *Plans {
	return &Plans{source: source, kept: map[planKey]*sql.Plan{}}
}

// Relations is the current catalogue.
func (p *Plans) Relations() sql.Relations { return p.source() }

// find gives the plan of a key, compiling it when there is none. A key without
// text is never kept.
func (p *Plans) find(key planKey, compile func(sql.Relations) (*sql.Plan, error)) (*sql.Plan, error) {
	relations := p.source()
	if key.text == "" {
		return compile(relations)
	}
	p.mu.RLock()
	plan, ok := p.kept[key]
	ok = ok && p.relations == relations
	p.mu.RUnlock()
	if ok {
		return plan, nil
	}
	plan, err := compile(relations)
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	if p.relations != relations || len(p.kept) >= maxPlans {
		p.relations = relations
		clear(p.kept)
	}
	p.kept[key] = plan
	p.mu.Unlock()
	return plan, nil
}

// list gives the plan of a list whose window is already limited.
func (p *Plans) list(m *List, page query.Page, estimateAbove int64) (*sql.Plan, error) {
	return p.find(planKey{text: m.Text, limit: page.Limit}, func(relations sql.Relations) (*sql.Plan, error) {
		q := *m.Query
		q.Page = page
		return sql.Select(relations, &q, sql.Options{EstimateAbove: estimateAbove})
	})
}

// get gives the plan of a row by its id.
func (p *Plans) get(m *Get) (*sql.Plan, error) {
	relations := p.source()
	address, columns, err := locate(relations, m.Query.From, m.ID)
	if err != nil {
		return nil, err
	}
	plan, err := p.find(planKey{text: m.Text, byID: true}, func(relations sql.Relations) (*sql.Plan, error) {
		q := *m.Query
		q.Where = query.Conjoin(address, m.Query.Where)
		q.Page = query.Page{Limit: query.NoLimit}
		return sql.Select(relations, &q, sql.Options{})
	})
	if err != nil || m.Text == "" {
		return plan, err
	}
	// The id's values are the first parameters of the plan, in the key's order.
	own := *plan
	own.Args = append([]any(nil), plan.Args...)
	for i, value := range addressValues(address, len(columns)) {
		own.Args[i] = value
	}
	return &own, nil
}

// addressValues are the values of a condition that locate made.
func addressValues(address query.Condition, n int) []string {
	values := make([]string, 0, n)
	switch address := address.(type) {
	case *query.Compare:
		values = append(values, address.Value)
	case query.And:
		for _, term := range address {
			if cmp, ok := term.(*query.Compare); ok {
				values = append(values, cmp.Value)
			}
		}
	}
	return values
}
