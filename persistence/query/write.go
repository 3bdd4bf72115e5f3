package query

// Insert adds rows, and may merge them with the ones that are there.
type Insert struct {
	Into Relation
	Body Body
	// Columns, when not nil, are the columns to fill: keys of the body that are
	// not among them are left out.
	Columns []string
	// Missing says what a key that is absent from an object means.
	Missing Missing
	// Conflict says what happens to a row whose key is there already.
	Conflict Conflict
	// ConflictTarget are the columns that decide what a duplicate is; empty for
	// the primary key.
	ConflictTarget []string
	Returning      Returning
}

// Update changes the rows that match.
type Update struct {
	Relation Relation
	// Body holds one object.
	Body      Body
	Columns   []string
	Where     Condition
	Order     []Order
	Page      Page
	Returning Returning
	// Ignore are columns that are not written although the body has them: the
	// key of a row that is addressed by it.
	Ignore []string
}

// UpdateEach changes many rows, each by an object of its own.
type UpdateEach struct {
	Relation Relation
	// Body is an array of objects. Each has the columns of the primary key, which
	// say which row is meant; a key that an object lacks leaves its column as it
	// is. When two objects mean the same row, one of them counts.
	Body      Body
	Where     Condition
	Returning Returning
}

// Delete removes the rows that match.
type Delete struct {
	From      Relation
	Where     Condition
	Order     []Order
	Page      Page
	Returning Returning
}

// Returning is what a write answers with.
type Returning struct {
	// Rows tells whether the written rows are wanted; without it only their
	// number is known, and no right to read them is needed.
	Rows     bool
	Fields   Projection
	Truncate int
}

// Missing says what an absent key means in a bulk insert.
type Missing uint8

// The meanings of an absent key.
const (
	// MissingDefault fills the column's default. A merge whose objects have
	// unequal keys is refused, because it would overwrite what was not named.
	MissingDefault Missing = iota
	// MissingDefaultMerge is MissingDefault also for merges with unequal keys:
	// the client asked for it in so many words.
	MissingDefaultMerge
	// MissingNull fills NULL.
	MissingNull
)

// Conflict says what happens to a duplicate.
type Conflict uint8

// The resolutions of a conflict.
const (
	// ConflictFail refuses the whole insert.
	ConflictFail Conflict = iota
	// ConflictMerge updates the existing row with the columns supplied.
	ConflictMerge
	// ConflictIgnore leaves the existing row as it is.
	ConflictIgnore
)
