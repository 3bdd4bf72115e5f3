// Package query is the tree that every dialect parses into and that one
// compiler, persistence/query/sql, turns into SQL.
//
// A tree knows no dialect and no catalogue: it holds names and texts as the
// client wrote them, and nothing in it has been checked against the database.
// The compiler checks every name, so a tree may be built from anything. Trees
// are immutable once built; they travel in messages and serve as cache values.
package query

// Relation names a table or a view. An empty Schema means the default schema
// of the compiler's catalogue.
type Relation struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String is the name as people write it: "public.posts".
func (r Relation) String() string {
	if r.Schema == "" {
		return r.Name
	}
	return r.Schema + "." + r.Name
}

// Count says which total is wanted beside a page of rows.
type Count uint8

// The kinds of totals.
const (
	// CountNone wants no total.
	CountNone Count = iota
	// CountExact counts all matching rows, in the snapshot of the page.
	CountExact
	// CountPlanned takes the planner's estimate.
	CountPlanned
	// CountEstimated is exact up to a threshold and planned above it.
	CountEstimated
)

// NoLimit is the Limit of a Page that asked for none.
const NoLimit = -1

// Page is a window over an ordered result. The zero value is an empty page:
// start from Page{Limit: NoLimit}.
type Page struct {
	Limit  int64
	Offset int64
}

// Select reads rows.
type Select struct {
	From   Relation
	Fields Projection
	// Where is nil when nothing was asked.
	Where Condition
	Order []Order
	Page  Page
	Count Count
	// Truncate, when positive, shortens text values to that many characters and
	// says how long they were.
	Truncate int
	// Group lists the columns to group by.
	Group []Path
}

// Order is one term of an ordering.
type Order struct {
	Path Path
	// Embed, when not empty, names the to-one embed whose column Path is.
	Embed string
	// Related, when not empty, are the keys of to-one relationships that lead, one
	// after the other, to the relation whose column Path is.
	Related []string
	// Distance, when not nil, orders by the distance to a vector.
	Distance *Distance
	Desc     bool
	Nulls    Nulls
}

// Nulls says where NULLs go.
type Nulls uint8

// The places of NULLs.
const (
	// NullsDefault is PostgreSQL's own rule: last ascending, first descending.
	NullsDefault Nulls = iota
	NullsFirst
	NullsLast
)
