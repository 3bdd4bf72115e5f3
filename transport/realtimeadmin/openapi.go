package realtimeadmin

import (
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const tag = "Realtime administration"

type enableBody struct {
	Schema  string   `json:"schema,omitempty" doc:"public if it is left out"`
	Table   string   `json:"table"`
	Events  []string `json:"events,omitempty" enum:"INSERT,UPDATE,DELETE" doc:"All three if they are left out"`
	Exclude []string `json:"exclude,omitempty" doc:"Columns that are never sent"`
}

type enabled struct {
	Schema      string   `json:"schema"`
	Table       string   `json:"table"`
	Events      []string `json:"events"`
	TriggerName string   `json:"trigger_name"`
	Exclude     []string `json:"exclude,omitempty"`
}

type alterBody struct {
	Events  []string `json:"events,omitempty" enum:"INSERT,UPDATE,DELETE"`
	Exclude []string `json:"exclude,omitempty"`
}

type statuses struct {
	Tables []status `json:"tables"`
	Count  int      `json:"count"`
}

type confirmation struct {
	Success bool   `json:"success"`
	Message string `json:"message"`
}

var (
	enableDoc = route.Doc{
		Tag: tag, Summary: "Follow a table", Body: enableBody{}, Answers: route.Answers{201: enabled{}},
		Faults: []fault.Code{fault.TableNotFound, fault.ValidationFailed, fault.Conflict},
	}
	listDoc = route.Doc{
		Tag: tag, Summary: "List the tables that are followed", Answers: route.Answers{200: statuses{}},
		Parameters: []route.Parameter{{Name: "enabled", In: route.InQuery, Schema: schema.Enum("true", "false"), Description: "With false those that are followed no more are listed, too"}},
	}
	getDoc = route.Doc{
		Tag: tag, Summary: "Tell how a table is followed", Answers: route.Answers{200: status{}},
		Faults: []fault.Code{fault.TableNotFound, fault.RealtimeNotEnabled},
	}
	alterDoc = route.Doc{
		Tag: tag, Summary: "Change how a table is followed", Body: alterBody{}, Answers: route.Answers{200: confirmation{}},
		Faults: []fault.Code{fault.TableNotFound, fault.RealtimeNotEnabled, fault.ValidationFailed},
	}
	disableDoc = route.Doc{
		Tag: tag, Summary: "Follow a table no more", Answers: route.Answers{200: confirmation{}},
		Faults: []fault.Code{fault.TableNotFound, fault.RealtimeNotEnabled},
	}
	explainDoc = route.Doc{
		Tag: tag, Summary: "Explain why somebody gets a change or does not", Body: inquiry{}, Answers: route.Answers{200: explanation{}},
		Description: "Whom it is about is told by one of user_id, claims, role and connection_id; the table by table or channel.",
		Faults:      []fault.Code{fault.NotFound},
	}
)
