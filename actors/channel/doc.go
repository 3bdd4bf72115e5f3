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
// (another epoch), the members get a messages_lost notice instead of silence.
package channel
