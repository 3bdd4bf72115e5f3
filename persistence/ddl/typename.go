package ddl

import (
	"context"
	"regexp"
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
)

// serials are not types: they are a type with a sequence.
var serials = map[string]string{
	"serial": "serial", "serial4": "serial", "bigserial": "bigserial", "serial8": "bigserial", "smallserial": "smallserial", "serial2": "smallserial",
}

// plain is all that the name of a type is made of: no quote and no comment, so that
// it ends where it seems to end.
var plain = regexp.MustCompile(`^[A-Za-z0-9_ .,()\[\]]+$`)

// resolveType gives the name of a type as PostgreSQL prints it, modifiers included.
//
// What the name means is PostgreSQL's parser's to say: to_regtype takes nothing but
// one type, and the description of a statement that is never run has the modifiers.
func resolveType(ctx context.Context, tx pgx.Tx, text string) (string, error) {
	text = strings.TrimSpace(text)
	if s, ok := serials[strings.ToLower(text)]; ok {
		return s, nil
	}
	if text == "" {
		return "", fault.New(fault.MissingRequiredField, "A column type is required")
	}
	if len(text) > 200 || !plain.MatchString(text) {
		return "", unknownType(text)
	}
	var oid *uint32
	var kind string
	// An error of the transaction is one of the client's: the text is no type at all.
	if err := tx.QueryRow(ctx, `SELECT t.oid, t.typtype::text FROM pg_catalog.pg_type t WHERE t.oid = pg_catalog.to_regtype($1)::oid
		UNION ALL SELECT NULL, '' WHERE pg_catalog.to_regtype($1) IS NULL`, text).Scan(&oid, &kind); err != nil {
		return "", typeFault(text, err)
	}
	if oid == nil || kind == "p" {
		return "", unknownType(text)
	}
	described, err := tx.Conn().PgConn().Prepare(ctx, "", "SELECT NULL::"+text, nil)
	if err != nil {
		return "", typeFault(text, err)
	}
	modifier := described.Fields[0].TypeModifier
	if kind == "d" { // it is described by its base
		modifier = -1
	}
	var printed string
	err = tx.QueryRow(ctx, `SELECT pg_catalog.format_type($1, $2)`, *oid, modifier).Scan(&printed)
	return printed, err
}

// typeFault names a text that PostgreSQL does not take for a type; other errors stay.
func typeFault(text string, err error) error {
	switch f := db.Fault(err); fault.CodeOf(f) {
	case fault.InvalidQuery, fault.InvalidInput, fault.NotFound:
		return unknownType(text)
	default:
		return f
	}
}

func unknownType(text string) error {
	return fault.Newf(fault.InvalidInput, "%.100q is no type of a column", text).
		WithHint("Types are written as in SQL: text, numeric(10,2), timestamptz, integer[], serial.")
}
