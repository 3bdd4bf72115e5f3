// Package cluster makes several processes one server: it knows which nodes are
// alive, decides where homes live, and carries messages between nodes. It
// fulfils kernel.Members and kernel.Placement.
//
// # Membership
//
// A node is a member while it holds a lease in the control database: for six
// seconds, renewed every two on a connection of its own, by the database's clock.
// A node that could not renew for four seconds, by its own monotonic clock, is
// fenced: it refuses to send and to handle anything, tells its owner to close the
// sockets and end the process, and has two seconds for that before anybody takes
// over what it had. A process that was paused finds this out when it wakes,
// before it handles its next message. It comes back as a new member with a new
// id and a new address: nothing of the old run is mistaken for the new one.
//
// # Homes
//
// The home of (kind, key) belongs to the member with the highest hash. When it is
// made, its node writes one row: that gives the epoch, which rises with every
// activation, and names the node that held the home before. If that node is
// alive, the new one first asks it to let go and waits until it did; so a home's
// answer is never followed by an answer of an older incarnation. A node that is
// asked for a home that is not its own refuses, and the asker looks again.
//
// # Delivery
//
// Tell is at most once, and in order while the link lives. What a peer has not
// acknowledged is bounded: Tell refuses when the bound is reached. Losses that a
// broken link caused are counted by the receiver. AskHome tries again, under
// another owner if need be, until the asker's context ends.
//
// # Why not the library's cluster
//
// Messages travel through protoactor's remote. Its cluster package is not used:
// a member that was absent once is banned for ever and does not learn of it, so
// that a frozen lease store turns three nodes into three clusters; look-ups
// behind a dead node stall for seconds; two activations of one identity overlap
// as a matter of course; moving many identities is quadratic; and its pub/sub
// lets one stuck subscriber hold up all topics of a node. What is needed of it,
// members and placement, is a lease table and a hash.
//
// The remote runs in an actor system of its own that holds one process, the
// gateway. A peer can reach nothing else, and a message that cannot be decoded
// ends there: it is counted, and the link goes on.
package cluster
