package ddl

import (
	"encoding/json"

	"fluxbase/persistence/fault"
	"fluxbase/transport/route"
)

const tag = "Schema"

type schemaBody struct {
	Name string `json:"name" doc:"Letters, digits and underscores, no word of SQL"`
}

type schemaView struct {
	Name  string `json:"name"`
	Owner string `json:"owner"`
}

type schemas struct {
	Schemas []schemaView `json:"schemas"`
}

type schemaMade struct {
	Success bool   `json:"success"`
	Schema  string `json:"schema"`
	Message string `json:"message"`
}

type tableBody struct {
	Schema  string       `json:"schema,omitempty" doc:"public if it is left out"`
	Name    string       `json:"name"`
	Columns []columnBody `json:"columns"`
}

type columnBody struct {
	Name         string          `json:"name"`
	Type         string          `json:"type" doc:"As in SQL: text, numeric(10,2), integer[], serial"`
	Nullable     bool            `json:"nullable,omitempty" doc:"Left out it is NOT NULL"`
	PrimaryKey   bool            `json:"primaryKey,omitempty" doc:"All columns with it are the primary key together"`
	DefaultValue json.RawMessage `json:"defaultValue,omitempty" doc:"An SQL expression in a text, or a number or a truth value"`
}

type tableView struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

type tables struct {
	Tables []tableView `json:"tables"`
}

type tableMade struct {
	Success bool   `json:"success"`
	Schema  string `json:"schema"`
	Table   string `json:"table"`
	Message string `json:"message"`
}

type confirmation struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

type refreshed struct {
	Message string `json:"message"`
	Tables  int    `json:"tables"`
	Views   int    `json:"views"`
}

var (
	listSchemasDoc = route.Doc{
		Tag: tag, Summary: "List the schemas of the database", Answers: route.Answers{200: schemas{}}, Faults: []fault.Code{fault.AccessDenied},
	}
	createSchemaDoc = route.Doc{
		Tag: tag, Summary: "Make a schema", Body: schemaBody{}, Answers: route.Answers{201: schemaMade{}},
		Description: "Its tables are served when it is one of api.exposed_schemas.",
		Faults:      []fault.Code{fault.AlreadyExists, fault.MissingRequiredField, fault.AccessDenied},
	}
	listTablesDoc = route.Doc{
		Tag: tag, Summary: "List the tables of the database", Answers: route.Answers{200: tables{}}, Faults: []fault.Code{fault.AccessDenied},
		Parameters: []route.Parameter{{Name: "schema", In: route.InQuery, Description: "Only those of this schema"}},
	}
	createTableDoc = route.Doc{
		Tag: tag, Summary: "Make a table", Body: tableBody{}, Answers: route.Answers{201: tableMade{}},
		Description: "Only service keys may use it until others are granted something.",
		Faults:      []fault.Code{fault.AlreadyExists, fault.NotFound, fault.MissingRequiredField, fault.AccessDenied, fault.InvalidQuery},
	}
	dropTableDoc = route.Doc{
		Tag: tag, Summary: "Drop a table", Answers: route.Answers{200: confirmation{}},
		Description: "Only tables that service_role owns, as those do that were made here.",
		Faults:      []fault.Code{fault.TableNotFound, fault.NotFound, fault.Conflict, fault.AccessDenied},
	}
	refreshDoc = route.Doc{
		Tag: tag, Summary: "Read the schema anew", Answers: route.Answers{200: refreshed{}}, Faults: []fault.Code{fault.AccessDenied},
		Description: "Changes are noticed without it; it is for scripts that want to be sure.",
	}
)
