// Package policy decides row-level security in memory, for policies of forms
// that it understands completely: comparisons of a row's columns with constants
// and with what PostgreSQL is told about the caller, joined by AND, OR and NOT.
//
// A verdict is the one that PostgreSQL gives, or there is none. Compile refuses an
// expression with anything in it whose meaning is not exactly known; Rule.Bind
// refuses a caller for whom PostgreSQL would raise an error, or might; then
// PostgreSQL is asked. What is accepted cannot fail on any row: all that can is
// done once per caller, when its claims are bound.
//
// Expressions are read as pg_get_expr prints them under an empty search path,
// where a name without a schema is PostgreSQL's own and every operation has its
// parentheses.
//
// An Index finds among the predicates of many callers those that may hold of a
// row, by the values that the row must have for them to hold.
package policy
