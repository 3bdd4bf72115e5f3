package catalog

// base is a table beneath views, exposed or not.
type base struct {
	OID uint32
	// Key are the columns of its primary key by number; nil without one.
	Key []int
	// Columns are those that have a default or are computed.
	Columns []struct {
		Position  int
		Default   string
		Generated bool
		Identity  string
		Sequence  string
	}
}

// inherit gives the views that can be written what PostgreSQL takes from the tables
// beneath them when it writes: the defaults of columns that are left out, what may
// not be written, and the key. A view has a key when it shows the whole primary key
// of exactly one table.
func inherit(bases []base, shown map[uint32][]face) {
	keyed := make(map[*Relation]int)
	for i := range bases {
		b := &bases[i]
		for _, f := range shown[b.OID] {
			r := f.relation
			if r.Kind != View || !r.Insertable && !r.Updatable && !r.Deletable {
				continue
			}
			for _, c := range b.Columns {
				at, ok := r.columns[f.columns[c.Position]]
				if !ok || !r.Columns[at].Updatable {
					continue
				}
				column := &r.Columns[at]
				column.Generated, column.Identity, column.Sequence = c.Generated, Identity(letter(c.Identity)), c.Sequence
				if column.Default == "" { // a view may have defaults of its own
					column.Default = c.Default
				}
			}
			if names := f.names(b.Key); len(names) > 0 {
				keyed[r]++
				r.PrimaryKey = names
			}
		}
	}
	for r, keys := range keyed {
		if keys > 1 {
			r.PrimaryKey = nil
		}
	}
}
