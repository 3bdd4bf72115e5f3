package sql

import (
	"strings"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// keyed finds a relationship of the scope's relation by its key.
func (c *compiler) keyed(key string) (*catalog.Relationship, error) {
	for i := range c.relation.Relationships {
		if r := &c.relation.Relationships[i]; r.Key() == key {
			return r, nil
		}
	}
	return nil, fault.Newf(fault.RelationshipNotFound, "Could not find the relationship %q of '%s' in the schema cache", key, c.relation.Name)
}

// along is the scope of the rows that the relationship of a key leads to.
func (c *compiler) along(key string) (*compiler, error) {
	if c.relations == nil {
		return nil, invalid("a condition on related rows is not possible here")
	}
	via, err := c.keyed(key)
	if err != nil {
		return nil, err
	}
	return c.within(via)
}

// related writes whether a row has a related row that matches.
func (c *compiler) related(w *strings.Builder, cond *query.Related) error {
	inner, err := c.along(cond.Via)
	if err != nil {
		return err
	}
	w.WriteString("EXISTS (SELECT FROM ")
	inner.source(w)
	if err := inner.where(w, cond.Where); err != nil {
		return err
	}
	w.WriteByte(')')
	return nil
}

// orderRelated writes what a term orders by of the row that to-one relationships lead to.
func (c *compiler) orderRelated(w *strings.Builder, keys []string, term query.Order) error {
	inner, err := c.along(keys[0])
	if err != nil {
		return err
	}
	if !inner.via.One() {
		return fault.Newf(fault.UnrelatedOrder, "Invalid query parameters: an order by '%s' is not possible", inner.relation.Name).
			WithDetails(Reason{"'" + c.relation.Name + "' and '" + inner.relation.Name + "' do not form a many-to-one or one-to-one relationship"})
	}
	w.WriteString("(SELECT ")
	if len(keys) > 1 {
		err = inner.orderRelated(w, keys[1:], term)
	} else {
		err = inner.sortKey(w, term)
	}
	if err != nil {
		return err
	}
	w.WriteString(" FROM ")
	inner.source(w)
	if err := inner.where(w, nil); err != nil {
		return err
	}
	if inner.via.Function != nil || inner.relation.View {
		w.WriteString(" LIMIT 1") // only the catalogue says that there is one
	}
	w.WriteByte(')')
	return nil
}
