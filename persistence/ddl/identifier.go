package ddl

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/fault"
)

// reservedSchemas belong to the server.
var reservedSchemas = []string{"app", "fluxbase", "platform", "queue", "realtime", "realtime_log", "rpc"}

// maxName is the length of a name in bytes; PostgreSQL would cut a longer one.
const maxName = 63

var name = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// checkName refuses names that an application would have to quote in most places.
func checkName(what, text string) error {
	switch {
	case text == "":
		return fault.Newf(fault.MissingRequiredField, "A %s name is required", what)
	case len(text) > maxName:
		return fault.Newf(fault.InvalidInput, "The %s name is longer than %d bytes", what, maxName)
	case !name.MatchString(text):
		return fault.Newf(fault.InvalidInput, "%q is no %s name", text, what).
			WithHint("A name has letters, digits and underscores, and does not begin with a digit.")
	}
	return nil
}

func checkSchema(text string) error {
	if err := checkName("schema", text); err != nil {
		return err
	}
	if strings.HasPrefix(text, "pg_") || text == "information_schema" || slices.Contains(reservedSchemas, text) {
		return fault.Newf(fault.InvalidInput, "The schema name %q is reserved", text)
	}
	return nil
}

// unreserved refuses the words of SQL that are reserved.
func unreserved(ctx context.Context, tx pgx.Tx, names ...string) error {
	var word *string
	err := tx.QueryRow(ctx, `SELECT min(word) FROM pg_catalog.pg_get_keywords() WHERE catcode = 'R' AND word IN (SELECT lower(n) FROM unnest($1::text[]) n)`, names).Scan(&word)
	if err == nil && word != nil {
		err = fault.Newf(fault.InvalidInput, "%q is a reserved word of SQL", *word)
	}
	return err
}
