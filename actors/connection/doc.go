// Package connection holds one actor per realtime socket, whatever dialect it
// speaks: on whose behalf it acts, what it is subscribed to, and what it may do.
//
// The transport turns what a client sends into messages of this package and
// tells them to the actor; the actor answers with typed replies, which the
// connection's Dialect, or its Session, turns into frames. Frames that tables, channels and
// presence rooms tell the actor do not pass through its mailbox: they go straight
// to the connection's Outbox.
//
// The Directory is the actor that owns all connections of a node: it admits them
// within the limits, lists them, ends those whose credential was revoked, and
// drains the node.
package connection
