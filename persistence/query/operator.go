package query

// Operator compares a place with a value. The texts are the names that the
// filter grammar uses.
type Operator string

// The operators.
const (
	Equal          Operator = "eq"
	NotEqual       Operator = "neq"
	Greater        Operator = "gt"
	GreaterOrEqual Operator = "gte"
	Less           Operator = "lt"
	LessOrEqual    Operator = "lte"
	Like           Operator = "like"
	ILike          Operator = "ilike"
	Match          Operator = "match"
	IMatch         Operator = "imatch"
	In             Operator = "in"
	// Is takes null, not_null, true, false or unknown as its value.
	Is         Operator = "is"
	IsDistinct Operator = "isdistinct"

	Contains      Operator = "cs"
	ContainedBy   Operator = "cd"
	Overlaps      Operator = "ov"
	StrictlyLeft  Operator = "sl"
	StrictlyRight Operator = "sr"
	NotRightOf    Operator = "nxr"
	NotLeftOf     Operator = "nxl"
	Adjacent      Operator = "adj"

	TextSearch       Operator = "fts"
	PlainTextSearch  Operator = "plfts"
	PhraseTextSearch Operator = "phfts"
	WebTextSearch    Operator = "wfts"

	Intersects Operator = "st_intersects"
	STContains Operator = "st_contains"
	Within     Operator = "st_within"
	Touches    Operator = "st_touches"
	Crosses    Operator = "st_crosses"
	STOverlaps Operator = "st_overlaps"
	// WithinDistance takes "distance,geojson" as its value.
	WithinDistance Operator = "st_dwithin"

	// As conditions these hold for every row and order the rows, nearest first; see
	// Distance.
	VectorL2     Operator = "vec_l2"
	VectorCosine Operator = "vec_cos"
	VectorInner  Operator = "vec_ip"
)

// Family says what an operator needs from its place and its value.
type Family uint8

// The families.
const (
	// FamilyUnknown is no operator.
	FamilyUnknown Family = iota
	FamilyOrder
	FamilyPattern
	FamilyList
	FamilyIs
	FamilyContainment
	FamilyRange
	FamilySearch
	FamilySpatial
	FamilyVector
)

var families = map[Operator]Family{
	Equal: FamilyOrder, NotEqual: FamilyOrder, Greater: FamilyOrder, GreaterOrEqual: FamilyOrder,
	Less: FamilyOrder, LessOrEqual: FamilyOrder, IsDistinct: FamilyOrder,
	Like: FamilyPattern, ILike: FamilyPattern, Match: FamilyPattern, IMatch: FamilyPattern,
	In: FamilyList, Is: FamilyIs,
	Contains: FamilyContainment, ContainedBy: FamilyContainment, Overlaps: FamilyContainment,
	StrictlyLeft: FamilyRange, StrictlyRight: FamilyRange, NotRightOf: FamilyRange, NotLeftOf: FamilyRange, Adjacent: FamilyRange,
	TextSearch: FamilySearch, PlainTextSearch: FamilySearch, PhraseTextSearch: FamilySearch, WebTextSearch: FamilySearch,
	Intersects: FamilySpatial, STContains: FamilySpatial, Within: FamilySpatial, Touches: FamilySpatial,
	Crosses: FamilySpatial, STOverlaps: FamilySpatial, WithinDistance: FamilySpatial,
	VectorL2: FamilyVector, VectorCosine: FamilyVector, VectorInner: FamilyVector,
}

// Family is the operator's family, FamilyUnknown when there is no such
// operator.
func (o Operator) Family() Family { return families[o] }

// Quantifiable tells whether the operator takes any and all.
func (o Operator) Quantifiable() bool {
	switch o.Family() {
	case FamilyPattern:
		return true
	case FamilyOrder:
		return o != IsDistinct
	}
	return false
}
