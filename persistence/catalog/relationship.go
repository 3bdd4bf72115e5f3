package catalog

import (
	"cmp"
	"slices"
)

// Cardinality says how many rows stand on either side of a relationship, seen
// from the relation where it begins.
type Cardinality uint8

// The cardinalities.
const (
	ManyToOne Cardinality = iota
	OneToOne
	OneToMany
	ManyToMany
)

// String is the cardinality in words: "many-to-one".
func (c Cardinality) String() string {
	return [...]string{"many-to-one", "one-to-one", "one-to-many", "many-to-many"}[c]
}

// Relationship leads from the rows of one relation to rows of another: along a
// foreign key in either direction, through a junction table, or by a function.
// The columns of a view are traced to the tables beneath it, so that views have
// the relationships of their tables.
type Relationship struct {
	Cardinality Cardinality
	// Constraint is the foreign key; empty for a many-to-many relationship and for
	// a function.
	Constraint string
	// Columns are those of the relation where the relationship begins.
	Columns []string
	// Schema and Name are the relation that it leads to.
	Schema, Name string
	// Referenced are the columns of that relation: equal to Columns one by one, or,
	// with a junction, to its Far.Columns.
	Referenced []string
	// Junction is the table between the two of a many-to-many relationship.
	Junction *Junction
	// Function computes the related rows from a row; nil for all others.
	Function *Function
	// Inverse tells that the foreign key is the other relation's.
	Inverse bool
	// Self tells that the relationship leads back to its own relation.
	Self bool
	// OfPartition tells that the foreign key is a partition's copy of the one that
	// the partitioned table has.
	OfPartition bool

	executors []string // of Function
}

// Key names the relationship among those of its relation, whatever else there is.
func (r *Relationship) Key() string {
	switch {
	case r.Function != nil:
		return "function " + r.Function.Schema + "." + r.Function.Name
	case r.Junction != nil:
		return "junction " + r.Junction.Schema + "." + r.Junction.Name + " " + r.Junction.Near.Constraint + " " + r.Junction.Far.Constraint +
			" " + r.Schema + "." + r.Name
	case r.Inverse:
		return "inverse " + r.Constraint + " " + r.Schema + "." + r.Name
	}
	return "key " + r.Constraint + " " + r.Schema + "." + r.Name
}

// One tells whether there is at most one related row.
func (r *Relationship) One() bool {
	return r.Cardinality == ManyToOne || r.Cardinality == OneToOne
}

// Junction is a table whose primary key holds two foreign keys.
type Junction struct {
	Schema, Name string
	// Near leads to the relation where the relationship begins, Far to the other.
	Near, Far Reference
}

// Reference is a foreign key of a junction.
type Reference struct {
	Constraint string
	Columns    []string
}

// Function is a function of one row.
type Function struct{ Schema, Name string }

// Computed is a function of a row that can be read like a column.
type Computed struct {
	Function
	Type *Type

	executors []string
}

// link is a foreign key of any table of the database, exposed or not, with
// columns by number.
type link struct {
	Name       string
	Table      uint32
	Columns    []int
	Target     uint32
	Referenced []int
	// Unique tells that the columns are a key of their table, InKey that they are
	// part of its primary key, Partition that the table is a partition.
	Unique    bool
	InKey     bool `json:"in_key"`
	Partition bool
}

// face is a table as an exposed relation shows it: itself, or a view over it.
type face struct {
	relation *Relation
	columns  map[int]string // by their number in the table
}

// names gives the columns under the names of the face; nil when it does not show
// all of them.
func (f face) names(numbers []int) []string {
	out := make([]string, len(numbers))
	for i, n := range numbers {
		name, ok := f.columns[n]
		if !ok {
			return nil
		}
		out[i] = name
	}
	return out
}

// faces finds by which exposed relations each table is shown. trees are the rules
// of views.
func faces(relations map[name]*Relation, trees map[uint32]string) map[uint32][]face {
	traced := make(map[uint32]map[int]origin, len(trees))
	for oid, tree := range trees {
		traced[oid] = origins(tree)
	}
	out := make(map[uint32][]face)
	for _, r := range relations {
		if r.Kind != View && r.Kind != MaterializedView {
			columns := make(map[int]string, len(r.Columns))
			for i := range r.Columns {
				columns[r.Columns[i].Position] = r.Columns[i].Name
			}
			out[r.OID] = append(out[r.OID], face{r, columns})
			continue
		}
		shown := make(map[uint32]map[int]string)
		for i := range r.Columns {
			from := origin{r.OID, r.Columns[i].Position}
			// A view cannot be beneath itself, so this ends.
			for from.relation != 0 && traced[from.relation] != nil {
				from = traced[from.relation][from.column]
			}
			if from.relation == 0 {
				continue
			}
			if shown[from.relation] == nil {
				shown[from.relation] = make(map[int]string)
			}
			if _, twice := shown[from.relation][from.column]; !twice {
				shown[from.relation][from.column] = r.Columns[i].Name
			}
		}
		for table, columns := range shown {
			out[table] = append(out[table], face{r, columns})
		}
	}
	for _, list := range out { // tables before views, then by name
		slices.SortFunc(list, func(a, b face) int {
			return cmp.Or(cmp.Compare(views(a.relation), views(b.relation)), cmp.Compare(a.relation.Schema, b.relation.Schema), cmp.Compare(a.relation.Name, b.relation.Name))
		})
	}
	return out
}

func views(r *Relation) int {
	if r.Kind == View || r.Kind == MaterializedView {
		return 1
	}
	return 0
}

// relate gives every exposed relation its relationships.
func relate(links []link, shown map[uint32][]face) {
	junctions := make(map[uint32][]link)
	for _, l := range links {
		if l.InKey && !l.Partition {
			junctions[l.Table] = append(junctions[l.Table], l)
		}
		for _, from := range shown[l.Table] {
			columns := from.names(l.Columns)
			if columns == nil {
				continue
			}
			for _, to := range shown[l.Target] {
				referenced := to.names(l.Referenced)
				if referenced == nil {
					continue
				}
				there, back := ManyToOne, OneToMany
				if l.Unique {
					there, back = OneToOne, OneToOne
				}
				self := from.relation == to.relation
				from.relation.Relationships = append(from.relation.Relationships, Relationship{
					Cardinality: there, Constraint: l.Name, Columns: columns, Self: self, OfPartition: l.Partition,
					Schema: to.relation.Schema, Name: to.relation.Name, Referenced: referenced,
				})
				to.relation.Relationships = append(to.relation.Relationships, Relationship{
					Cardinality: back, Constraint: l.Name, Columns: referenced, Inverse: true, Self: self, OfPartition: l.Partition,
					Schema: from.relation.Schema, Name: from.relation.Name, Referenced: columns,
				})
			}
		}
	}
	for table, keys := range junctions {
		// A view is the junction only where its table is not exposed: otherwise
		// every such relationship would be there twice.
		between := shown[table]
		if len(between) > 0 && views(between[0].relation) == 0 {
			between = between[:1]
		}
		for _, junction := range between {
			for _, near := range keys {
				for _, far := range keys {
					if near.Name != far.Name {
						join(junction, near, far, shown)
					}
				}
			}
		}
	}
}

// join adds the many-to-many relationships that a junction makes in one direction.
func join(junction face, near, far link, shown map[uint32][]face) {
	nearColumns, farColumns := junction.names(near.Columns), junction.names(far.Columns)
	if nearColumns == nil || farColumns == nil {
		return
	}
	for _, from := range shown[near.Target] {
		columns := from.names(near.Referenced)
		if columns == nil {
			continue
		}
		for _, to := range shown[far.Target] {
			referenced := to.names(far.Referenced)
			if referenced == nil {
				continue
			}
			from.relation.Relationships = append(from.relation.Relationships, Relationship{
				Cardinality: ManyToMany, Columns: columns, Schema: to.relation.Schema, Name: to.relation.Name, Referenced: referenced,
				Self: from.relation == to.relation,
				Junction: &Junction{
					Schema: junction.relation.Schema, Name: junction.relation.Name,
					Near: Reference{near.Name, nearColumns}, Far: Reference{far.Name, farColumns},
				},
			})
		}
	}
}

// sortRelationships puts the relationships of a relation in an order that does not
// depend on how they were found.
func sortRelationships(list []Relationship) {
	junction := func(r *Relationship) (string, string) {
		if r.Junction == nil {
			return "", ""
		}
		return r.Junction.Name, r.Junction.Near.Constraint
	}
	slices.SortFunc(list, func(a, b Relationship) int {
		aName, aNear := junction(&a)
		bName, bNear := junction(&b)
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Schema, b.Schema), cmp.Compare(a.Cardinality, b.Cardinality),
			cmp.Compare(a.Constraint, b.Constraint), cmp.Compare(aName, bName), cmp.Compare(aNear, bNear))
	})
}
