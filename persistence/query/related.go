package query

// Related holds for a row that has at least one related row which matches.
type Related struct {
	// Via is the key of a relationship of the row's relation; see
	// catalog.Relationship.Key.
	Via string
	// Where is what the related row must match; nil for anything.
	Where Condition
}

// Untrue holds when its condition is false or unknown.
type Untrue struct{ Condition Condition }

func (*Related) condition() {}
func (Untrue) condition()   {}
