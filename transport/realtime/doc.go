// Package realtime is the realtime door of the server: it turns sockets into
// connection actors, what clients send into messages, and events into frames of
// the dialect that the client speaks: the native one at /realtime (native.go,
// codec.go), Phoenix at /realtime/v1/websocket (phoenix*.go), or server-sent events
// at /realtime/sse (sse*.go). It also serves the HTTP endpoints beside them.
//
// Reading: a few pollers watch many sockets each; one that is idle has neither a
// goroutine nor a buffer (poller_linux.go). What would block, the check of a token
// or an actor that is behind, takes the socket from its poller for that long. Where
// sockets cannot be watched each has a goroutine (plain.go).
//
// Writing: a few writer loops own many outboxes each. Frames arrive complete and
// shared; what waits for a socket, its backlog, is references to them, of a ring one
// run however long it is. It leaves in as few writes as it fits in, and no write
// blocks: a socket that is full waits to become writable. Pings, heartbeats and the
// check for dead peers come from one wheel for all sockets.
package realtime
