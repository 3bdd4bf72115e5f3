package connection

import "fluxbase/persistence/caller"

// Session is what a dialect keeps for one connection when its clients speak of more
// than this package does, for instance of topics under references of their own. The
// connection's actor owns it: it is called by one goroutine at a time, and must not
// block.
type Session interface {
	// Hear takes a message that the transport told and that this package does not
	// know.
	Hear(msg any) Turn
	// Answer takes a reply of the connection, in place of Dialect.AppendReply.
	Answer(r Reply) Turn
}

// Turn is what a session makes of something that it heard.
type Turn struct {
	// Frames are complete frames for the client, Count their number. They leave
	// before anything is done.
	Frames []byte
	Count  int
	// Messages are messages of this package, to be handled in order when what led
	// to them is.
	Messages []any
}

// SessionDialect is a Dialect whose connections have sessions.
//
// A connection with a session outlives a token that its client sent: when its time
// is over the session is answered TokenExpired, and the connection goes on as the
// caller it was opened for, following nothing.
type SessionDialect interface {
	Dialect
	// NewSession makes the session of a connection that is opened for c.
	NewSession(c caller.Caller) Session
}
