package procedure

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// maxNames bounds a list of allowed tables or schemas.
const maxNames = 500

// ParseTables reads a list of allowed tables as annotations have it: "t, s.t", where
// names are folded to lower case unless they are quoted, as in SQL. Nil, which is
// all tables, is written "*".
func ParseTables(list string) ([]string, error) {
	if strings.TrimSpace(list) == "*" {
		return nil, nil
	}
	all, err := parseNames(list)
	if err != nil {
		return nil, err
	}
	tables := []string{}
	for _, parts := range all {
		if len(parts) > 2 {
			return nil, fmt.Errorf("%q is no table: write table or schema.table", strings.Join(parts, "."))
		}
		if slices.ContainsFunc(parts, func(p string) bool { return strings.Contains(p, ".") }) {
			return nil, fmt.Errorf("%q: names with a dot in them cannot be listed", strings.Join(parts, "."))
		}
		if len(parts) == 2 && blockedSchema(parts[0]) {
			return nil, fmt.Errorf("the schema %s can never be allowed", parts[0])
		}
		tables = append(tables, strings.Join(parts, "."))
	}
	return tables, nil
}

// ParseSchemas reads a list of allowed schemas, by the rules of ParseTables.
func ParseSchemas(list string) ([]string, error) {
	all, err := parseNames(list)
	if err != nil {
		return nil, err
	}
	schemas := []string{}
	for _, parts := range all {
		if len(parts) > 1 {
			return nil, fmt.Errorf("%q is no schema", strings.Join(parts, "."))
		}
		if blockedSchema(parts[0]) {
			return nil, fmt.Errorf("the schema %s can never be allowed", parts[0])
		}
		schemas = append(schemas, parts[0])
	}
	return schemas, nil
}

// parseNames reads names that commas part, each in the parts that dots make.
func parseNames(list string) (all [][]string, err error) {
	tokens, err := scan(list)
	if err != nil {
		return nil, err
	}
	var parts []string
	wanted := true // a name comes next
	for _, t := range tokens {
		text := list[t.start:t.end]
		switch {
		case wanted && t.kind == wordToken:
			parts, wanted = append(parts, strings.ToLower(text)), false
		case wanted && t.kind == quotedNameToken && text[0] == '"':
			parts, wanted = append(parts, strings.ReplaceAll(text[1:len(text)-1], `""`, `"`)), false
		case !wanted && text == ".":
			wanted = true
		case !wanted && text == ",":
			all, parts, wanted = append(all, parts), nil, true
		default:
			return nil, fmt.Errorf("%q does not belong in a list of names", text)
		}
		if n := len(parts); n > 0 && (parts[n-1] == "" || len(parts[n-1]) > 63) {
			return nil, errors.New("a name has 1 to 63 bytes")
		}
	}
	if wanted && (len(parts) > 0 || len(tokens) == 0) {
		return nil, errors.New("a name is missing")
	}
	if len(parts) > 0 {
		all = append(all, parts)
	}
	if len(all) > maxNames {
		return nil, fmt.Errorf("a list has at most %d names", maxNames)
	}
	return all, nil
}
