// Package tenant says where a request goes, and keeps each tenant's actors.
//
// The Directory knows the list of tenants and resolves a caller, after its
// credential was checked, to one of them: Find reads memory only. A tenant's
// actor is started on first use. It owns everything that is the tenant's on this
// node: what an Opener, given by the program's composition, spawned for it. When
// nobody has used it for a while it is stopped; the default tenant never is. One
// tenant's crash, flood or slow database is no other's.
package tenant
