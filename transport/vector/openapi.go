package vector

import (
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query/sql"
	"fluxbase/transport/filter"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Vectors"

var numbers = schema.Array(schema.Number())

var capabilitiesDoc = route.Doc{
	Tag: tag, Summary: "Show what the database can do with vectors", Answers: route.Answers{200: capabilities{}},
}

var searchDoc = route.Doc{
	Tag: tag, Summary: "Find the rows nearest to a vector or a text",
	Description: "Nearest first. The vectors may be pgvector's (vector, halfvec, sparsevec), arrays of numbers, and text or JSON that reads like a vector.",
	Body: schema.Object(
		schema.Required("table", schema.Text().Described("A table or view of the schema public, or schema.table")),
		schema.Required("column", schema.Text().Described("Where the vectors are; a JSON path will do")),
		schema.Optional("query", schema.Text().Described("A text whose vector is searched, by the embedding provider; or else give vector")),
		schema.Optional("vector", numbers),
		schema.Optional("metric", schema.Enum("cosine", "l2", "euclidean", "inner_product", "ip").Described("cosine if it is left out")),
		schema.Optional("match_threshold", schema.Number().Described("Only rows whose distance is less")),
		schema.Optional("match_count", schema.Whole().AtLeast(1).Described("How many rows: 10 if it is left out, at most 1000")),
		schema.Optional("select", schema.Text().Described("The columns and embeds, as in a list; all columns but the searched one if it is left out")),
		schema.Optional("filters", schema.Array(schema.From(filter.Term{}))),
		schema.Optional("ef_search", schema.Whole().Between(0, sql.MaxCandidates).Described("hnsw.ef_search of pgvector for this search")),
		schema.Optional("probes", schema.Whole().Between(0, sql.MaxLists).Described("ivfflat.probes of pgvector for this search")),
	),
	Answers: route.Answers{200: schema.Object(
		schema.Required("data", schema.Array(schema.Open()).Described("The rows")),
		schema.Required("distances", numbers),
		schema.Required("similarities", numbers.Described("1 - distance for cosine, 1/(1 + distance) for l2, the product for inner_product")),
		schema.Optional("model", schema.Text().Described("The model that made the vector of the query")),
	)},
	Faults: []fault.Code{fault.MissingRequiredField, fault.InvalidInput, fault.InvalidQuery, fault.UnknownColumn, fault.TableNotFound, fault.FeatureDisabled},
}

var embedDoc = route.Doc{
	Tag: tag, Summary: "Turn texts into vectors", Body: embedBody{}, Answers: route.Answers{200: embedded{}},
	Faults: []fault.Code{fault.MissingRequiredField, fault.InvalidInput, fault.BatchTooLarge, fault.AdminRequired, fault.FeatureDisabled},
}
