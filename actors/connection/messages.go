package connection

import (
	"encoding/json"
	"time"

	"fluxbase/actors/channel"
	"fluxbase/actors/delivery"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/execution"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Outbox takes frames for one socket. Its methods may be called from any
// goroutine and never block.
type Outbox interface {
	// Push sends a frame after those pushed before. The outbox calls the frame's
	// Done, also when the socket is gone.
	Push(f *delivery.Frame)
	// Follow is Push for the frame of a link. Frames of one stream keep their
	// order, and their order with reliable frames; others may be overtaken.
	Follow(l *delivery.Link)
	// Evict ends the socket as too slow if it is one of those that are meant.
	Evict(e delivery.Evict)
	// Close sends what is waiting, then the dialect's closing bytes, then ends the
	// socket. Later calls and pushes do nothing.
	Close(code int, reason string)
}

// Dialect encodes for one wire dialect. Like its Codec it is stateless and safe
// for concurrent use.
type Dialect interface {
	delivery.Codec
	// AppendReply appends a complete frame, or nothing when the dialect has no
	// words for the reply.
	AppendReply(dst []byte, r Reply) []byte
	// Closing are the last bytes that a client gets: they say why its connection
	// ends. code is one of the codes below, or of RFC 6455.
	Closing(code int, reason string) []byte
}

// Close codes that a server sends, besides those of RFC 6455. Clients may
// reconnect after 1012 and 4001 (with a fresh token), and should not after 4003.
const (
	CloseNormal       = 1000
	CloseGoingAway    = 1001
	ClosePolicy       = 1008 // too slow, or a limit
	CloseInternal     = 1011
	CloseRestart      = 1012 // this node stops; another one takes over
	CloseTokenExpired = 4001
	CloseRevoked      = 4003
)

// SubscribeTable follows a table's changes; of * those of every table of the schema
// that the caller may read, in the schema * of all schemas.
type SubscribeTable struct {
	// ID names the subscription and comes with its changes and its answer. A dialect
	// whose ids mean something to its codec chooses one, equal for connections that
	// subscribe to the same; it must be free. Empty: Tables.ID makes one.
	ID string
	// Channel is the channel's name as the client gave it, possibly empty.
	Channel       string
	Schema, Table string
	// Event is INSERT, UPDATE, DELETE or *.
	Event string
	// Filter is the filter's text, Condition its parsed form; empty and nil for
	// none.
	Filter    string
	Condition query.Condition
	// Columns are those that the client wants, nil for all. They are checked; the
	// dialect leaves the others out.
	Columns []string
	// Cursor is what came with a change, a notice or an acknowledgement of this
	// subscription: everything since then is delivered before what is new. Empty:
	// what is committed from now on.
	Cursor string
	// Snapshot, unless it is nil, asks for the rows that are there now, and then for
	// the changes from exactly then. With a Cursor as well it is what happens when
	// the subscription cannot go on from there.
	Snapshot *delivery.SnapshotRequest
}

// SubscribeChannel joins a channel.
type SubscribeChannel struct {
	Channel string
	// Private tells the private channel of the name from the public one, here and
	// in the messages below.
	Private bool
	// Presences says whether the presences of the channel come, too.
	Presences Presences
	// Recover asks for what was published after a place; nil for what comes only.
	Recover *channel.Recover
	// Replay asks for messages of a private channel that realtime.messages has; nil
	// for none.
	Replay *Replay
	// Codec makes the frames of this channel and of its presences; nil for the
	// connection's own.
	Codec delivery.Codec
}

// Replay asks for the newest Limit messages after Since, 25 at most.
type Replay struct {
	Since time.Time
	Limit int
}

// Presences says whether a subscription to a channel brings its presences.
type Presences uint8

// The choices.
const (
	// PresencesByName: everywhere but where the channel's name says that it is for
	// something else.
	PresencesByName Presences = iota
	PresencesWanted
	PresencesUnwanted
)

// Unsubscribe ends the table subscription with the id; or everything under the
// channel; or, with both empty, all table subscriptions.
type Unsubscribe struct {
	SubscriptionID, Channel string
	Private                 bool
}

// Broadcast publishes to a channel and joins it.
type Broadcast struct {
	Channel, Event string
	Private        bool
	// Payload is any JSON value. Raw, when it is not nil, is sent instead of it:
	// bytes that are not JSON.
	Payload   json.RawMessage
	Raw       []byte
	MessageID string
}

// Track shows a presence state in a channel and joins it.
type Track struct {
	Channel, Key string
	Private      bool
	State        json.RawMessage
	// Ref comes back with the answer; without one a success is not answered.
	Ref string
}

// Untrack takes a presence state back.
type Untrack struct {
	Channel, Key string
	Private      bool
}

// RefreshToken replaces the connection's caller. Err is set when the token that
// the client sent is not good; the old caller stays then.
type RefreshToken struct {
	Caller caller.Caller
	Err    error
}

// SubscribeLogs follows the log of an execution, from its first line on. The type may
// be empty.
type SubscribeLogs struct{ ExecutionID, ExecutionType string }

// SubscribeAllLogs follows the server's log.
type SubscribeAllLogs struct{}

// Refuse answers something that the transport did not understand, in the order
// in which it came.
type Refuse struct{ Refused Refused }

// Disconnected says that the socket is gone. Left means that the client closed it
// on purpose (code 1000 or none) and is not expected back at once. Slow says why it
// was cut as too slow, empty when it was not.
type Disconnected struct {
	Left bool
	Slow string
}

// End closes the connection: what is waiting is sent, then an error with Fault
// if there is one, then the close frame.
type End struct {
	Code   int
	Reason string
	Fault  *fault.Fault
}

// Reply is an answer to a client; one of the types below.
type Reply interface{ reply() }

// TableSubscribed: every change committed behind Cursor will be delivered, or the
// client is told that it cannot be.
type TableSubscribed struct {
	Channel, SubscriptionID      string
	Schema, Table, Event, Filter string
	// Cursor is where the subscription begins: now, at the rows of its snapshot, or
	// at the cursor that it came with. Empty when the log gives none.
	Cursor string
	// Snapshot tells that rows follow.
	Snapshot bool
	// Unresumed is why the cursor that the client gave was no good, one of delivery's
	// reasons: the rows stand in for it. Empty otherwise.
	Unresumed string
}

// ResumeFailed: the subscription cannot go on from its cursor, and does not exist.
type ResumeFailed struct {
	Channel, SubscriptionID string
	// Reason is one of delivery's reasons, Message is for people.
	Reason, Message string
}

// ChannelSubscribed: every message numbered behind a place will be delivered.
type ChannelSubscribed struct {
	Channel string
	Private bool
	// Epoch and Offset are the place; zero where only presences may be seen.
	Epoch, Offset uint64
	// Recovering: the client asked to go on from a place of its own. Recovered: it
	// gets everything since then first. If not, a notice says why.
	Recovering, Recovered bool
}

// LogSubscribed: the lines of the log will be delivered, those that are there first.
type LogSubscribed struct{ SubscriptionID, ExecutionID, ExecutionType string }

// ExecutionLogged is a line of a log that the connection follows. Lines come in the
// order of their numbers, and none is left out.
type ExecutionLogged struct {
	ExecutionID string
	Line        execution.Line
}

// Unsubscribed: what is committed or published from now on will not come; what is
// on its way may. Unknown ids are acknowledged, too.
type Unsubscribed struct {
	SubscriptionID, Channel string
	Private                 bool
}

// BroadcastAccepted: the message has its number and is in the channel's history.
type BroadcastAccepted struct {
	Channel, MessageID string
	Private            bool
	Epoch, Offset      uint64
}

// TokenUpdated: the connection acts for the new caller from now on, and everything
// that it is subscribed to was judged again.
type TokenUpdated struct{}

// PresenceTracked: the state is shown. Ref is that of the Track.
type PresenceTracked struct {
	Channel, Ref string
	Private      bool
}

// TokenExpired: the token's time is over. Everything that the connection was
// subscribed to has ended, and it acts for whom it was opened. Only sessions are
// told; other connections end.
type TokenExpired struct{}

// Refused: a request was not done.
type Refused struct {
	Code    fault.Code
	Message string
	// Channel, MessageID and SubscriptionID say which request; empty when
	// unknown.
	Channel, MessageID, SubscriptionID string
	Private                            bool
	// Ref is that of a Track.
	Ref string
	// Ended: the channel that is named had been joined and is no more.
	Ended bool
	// Payload is a JSON object with more, nil for nothing.
	Payload json.RawMessage
}

func (TableSubscribed) reply()   {}
func (ResumeFailed) reply()      {}
func (ChannelSubscribed) reply() {}
func (Unsubscribed) reply()      {}
func (LogSubscribed) reply()     {}
func (ExecutionLogged) reply()   {}
func (BroadcastAccepted) reply() {}
func (PresenceTracked) reply()   {}
func (TokenUpdated) reply()      {}
func (TokenExpired) reply()      {}
func (Refused) reply()           {}

// expired says that the token's time is over.
type expired struct{ generation int }
