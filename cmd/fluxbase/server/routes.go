package server

import "fluxbase/transport/route"

// Routes is everything that the node serves, in the order of the table.
func (s *Server) Routes() []route.Route { return s.http.Routes() }
