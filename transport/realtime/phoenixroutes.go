package realtime

import (
	"fluxbase/actors/channel"
	"fluxbase/actors/connection"
	"fluxbase/transport/route"
)

// phoenixRoutes are the doors of supabase-js.
func (g *Gateway) phoenixRoutes() []route.Route {
	return []route.Route{
		{Method: "GET", Path: "/realtime/v1/websocket", Access: route.Authenticated, Scope: "realtime:connect", Instance: true, Message: connection.Open{}, Doc: connectPhoenixDoc, Handle: g.connectPhoenix},
		{Method: "POST", Path: "/realtime/v1/api/broadcast", Access: route.Authenticated, Scope: "realtime:broadcast", BodyLimit: route.LimitRealtime, Message: channel.Publish{}, Doc: broadcastAllDoc, Handle: g.broadcastAll},
		{Method: "POST", Path: "/realtime/v1/api/broadcast/{topic}/events/{event}", Access: route.Authenticated, Scope: "realtime:broadcast", BodyLimit: route.LimitRealtime, Message: channel.Publish{}, Doc: broadcastOneDoc, Handle: g.broadcastOne},
	}
}

func (g *Gateway) connectPhoenix(r *route.Request) error {
	version, err := phoenixVersionOf(r.Query("vsn"))
	if err != nil {
		return err
	}
	return g.open(r, phoenix{phoenixCodec: phoenixCodec{version: version}})
}
