package query

// Root is one of several results that are read by one statement.
type Root struct {
	Select
	// Call, when not nil, is a function whose rows are read in place of a relation's:
	// its name and its arguments count. Of one that gives values and not rows only the
	// page counts beside it.
	Call *Call
	// Cast is the type that the values of a function are converted to; empty for none.
	Cast string
	// Shape is what the rows become.
	Shape Shape
}

// Shape is what the rows of a result become.
type Shape uint8

// The shapes.
const (
	// ShapeList is an array with an object per row.
	ShapeList Shape = iota
	// ShapeObject is the object of the first row; null when there is none.
	ShapeObject
	// ShapeWhole is one object of all rows, which must be aggregated; it is there
	// without any row.
	ShapeWhole
)

// Constant is a text that each row of a result has.
type Constant struct{ Text, Alias string }

// Object is an object inside of each row's, made of fields and aggregates.
type Object struct {
	Alias string
	// Fields are of the types Constant, Field and Aggregate. In one that is aggregated
	// all are aggregates or constants.
	Fields Projection
}

// Nothing adds no column. A projection of nothing else has no columns, where an
// empty one has all.
type Nothing struct{}

func (*Constant) item() {}
func (*Object) item()   {}
func (Nothing) item()   {}
