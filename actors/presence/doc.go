// Package presence keeps who is where: under keys that clients choose, a room
// holds the states that connections track, and tells everybody who watches the
// room who came and who went.
//
// A room lives at one place of the cluster, its home (kind "presence"). Every
// node that watches a room or tracks something in it keeps a full copy, fed by
// numbered changes; it compares and computes the events that its own watchers
// get. What a connection tracked lives as long as the connection, and never
// longer than its node: the home drops the entries of a node that left the
// cluster.
//
// A connection that was cut rather than left may come back at once, perhaps to
// another node. Its states linger at the home for a grace, and what the same user
// tracks under the same key takes their place, with the same ref when the state is
// the same: watchers are not told.
//
// The home keeps nothing on disk: when it moves, the nodes announce what their
// connections track and what lingered, and for a short grace a copy keeps what
// other nodes have not announced again yet, so that a move shows no leaves and
// joins.
package presence
