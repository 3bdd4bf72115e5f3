package tables

import (
	"strings"

	"fluxbase/actors/data"
	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/idempotency"
	"fluxbase/transport/openapi"
	"fluxbase/transport/openapi/exposed"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Tables"

// Dialect describes what is served here of each relation.
var Dialect = openapi.Dialect{Relation: describe}

// shapes are what a relation's rows look like.
type shapes struct {
	tag, title string
	// name is the end of the operations' ids; empty for names made of paths.
	name                   string
	row, inserted, changed *schema.Schema
	// filters are the conditions that a query string may have.
	filters []route.Parameter
}

// anyRelation is what is true of all relations.
var anyRelation = shapes{
	tag: tag, title: "a table", row: schema.Open(), inserted: schema.Open(), changed: schema.Open(),
	filters: []route.Parameter{parameter("filters", schema.Map(schema.Text()),
		"Conditions: column=operator.value or column.operator=value, such as age=gte.18; not. before the operator turns it round")},
}

// describe are the routes of one relation.
func describe(v exposed.Relation) []route.Route {
	s := shapes{
		tag: tag + ": " + v.Title(), title: v.Title(), name: strings.ReplaceAll(schema.Name(v.Schema, v.Name), ".", "_"),
		row: v.Row(), inserted: v.Insert(), changed: v.Update(),
		filters: v.Filters(),
	}
	path := pathOf(v.Relation)
	identified := v.Identified()
	var all []route.Route
	if v.May(catalog.Select) {
		all = append(all, read(path, data.List{}, nil, s.list()), search(path+"/query", nil, s.search()), download(path+"/export", nil, s.export()))
		if identified {
			all = append(all, read(path+"/{id}", data.Get{}, nil, s.get()))
		}
	}
	if v.May(catalog.Insert) {
		all = append(all, write("POST", path, data.Create{}, nil, s.create()), bulk("POST", path+"/bulk", data.Create{}, nil, s.bulkCreate()))
	}
	if v.May(catalog.Update) {
		all = append(all, write("PATCH", path, data.Update{}, nil, s.update()), bulk("PATCH", path+"/bulk", data.UpdateEach{}, nil, s.bulkUpdate()))
		if identified {
			all = append(all, write("PATCH", path+"/{id}", data.UpdateOne{}, nil, s.updateOne()), write("PUT", path+"/{id}", data.UpdateOne{}, nil, s.updateOne()))
		}
	}
	if v.May(catalog.Delete) {
		all = append(all, write("DELETE", path, data.Delete{}, nil, s.remove()), bulk("DELETE", path+"/bulk", data.Delete{}, nil, s.bulkRemove()))
		if identified {
			all = append(all, write("DELETE", path+"/{id}", data.DeleteOne{}, nil, s.removeOne()))
		}
	}
	return all
}

func parameter(name string, form any, description string) route.Parameter {
	return route.Parameter{Name: name, In: route.InQuery, Schema: form, Description: description}
}

// The parameters that all relations have alike.
var (
	selectParameter   = parameter("select", "", "Columns, computed columns, aggregates and related rows: id,title,author(name). Other columns than all of them make rows of another form")
	orderParameter    = parameter("order", "", "title.asc,created_at.desc.nullslast")
	limitParameter    = parameter("limit", schema.Whole().AtLeast(0), "How many rows")
	offsetParameter   = parameter("offset", schema.Whole().AtLeast(0), "After how many rows")
	countParameter    = parameter("count", schema.Enum("exact", "planned", "estimated", "none"), "Tell in Content-Range how many rows there are")
	truncateParameter = parameter("truncate", schema.Whole().AtLeast(0), "Cut texts to so many characters")
	groupParameter    = parameter("group_by", "", "Columns by which aggregates are grouped")
	orParameter       = parameter("or", "", "(a.eq.1,b.gt.2)")
	andParameter      = parameter("and", "", "(a.eq.1,or(b.gt.2,c.is.null))")
	conflictParameter = parameter("on_conflict", "", "The columns of a unique key; the primary key if it is left out")
	columnsParameter  = parameter("columns", "", "The members of the body that count")
	formatParameter   = parameter("format", schema.Enum("csv", "json"), "The form; csv if it is left out")
	itemsParameter    = parameter("items", "", "A JSON array of ids: only those rows")
	idParameter       = route.Parameter{Name: "id", In: route.InPath, Description: "The value of the primary key; of a composite one the values in its order, parted by commas"}
	preferParameter   = route.Parameter{Name: "Prefer", In: route.InHeader, Description: "return=representation|minimal|headers-only, resolution=merge-duplicates|ignore-duplicates, missing=default|null, count=exact|planned|estimated, handling=strict|lenient"}
	onceParameter     = route.Parameter{Name: "Idempotency-Key", In: route.InHeader, Schema: &schema.Schema{Type: "string", MaxLength: idempotency.MaxKey}, Description: "What is written under the same key is written once"}
)

// The headers of answers.
var (
	rangeHeader    = route.Parameter{Name: "Content-Range", Description: "Which rows of how many: 0-9/57, or a star for what is not known"}
	affectedHeader = route.Parameter{Name: "X-Affected-Count", Schema: 0, Description: "How many rows were written"}
	appliedHeader  = route.Parameter{Name: "Preference-Applied", Description: "The preferences that were honoured"}
	replayedHeader = route.Parameter{Name: "Idempotency-Replayed", Schema: schema.Enum("true"), Description: "The answer is that of an earlier request with the same key"}
)

var affected = schema.Required("affected", schema.Whole().AtLeast(0))

// Codes that reads and writes are refused with.
var (
	readFaults  = []fault.Code{fault.InvalidQuery, fault.UnknownColumn, fault.RelationshipNotFound, fault.AmbiguousRelationship, fault.TableNotFound, fault.RLSPolicyViolation}
	writeFaults = append([]fault.Code{fault.DuplicateKey, fault.ForeignKeyViolation, fault.NotNullViolation, fault.CheckViolation, fault.RaisedException,
		fault.ReadOnlyRelation, fault.IdempotencyKeyInUse, fault.IdempotencyKeyReused}, readFaults...)
)

func (s shapes) doc(verb, summary string, parameters ...route.Parameter) route.Doc {
	d := route.Doc{Tag: s.tag, Summary: summary, Parameters: parameters}
	if s.name != "" {
		d.ID = verb + "_" + s.name
	}
	return d
}

// conditions are the filters and logic trees, and further parameters.
func (s shapes) conditions(more ...route.Parameter) []route.Parameter {
	return append(append([]route.Parameter{orParameter, andParameter}, more...), s.filters...)
}

func (s shapes) rows() *schema.Schema { return schema.Array(s.row) }

func (s shapes) page() route.Answers {
	return route.Answers{200: route.Answer{Payload: s.rows(), Headers: []route.Parameter{rangeHeader, appliedHeader}}}
}

func (s shapes) list() route.Doc {
	d := s.doc("list", "Read rows of "+s.title,
		s.conditions(selectParameter, orderParameter, limitParameter, offsetParameter, countParameter, truncateParameter, groupParameter, preferParameter)...)
	d.Answers, d.Faults = s.page(), readFaults
	return d
}

func (s shapes) search() route.Doc {
	d := s.doc("query", "Read rows of "+s.title+" by a query in the body", preferParameter)
	d.Body, d.Answers, d.Faults = document{}, s.page(), readFaults
	return d
}

func (s shapes) export() route.Doc {
	d := s.doc("export", "Read all rows of "+s.title+" as a file",
		s.conditions(selectParameter, orderParameter, limitParameter, offsetParameter, truncateParameter, groupParameter, formatParameter, itemsParameter)...)
	d.Answers = route.Answers{200: route.Content{"text/csv": schema.Text(), "application/json": s.rows()}}
	d.Faults = readFaults
	return d
}

func (s shapes) get() route.Doc {
	d := s.doc("get", "Read a row of "+s.title, s.conditions(idParameter, selectParameter, truncateParameter)...)
	d.Answers = route.Answers{200: s.row}
	d.Faults = append([]fault.Code{fault.NotFound, fault.InvalidID}, readFaults...)
	return d
}

// answered is the answer of a write: of one of the forms, or the number of rows, or
// nothing, as Prefer has it.
func answered(forms ...*schema.Schema) route.Answer {
	forms = append(forms, schema.Object(affected))
	return route.Answer{
		Headers: []route.Parameter{rangeHeader, affectedHeader, appliedHeader, replayedHeader},
		Payload: route.Content{"application/json": schema.AnyOf(forms...), "text/plain": schema.Text()},
	}
}

func (s shapes) create() route.Doc {
	d := s.doc("create", "Insert rows into "+s.title, conflictParameter, columnsParameter, selectParameter, truncateParameter, countParameter, preferParameter, onceParameter)
	d.Description = "A body of one object is answered with an object, an array with an array. With Prefer: resolution=merge-duplicates or ignore-duplicates it is an upsert."
	d.Body = schema.AnyOf(s.inserted, schema.Array(s.inserted))
	d.Answers = route.Answers{
		201: answered(s.row, s.rows()),
		200: duplicates(answered(s.row.OrNull(), s.rows())),
	}
	d.Faults = append([]fault.Code{fault.BatchTooLarge}, writeFaults...)
	return d
}

func duplicates(a route.Answer) route.Answer {
	a.Description = "Nothing was inserted: all of it was there, and was to be left alone"
	return a
}

func (s shapes) update() route.Doc {
	d := s.doc("update", "Change rows of "+s.title,
		s.conditions(selectParameter, orderParameter, limitParameter, offsetParameter, truncateParameter, countParameter, columnsParameter, preferParameter, onceParameter)...)
	d.Description = "At least one condition is needed."
	d.Body, d.Answers = s.changed, route.Answers{200: answered(s.rows())}
	d.Faults = append([]fault.Code{fault.UnfilteredWrite}, writeFaults...)
	return d
}

func (s shapes) updateOne() route.Doc {
	d := s.doc("change", "Change a row of "+s.title, s.conditions(idParameter, selectParameter, truncateParameter, columnsParameter, preferParameter, onceParameter)...)
	d.Description = "Columns that the body does not name stay as they are; the primary key does in any case."
	d.Body, d.Answers = s.changed, route.Answers{200: answered(s.row.OrNull())}
	d.Faults = append([]fault.Code{fault.NotFound, fault.InvalidID}, writeFaults...)
	return d
}

// counted is the number of rows and, if they are wanted, the rows.
func (s shapes) counted() *schema.Schema {
	return schema.Object(affected, schema.Optional("records", s.rows()))
}

func (s shapes) remove() route.Doc {
	d := s.doc("delete", "Delete rows of "+s.title,
		s.conditions(selectParameter, orderParameter, limitParameter, offsetParameter, truncateParameter, countParameter, preferParameter, onceParameter)...)
	d.Description = "At least one condition is needed."
	d.Answers = route.Answers{200: answered(s.counted())}
	d.Faults = append([]fault.Code{fault.UnfilteredWrite}, writeFaults...)
	return d
}

func (s shapes) removeOne() route.Doc {
	d := s.doc("remove", "Delete a row of "+s.title, s.conditions(idParameter, selectParameter, truncateParameter, preferParameter, onceParameter)...)
	d.Answers = route.Answers{
		204: route.Answer{Headers: []route.Parameter{appliedHeader, replayedHeader}},
		200: answered(s.row.OrNull()),
	}
	d.Faults = append([]fault.Code{fault.NotFound, fault.InvalidID}, writeFaults...)
	return d
}

func (s shapes) bulkCreate() route.Doc {
	d := s.doc("bulkCreate", "Insert many rows into "+s.title, conflictParameter, columnsParameter, selectParameter, truncateParameter, countParameter, preferParameter, onceParameter)
	d.Body, d.Answers = schema.Array(s.inserted), route.Answers{201: answered(s.counted())}
	d.Faults = append([]fault.Code{fault.BatchTooLarge}, writeFaults...)
	return d
}

func (s shapes) bulkUpdate() route.Doc {
	d := s.doc("bulkUpdate", "Change many rows of "+s.title, s.conditions(selectParameter, truncateParameter, countParameter, preferParameter, onceParameter)...)
	d.Description = "An array has an object for each row, with its primary key; an object has conditions and what becomes of all rows that meet them."
	d.Body = schema.AnyOf(schema.Array(s.changed), schema.From(bulkUpdateBody{}))
	d.Answers = route.Answers{200: answered(s.counted())}
	d.Faults = append([]fault.Code{fault.BatchTooLarge, fault.UnfilteredWrite}, writeFaults...)
	return d
}

func (s shapes) bulkRemove() route.Doc {
	d := s.doc("bulkDelete", "Delete many rows of "+s.title, s.conditions(selectParameter, truncateParameter, countParameter, preferParameter, onceParameter)...)
	d.Description = "By ids, or by conditions."
	d.Body, d.Answers = selection{}, route.Answers{200: answered(s.counted())}
	d.Faults = append([]fault.Code{fault.BatchTooLarge, fault.UnfilteredWrite, fault.InvalidID}, writeFaults...)
	return d
}

// either describes a path whose last segments are a schema and a table, or a table
// and an id.
func (s shapes) either(collection, row route.Doc) route.Doc {
	d := collection
	d.Summary += ", or of one by its id"
	d.Description = strings.TrimSpace("The segments are a schema and a table if there is such a table, else a table and an id. " + collection.Description)
	d.Parameters = append([]route.Parameter{
		{Name: "table", In: route.InPath, Description: "A schema, or a table of the schema public"},
		{Name: "id", In: route.InPath, Description: "A table, or the id of a row"},
	}, d.Parameters...)
	d.Answers = route.Answers{}
	for status, answer := range collection.Answers {
		d.Answers[status] = answer
	}
	for status, answer := range row.Answers {
		if earlier, ok := d.Answers[status]; ok {
			answer = both(earlier, answer)
		}
		d.Answers[status] = answer
	}
	d.Faults = append(append([]fault.Code{}, collection.Faults...), row.Faults...)
	return d
}

// both is one of two answers with JSON.
func both(a, b any) any {
	x, y := whole(a), whole(b)
	x.Payload = route.Content{"application/json": schema.AnyOf(form(x), form(y)), "text/plain": schema.Text()}
	return x
}

func whole(answer any) route.Answer {
	if a, ok := answer.(route.Answer); ok {
		return a
	}
	return route.Answer{Payload: answer}
}

// form is the JSON of an answer.
func form(a route.Answer) *schema.Schema {
	if c, ok := a.Payload.(route.Content); ok {
		return c["application/json"].(*schema.Schema)
	}
	return a.Payload.(*schema.Schema)
}
