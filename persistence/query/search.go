package query

// Search reads the rows that are nearest to a vector, nearest first. Rows without a
// vector are left out, and so are those whose distance is no finite number.
type Search struct {
	From Relation
	// Path is where the vectors are, Distance what to measure from and how.
	Path     Path
	Distance Distance
	// Fields empty means all columns but the one that is searched. There can be no
	// aggregates.
	Fields Projection
	Where  Condition
	// Below, when not nil, leaves out rows whose distance is not less than that.
	Below *float64
	// Limit is how many rows there are at most.
	Limit int64
	// Candidates is how many an HNSW index of pgvector looks at to begin with
	// (hnsw.ef_search), Lists how many lists an IVFFlat index does (ivfflat.probes); 0
	// is the database's setting. Without such an index they mean nothing.
	Candidates, Lists int
}
