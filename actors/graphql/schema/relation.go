package schema

import (
	"strings"

	"fluxbase/persistence/catalog"
)

// addRelations names the fields that lead to other tables. A table without a number
// behind its name goes before one that needs it: a function, which was made to be a
// field, before a key, a key before a junction, a table before a view. Among equals
// that want the same name none gets it: all are told apart by their columns, so that
// no name depends on an order.
func (b *builder) addRelations(t *Table) {
	byRank := map[int][]*catalog.Relationship{}
	for i := range t.Relation.Relationships {
		r := &t.Relation.Relationships[i]
		if r.OfPartition || !r.Executable(b.role) || b.table(r.Schema, r.Name) == nil || !b.readable(t, r) {
			continue
		}
		rank := b.rank(r)
		byRank[rank] = append(byRank[rank], r)
	}
	for rank := 0; rank <= lastRank; rank++ {
		wanted := map[string]int{}
		for _, r := range byRank[rank] {
			wanted[b.shortName(r)]++
		}
		for _, r := range byRank[rank] {
			choices := []string{b.shortName(r), b.longName(r)}
			if wanted[choices[0]] > 1 {
				choices = choices[1:]
			}
			b.addRelation(t, r, t.taken.take(choices...))
		}
	}
}

func (b *builder) addRelation(t *Table, r *catalog.Relationship, name string) {
	f := &Field{Name: name, Kind: RelatedField, Via: r.Key(), Table: b.table(r.Schema, r.Name), Many: !r.One(), nullable: true}
	t.relations = append(t.relations, f)
	if f.Many {
		t.relations = append(t.relations, &Field{
			Name: t.taken.take(name + "Aggregate"), Kind: RelatedAggregate, Via: f.Via, Table: f.Table, Many: true,
		})
	}
}

// readable tells whether the role may read the columns that a relationship joins by.
func (b *builder) readable(t *Table, r *catalog.Relationship) bool {
	all := func(rel *catalog.Relation, columns []string) bool {
		for _, c := range columns {
			if !rel.GrantedColumn(b.role, catalog.Select, c) {
				return false
			}
		}
		return true
	}
	if r.Function != nil {
		return b.wholeRow(t.Relation)
	}
	if r.Junction != nil {
		between, ok := b.snapshot.Relation(r.Junction.Schema, r.Junction.Name)
		if !ok || !all(between, r.Junction.Near.Columns) || !all(between, r.Junction.Far.Columns) {
			return false
		}
	}
	return all(t.Relation, r.Columns) && all(b.table(r.Schema, r.Name).Relation, r.Referenced)
}

const lastRank = 4

func (b *builder) rank(r *catalog.Relationship) int {
	rank := 1
	switch {
	case r.Function != nil:
		return 0
	case r.Junction != nil:
		rank = 2
	}
	if isView(b.table(r.Schema, r.Name).Relation) {
		rank += 2
	}
	return rank
}

// shortName is what a relationship is called when nothing else is called so: by the
// column without its _id, or by the other table.
func (b *builder) shortName(r *catalog.Relationship) string {
	target := camel(b.qualified(b.table(r.Schema, r.Name).Relation))
	switch {
	case r.Function != nil:
		return camel(r.Function.Name)
	case !r.One():
		return target
	case r.Inverse || len(r.Columns) != 1:
		return singular(target)
	}
	if stem, ok := strings.CutSuffix(r.Columns[0], "_id"); ok && stem != "" {
		return camel(stem)
	}
	return singular(target)
}

// longName tells a relationship from others that lead to the same table.
func (b *builder) longName(r *catalog.Relationship) string {
	target := camel(b.qualified(b.table(r.Schema, r.Name).Relation))
	if r.One() {
		target = singular(target)
	}
	switch {
	case r.Function != nil:
		return camel(r.Function.Name)
	case r.Junction != nil:
		name := target + "By" + pascal(r.Junction.Name)
		if r.Self {
			name += "By" + stems(r.Junction.Near.Columns)
		}
		return name
	case r.Inverse:
		return target + "By" + stems(r.Referenced)
	}
	return target + "By" + stems(r.Columns)
}

// stems are the names of columns without their _id as one name.
func stems(columns []string) string {
	parts := make([]string, len(columns))
	for i, c := range columns {
		parts[i] = c
		if stem, ok := strings.CutSuffix(c, "_id"); ok && stem != "" {
			parts[i] = stem
		}
	}
	return pascal(strings.Join(parts, "_"))
}
