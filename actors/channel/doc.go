// Package channel carries broadcasts: messages that clients publish to a named
// topic of their tenant and that every member of the topic receives.
//
// Each node has one Router. It owns one local actor per channel that somebody
// on the node uses; the local actor holds the members, encodes each message once
// per wire dialect and tells the same frame to all of them. The order of a
// channel is made in one place of the cluster, its home (kind "channel"), which
// numbers messages, drops those it has numbered already, keeps a short history
// and sends one message per node that has members.
//
// An ack means: numbered by the home and in its history. A node that sees a hole
// in the numbers asks the history; when it is gone, or the home was started anew
// (another epoch), the members get a messages_lost notice instead of silence. A home
// that stops in order says what its last message was: who has that has lost nothing.
//
// The history lives in the home, or, with a kernel.History, beside it: then the next
// home goes on in the same epoch, and an append of one that was superseded is refused.
//
// A member may join with the place up to which it has everything. It is held: what it
// missed is in the answer, and what is new waits until it says Follow.
package channel
