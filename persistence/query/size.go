package query

// Size is how much a query asks for, counted on its tree: what it costs to
// compile and to plan, whatever the tables hold.
type Size struct {
	// Conditions is the number of comparisons, Depth how deep they nest.
	Conditions, Depth int
	// Values is the number of values in the longest list of one comparison.
	Values int
	// Columns is the number of columns in the widest select list, Orders the number
	// of terms in the longest order.
	Columns, Orders int
	// Embeds is the number of embeds, EmbedDepth how deep they nest: 1 for an embed
	// that has none.
	Embeds, EmbedDepth int
	// Aggregates is the number of values computed over rows.
	Aggregates int
}

// And is the size of a statement that has the parts of both.
func (s Size) And(o Size) Size {
	return Size{
		Conditions: s.Conditions + o.Conditions, Embeds: s.Embeds + o.Embeds, Aggregates: s.Aggregates + o.Aggregates,
		Depth: max(s.Depth, o.Depth), Values: max(s.Values, o.Values), Columns: max(s.Columns, o.Columns),
		Orders: max(s.Orders, o.Orders), EmbedDepth: max(s.EmbedDepth, o.EmbedDepth),
	}
}

// Size measures the query.
func (q *Select) Size() Size {
	var s Size
	s.selects(q.Fields, 0)
	s.where(q.Where, 1)
	s.Orders = max(s.Orders, len(q.Order))
	s.Columns = max(s.Columns, len(q.Fields)+len(q.Group))
	return s
}

// Size measures which rows are searched and what is wanted of them.
func (q *Search) Size() Size {
	return (&Select{Fields: q.Fields, Where: q.Where, Order: []Order{{Path: q.Path, Distance: &q.Distance}}}).Size()
}

// Size measures what is asked of the rows that the function returns.
func (q *Call) Size() Size {
	return (&Select{Fields: q.Fields, Where: q.Where, Order: q.Order}).Size()
}

// Size measures which rows are meant and what is wanted of them.
func (q *Update) Size() Size { return q.Returning.size(q.Where, q.Order) }

// Size measures which rows are meant and what is wanted of them.
func (q *UpdateEach) Size() Size { return q.Returning.size(q.Where, nil) }

// Size measures which rows are meant and what is wanted of them.
func (q *Delete) Size() Size { return q.Returning.size(q.Where, q.Order) }

// Size measures what is wanted of the rows.
func (q *Insert) Size() Size { return q.Returning.size(nil, nil) }

func (r *Returning) size(where Condition, order []Order) Size {
	return (&Select{Fields: r.Fields, Where: where, Order: order}).Size()
}

// selects counts a select list whose embeds lie in depth others.
func (s *Size) selects(fields Projection, depth int) {
	s.Columns = max(s.Columns, len(fields))
	for _, item := range fields {
		switch item := item.(type) {
		case *Aggregate:
			s.Aggregates++
		case *Object:
			s.Columns = max(s.Columns, len(fields)+len(item.Fields))
			for _, inner := range item.Fields {
				if _, ok := inner.(*Aggregate); ok {
					s.Aggregates++
				}
			}
		case *Embed:
			s.Embeds++
			s.EmbedDepth = max(s.EmbedDepth, depth+1)
			s.where(item.Where, 1)
			s.Orders = max(s.Orders, len(item.Order))
			s.selects(item.Fields, depth+1)
		}
	}
}

// where counts a condition that lies depth levels deep.
func (s *Size) where(c Condition, depth int) {
	s.Depth = max(s.Depth, depth)
	switch c := c.(type) {
	case And:
		for _, term := range c {
			s.where(term, depth+1)
		}
	case Or:
		for _, term := range c {
			s.where(term, depth+1)
		}
	case Not:
		s.where(c.Condition, depth+1)
	case Untrue:
		s.where(c.Condition, depth+1)
	case *Related:
		s.Conditions++
		s.where(c.Where, depth+1)
	case *Compare:
		s.Conditions++
		s.Values = max(s.Values, len(c.Values))
	}
}
