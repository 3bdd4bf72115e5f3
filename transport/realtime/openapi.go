package realtime

import (
	"fluxbase/persistence/fault"
	"fluxbase/transport/openapi/schema"
	"fluxbase/transport/route"
)

const (
	tag        = "Realtime"
	phoenixTag = "Realtime for supabase-js"
)

func parameter(name string, form any, description string) route.Parameter {
	return route.Parameter{Name: name, In: route.InQuery, Schema: form, Description: description}
}

var tenantParameter = parameter("tenant", "", "The tenant, for clients that cannot set X-FB-Tenant")

var (
	connectDoc = route.Doc{
		Tag: tag, Summary: "Open a WebSocket", Parameters: []route.Parameter{tenantParameter},
		Description: "Frames are JSON texts: subscribe, unsubscribe, broadcast, presence, access_token, heartbeat.",
		Answers:     route.Answers{101: nil},
		Faults:      []fault.Code{fault.UpgradeRequired, fault.FeatureDisabled, fault.MaxConnectionsReached},
	}
	streamDoc = route.Doc{
		Tag: tag, Summary: "Follow channels and tables by server-sent events",
		Parameters: []route.Parameter{
			tenantParameter,
			parameter("channel", schema.Array(schema.Text()), "A channel, or table:schema.table; may be there several times"),
			parameter("private", schema.Enum("true", "false"), "The channels are private ones"),
			parameter("schema", "", "The schema of table"), parameter("table", "", "A table"),
			parameter("event", schema.Enum("INSERT", "UPDATE", "DELETE", "*"), "The events of tables"),
			parameter("filter", "", "A filter of tables: status=eq.open"),
			parameter("snapshot", schema.Enum("true", "false"), "Begin with the rows that are there"),
			parameter("order", "", "The order of those rows"), parameter("limit", 0, "How many of those rows"),
			parameter("cursor", "", "Where to go on"), parameter("last_event_id", "", "Last-Event-ID, for clients that cannot set it"),
			{Name: "Last-Event-ID", In: route.InHeader, Description: "The id of the last event that was seen"},
		},
		Answers: route.Answers{200: route.Content{"text/event-stream": schema.Text()}},
		Faults:  []fault.Code{fault.FeatureDisabled, fault.MaxConnectionsReached},
	}
	statsDoc = route.Doc{
		Tag: tag, Summary: "List this node's connections",
		Parameters: []route.Parameter{
			parameter("limit", schema.Whole().Between(0, 100), "How many"), parameter("offset", schema.Whole().AtLeast(0), "After how many"),
			parameter("search", "", "Part of an id, an address or an email"),
		},
		Answers: route.Answers{200: statsView{}}, Faults: []fault.Code{fault.AdminRequired, fault.FeatureDisabled},
	}
	broadcastDoc = route.Doc{
		Tag: tag, Summary: "Send a message to a channel", Body: broadcastBody{}, Answers: route.Answers{200: broadcastView{}},
		Parameters: []route.Parameter{{Name: "Idempotency-Key", In: route.InHeader, Description: "Counts before messageId"}},
		Faults:     []fault.Code{fault.AccessDenied, fault.AdminRequired, fault.FeatureDisabled, fault.RateLimitExceeded},
	}
	connectPhoenixDoc = route.Doc{
		Tag: phoenixTag, Summary: "Open a WebSocket that speaks Phoenix's protocol", Answers: route.Answers{101: nil},
		Parameters: []route.Parameter{tenantParameter, parameter("vsn", schema.Enum("1.0.0", "2.0.0"), "The version of the protocol")},
		Faults:     []fault.Code{fault.UpgradeRequired, fault.FeatureDisabled, fault.MaxConnectionsReached},
	}
	broadcastAllDoc = route.Doc{
		Tag: phoenixTag, Summary: "Send messages to channels", Body: phoenixMessages{}, Answers: route.Answers{202: nil},
		Faults: []fault.Code{fault.Unprocessable, fault.AccessDenied, fault.AdminRequired, fault.FeatureDisabled, fault.RateLimitExceeded},
	}
	broadcastOneDoc = route.Doc{
		Tag: phoenixTag, Summary: "Send an event to a channel",
		Body:    route.Content{"application/json": schema.Any(), "application/octet-stream": schema.Formatted("binary")},
		Answers: route.Answers{202: nil}, Parameters: []route.Parameter{parameter("private", schema.Enum("true", "false"), "The channel is a private one")},
		Faults: []fault.Code{fault.Unprocessable, fault.UnsupportedMedia, fault.AccessDenied, fault.AdminRequired, fault.FeatureDisabled, fault.RateLimitExceeded},
	}
)
