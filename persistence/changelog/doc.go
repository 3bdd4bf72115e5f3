// Package changelog reads and judges the log of table changes that triggers
// write in the writer's own transaction (persistence/migration/tenant, schema
// realtime), and keeps the registry of the tables that are enabled.
//
// # Reading
//
// A read takes PostgreSQL's snapshot and the entries in one statement, and gives
// the entries that this snapshot sees and the one of the read before did not. No
// transaction can fall between the two, however long it ran and in whatever
// order transactions committed, and no entry is read twice. A Position is such
// a pair of snapshots and the last entry delivered; any node can go on from it.
//
// What a position saw end is on disk before anybody learns the position: after a
// crash PostgreSQL gives the transaction ids that it lost to others, and a position
// that knew them would miss these.
//
// A reader asks for the bell before it reads. Writers ring for whoever asked, once,
// so that nobody pays for a bell that nobody waits for.
//
// Entries come in the order in which a row was written. Of one transaction, what
// triggers logged comes behind the statement that fired them.
//
// The plan (columns, policies, privileges of the enabled tables) is read in the
// same statement as the entries whenever a marker says that it changed, so no
// entry is judged by older policies than its own snapshot. Current tells after a
// judgement whether the plan was still true; if not, judge again.
//
// # Judging
//
// A verdict is taken on images: would the caller see a row like this? Where all
// policies of a role are made of comparisons whose meaning is exactly known, it is
// taken in memory (package policy), under the plan of the batch's own snapshot.
// Else the policies are evaluated by PostgreSQL as the caller, over the images put
// into the place of the table, and hold if the plan was still true afterwards. Old
// and new image are judged apart. Filters are decided in the same two ways.
//
// Examine takes a verdict apart for an administrator who asks why.
//
// Reading works on a primary only: a standby's snapshot does not list the
// transactions that run.
package changelog
