// Package delivery holds what travels from the actors that produce events
// (tables, channels, presence rooms) to the connections that send them: events,
// the frames they are encoded into once, and the window that bounds how many
// bytes of frames may be on their way.
package delivery

import (
	"encoding/json"
	"time"

	"fluxbase/actors/kernel"
	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Subscriber is a connection as producers see it. Telling Ref a *Frame, a *Link or
// an Evict never blocks and does not pass through its mailbox.
type Subscriber struct {
	// Ref is the connection actor; comparable, and the key of the subscriber.
	Ref kernel.Ref
	// Caller is on whose behalf events are judged.
	Caller caller.Caller
	// Codec makes frames for the connection's dialect.
	Codec Codec
}

// SubscriptionEnded is told to a subscriber whose subscription was ended by its
// producer. The notice that says so to the client is sent apart, behind it.
type SubscriptionEnded struct{ ID string }

// Codec encodes events for one wire dialect. Implementations live in transport;
// they are stateless and safe for concurrent use. The results are shared.
type Codec interface {
	// Dialect names the codec; producers group receivers by it.
	Dialect() string
	// AppendChange appends a complete frame for c to dst. ids are the
	// subscription ids that matched on the receiving connections.
	AppendChange(dst []byte, c *Change, ids []string) []byte
	// AppendSnapshot appends a complete frame with rows of the subscription id.
	AppendSnapshot(dst []byte, s *Snapshot, id string) []byte
	// AppendBroadcast appends a complete frame; self marks the sender's own copy.
	// It may append nothing: then there is nothing for these receivers.
	AppendBroadcast(dst []byte, b *Broadcast, self bool) []byte
	// AppendPresence appends the complete frames that tell p, and counts them.
	AppendPresence(dst []byte, p *Presence) (frames []byte, messages int)
	// AppendNotice appends a complete frame about a subscription or channel.
	AppendNotice(dst []byte, n *Notice) []byte
}

// ChangeType is the type member of a change.
type ChangeType string

// The types of changes.
const (
	Insert   ChangeType = "INSERT"
	Update   ChangeType = "UPDATE"
	Delete   ChangeType = "DELETE"
	Truncate ChangeType = "TRUNCATE"
)

// Column names a column of a change and its SQL type.
type Column struct {
	Name string `json:"name"`
	Type string `json:"type"`
}

// Change is one table change as one identity may see it.
type Change struct {
	Schema, Table string
	Type          ChangeType
	// Record and OldRecord are JSON objects; nil is sent as null (record) or
	// left out (old_record of an INSERT).
	Record, OldRecord json.RawMessage
	// Entered: the row was not visible to the receiver before; Left: it is not
	// any more (Type is DELETE then).
	Entered, Left bool
	// Truncated: the row was too large for the log; Record holds the key only.
	Truncated bool
	// Columns are the columns that the receiver may read.
	Columns []Column
	// CommitTimestamp is when the writing transaction logged the change.
	CommitTimestamp time.Time
	// Position is the sealed place in the log from which a client may resume
	// after this change; empty when the log gives none.
	Position string
}

// SnapshotRequest asks for the rows that a subscription begins with.
type SnapshotRequest struct {
	// Order is the order of the rows; nil for none in particular.
	Order []query.Order
	// Limit is the number of rows at most; 0 for all that there are. It bounds the
	// snapshot only: changes of other rows come all the same.
	Limit int64
}

// Snapshot is a part of the rows that a subscription begins with, as one identity
// may see them.
type Snapshot struct {
	Schema, Table string
	// Records are JSON objects.
	Records []json.RawMessage
	// Columns are the columns that the receiver may read.
	Columns []Column
	// Begin is set on the first part: rows of an earlier snapshot count no more.
	// Done is set on the last one; it may be the first as well.
	Begin, Done bool
	// Position is, when Done, the sealed place in the log that the rows show: the
	// changes behind it follow. Empty otherwise.
	Position string
}

// The reasons why a subscription cannot go on from a position.
const (
	// TooOld: the log was pruned beyond it.
	TooOld = "too_old"
	// EpochChanged: the log is another one, after a restore for instance.
	EpochChanged = "epoch_changed"
	// SchemaChanged: the table's columns changed behind it.
	SchemaChanged = "schema_changed"
	// InvalidCursor: it was not made by us, or not for this subscription.
	InvalidCursor = "invalid_cursor"
)

// ResumeError says why a subscription cannot go on from a position. As a fault its
// code is RESUME_FAILED.
type ResumeError struct {
	// Reason is one of the reasons above.
	Reason string
	// Message is for people.
	Message string
}

// Error implements error.
func (e *ResumeError) Error() string { return e.Message }

// Unwrap gives the fault.
func (e *ResumeError) Unwrap() error { return fault.New(fault.ResumeFailed, e.Message) }

// Broadcast is a message published to a channel.
type Broadcast struct {
	Channel, Event string
	// Private tells the private channel of the name from the public one.
	Private bool
	// Payload is any JSON value. Raw, when it is not nil, stands in its place: the
	// message's contents are bytes that are not JSON.
	Payload json.RawMessage
	Raw     []byte
	// ID is the message's id in realtime.messages; empty when it is not kept there.
	ID string
	// Replayed: the message was sent before the receiver joined, and is repeated
	// because it asked for that.
	Replayed bool
	// MessageID is the publisher's id, empty if it gave none.
	MessageID string
	// Offset and Epoch are the message's place in the channel's order, given by
	// the channel's home; Offset 0 means unnumbered.
	Offset uint64
	Epoch  uint64
}

// Meta is one state that is shown in a presence room.
type Meta struct {
	// Key is what the client chose; several metas may be under one key.
	Key string
	// Ref names this state: it changes when the state does. PrevRef is set on a
	// join that replaces a state: the ref of the one that left for it.
	Ref, PrevRef string
	// State is any JSON value.
	State json.RawMessage
}

// KeyMetas are the metas under one key, in the order in which they came.
type KeyMetas struct {
	Key   string
	Metas []Meta
}

// Presence tells the watchers of a presence room what changed since they were
// told last, or, to one that begins to watch, who is there.
type Presence struct {
	Channel string
	// Private tells the rooms of a private and a public channel of one name apart.
	Private bool
	// Initial greets a new watcher: there are no joins and leaves, only the state.
	Initial bool
	// Joins and Leaves are the net difference, in the order in which it came about.
	// A state that was replaced is a leave of the old one and a join with its
	// PrevRef.
	Joins, Leaves []Meta
	// State makes the whole state with the difference in it, ordered by key. A
	// codec that does not send it should not call it; none may keep it.
	State func() []KeyMetas
}

// Notice tells a connection something about a subscription or channel that is
// no event: that messages were lost, that a subscription ended and why.
type Notice struct {
	// Type is the wire type: "error", "messages_lost", "resume_failed",
	// "view_changed", "position", "unsubscribed".
	Type           string
	Channel        string
	Private        bool
	SubscriptionID string
	Code           string
	Message        string
	// Position is the sealed place in the log from which a client may resume; empty
	// for none.
	Position string
	Payload  json.RawMessage
}
