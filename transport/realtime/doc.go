// Package realtime is the WebSocket door of the server: it turns sockets into
// connection actors, what clients send into messages, and events into frames of
// the dialect that the client speaks: the native one at /realtime (native.go,
// codec.go), or Phoenix at /realtime/v1/websocket (phoenix*.go). It also serves the
// HTTP endpoints beside them.
//
// Reading: one goroutine per connection waits for its socket to be readable and
// holds no buffer while it waits; a buffer comes from a pool when there is
// something to read. Writing: a few writer loops own many outboxes each. Frames
// arrive complete and shared; what waits in an outbox leaves in one write, and
// that write never blocks. Only a socket that is full gets a goroutine of its
// own, until it is empty again. Pings, heartbeats and the check for dead peers
// come from one wheel for all sockets.
package realtime
