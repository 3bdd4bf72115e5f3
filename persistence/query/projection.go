package query

// Projection is what a result holds, in order. An empty projection means all
// columns.
type Projection []Item

// Item is one entry of a projection: Star, *Field, *Aggregate, *Embed, *Constant,
// *Object or Nothing.
type Item interface{ item() }

// Star is all columns of the relation.
type Star struct{}

// Field is one column or one place in a column.
type Field struct {
	Path Path
	// Alias is the name in the result; empty for the path's label.
	Alias string
	// Cast is the type to convert to, as the client named it; empty for none.
	Cast string
}

// Aggregate is a computed value over a group of rows.
type Aggregate struct {
	// Function is count, sum, avg, min or max.
	Function string
	// Of is the argument; nil counts rows.
	Of *Field
	// Alias is the name in the result; empty for the function's, with the
	// argument's behind it: count, sum_price.
	Alias string
	// Cast converts the result; empty for none.
	Cast string
}

// Embed is the rows of a related relation, nested in each row.
type Embed struct {
	// Name is a relation, a foreign key constraint or a foreign key column.
	Name string
	// Alias is the name in the result and for conditions; empty for Name.
	Alias string
	// Hint chooses between several relationships.
	Hint string
	// Via, when not empty, is the key of the one relationship that is meant, whatever
	// Name and Hint are; see catalog.Relationship.Key.
	Via string
	// Whole makes one object of all rows, which must be aggregated.
	Whole bool
	// Inner drops parents without matching rows.
	Inner bool
	// Spread lifts the fields into the parent.
	Spread bool

	Fields Projection
	Where  Condition
	Order  []Order
	Page   Page
}

// Label is the embed's name in the result and in conditions.
func (e *Embed) Label() string {
	if e.Alias != "" {
		return e.Alias
	}
	return e.Name
}

func (Star) item()       {}
func (*Field) item()     {}
func (*Aggregate) item() {}
func (*Embed) item()     {}
