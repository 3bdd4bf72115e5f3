package procedure

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// annotationMark begins an annotation in a comment.
const annotationMark = "@fluxbase:"

// annotations are what the comments before a statement say. Nil and empty mean that
// they do not.
type annotations struct {
	name, description, schedule string
	input, output               Schema
	allowedTables               []string
	allowedSchemas              []string
	maxExecutionTime            time.Duration
	requireRoles                []string
	public, disableLogs         bool
	version                     int
}

// readers read the value of each annotation.
var readers = map[string]func(*annotations, string) error{
	"name": func(a *annotations, v string) error {
		a.name = v
		return checkName(v)
	},
	"description": func(a *annotations, v string) (err error) {
		a.description, err = v, checkDescription(v)
		return err
	},
	"input": func(a *annotations, v string) (err error) {
		a.input, err = ParseSchema(v)
		return err
	},
	"output": func(a *annotations, v string) (err error) {
		a.output, err = ParseSchema(v)
		return err
	},
	"allowed-tables": func(a *annotations, v string) (err error) {
		a.allowedTables, err = ParseTables(v)
		return err
	},
	"allowed-schemas": func(a *annotations, v string) (err error) {
		a.allowedSchemas, err = ParseSchemas(v)
		return err
	},
	"max-execution-time": func(a *annotations, v string) (err error) {
		a.maxExecutionTime, err = parseDuration(v)
		return err
	},
	"require-role": func(a *annotations, v string) (err error) {
		a.requireRoles, err = parseRoles(v)
		return err
	},
	"public": func(a *annotations, v string) (err error) {
		a.public, err = parseFlag(v)
		return err
	},
	"disable-execution-logs": func(a *annotations, v string) (err error) {
		if v == "" {
			v = "true"
		}
		a.disableLogs, err = parseFlag(v)
		return err
	},
	"version": func(a *annotations, v string) (err error) {
		a.version, err = strconv.Atoi(v)
		if err != nil || a.version < 1 || a.version > 1<<30 {
			return fmt.Errorf("%q is no whole number from 1 on", v)
		}
		return nil
	},
	"schedule": func(a *annotations, v string) error {
		a.schedule = strings.Trim(v, `"'`)
		_, err := ParseSchedule(a.schedule)
		return err
	},
}

// aliases are other names of annotations, as they are used for jobs and chatbots.
var aliases = map[string]string{"require-roles": "require-role", "disable-logs": "disable-execution-logs"}

// parseAnnotations reads the comments that stand before the statement, and gives
// the rest of the text. Ordinary comments may stand between annotations. The value
// of input and output, when it is a JSON object, may go on over several comments.
func parseAnnotations(text string) (a annotations, statement string, err error) {
	text = strings.TrimPrefix(text, "\ufeff")
	seen := map[string]bool{}
	for text != "" {
		line, rest := cutLine(text)
		comment, is := strings.CutPrefix(strings.TrimSpace(line), "--")
		if !is {
			if strings.TrimSpace(line) != "" {
				break
			}
			text = rest
			continue
		}
		text = rest
		key, value, is := annotation(comment)
		if !is {
			continue
		}
		if strings.HasPrefix(value, "{") {
			value, text = completeObject(value, text)
		}
		if alias := aliases[key]; alias != "" {
			key = alias
		}
		read := readers[key]
		switch {
		case read == nil:
			return a, "", fmt.Errorf("the annotation %q is not known; there are %s", key, strings.Join(annotationNames(), ", "))
		case seen[key]:
			return a, "", fmt.Errorf("the annotation %s stands there twice", key)
		case value == "" && key != "disable-execution-logs":
			return a, "", fmt.Errorf("the annotation %s has no value", key)
		}
		seen[key] = true
		if err := read(&a, value); err != nil {
			return a, "", fmt.Errorf("the annotation %s: %w", key, err)
		}
	}
	return a, text, nil
}

func annotationNames() []string {
	names := make([]string, 0, len(readers))
	for name := range readers {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// cutLine gives the first line without its end, and what follows.
func cutLine(text string) (line, rest string) {
	i := strings.IndexAny(text, "\n\r")
	if i < 0 {
		return text, ""
	}
	if strings.HasPrefix(text[i:], "\r\n") {
		return text[:i], text[i+2:]
	}
	return text[:i], text[i+1:]
}

// annotation takes the text of a comment apart.
func annotation(comment string) (key, value string, is bool) {
	body, is := strings.CutPrefix(strings.TrimSpace(comment), annotationMark)
	if !is {
		return "", "", false
	}
	end := strings.IndexFunc(body, func(r rune) bool { return r == ' ' || r == '\t' || r == ':' || r == '=' })
	if end < 0 {
		return strings.ToLower(body), "", true
	}
	return strings.ToLower(body[:end]), strings.TrimSpace(body[end+1:]), true
}

// completeObject appends comments to a JSON object that is not complete yet, as
// long as they are none of annotations.
func completeObject(value, text string) (string, string) {
	grown, left := value, text
	for !json.Valid([]byte(grown)) {
		line, rest := cutLine(left)
		comment, is := strings.CutPrefix(strings.TrimSpace(line), "--")
		if _, _, another := annotation(comment); !is || another {
			return value, text // it is broken, which whoever reads it will say
		}
		grown, left = grown+" "+strings.TrimSpace(comment), rest
	}
	return grown, left
}

func parseFlag(v string) (bool, error) {
	switch strings.ToLower(v) {
	case "true", "yes", "1":
		return true, nil
	case "false", "no", "0":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", v)
}

// parseDuration reads "90s", "1m30s" and seconds without a unit.
func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		d, err = time.ParseDuration(v + "s")
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%q is no duration longer than nothing, like 30s, 1m30s or 30", v)
	}
	return d, nil
}

func parseRoles(v string) ([]string, error) {
	var roles []string
	for r := range strings.SplitSeq(v, ",") {
		if r = strings.TrimSpace(r); r != "" && !slices.Contains(roles, r) {
			roles = append(roles, r)
		}
	}
	return roles, checkRoles(roles)
}

// maxRoles bounds the roles that a procedure requires one of.
const maxRoles = 50

func checkRoles(roles []string) error {
	if len(roles) > maxRoles {
		return fmt.Errorf("more than %d roles", maxRoles)
	}
	for _, r := range roles {
		if r == "" || len(r) > 63 || strings.ContainsFunc(r, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return fmt.Errorf("%q is no role", r)
		}
	}
	return nil
}

// maxDescription bounds a description, in bytes.
const maxDescription = 4096

func checkDescription(v string) error {
	if len(v) > maxDescription || strings.IndexByte(v, 0) >= 0 {
		return fmt.Errorf("a description has at most %d bytes, none of them zero", maxDescription)
	}
	return nil
}

func checkName(v string) error { return checkWord(v, 127) }

// checkNamespace tells whether v can be the name of a namespace.
func checkNamespace(v string) error { return checkWord(v, 63) }

func checkWord(v string, longest int) error {
	if v == "" || len(v) > longest || v[0] == '-' ||
		strings.ContainsFunc(v, func(r rune) bool { return r != '-' && (r > 0x7f || !isWordByte(byte(r))) }) {
		return fmt.Errorf("%q is no name: letters, digits, underscores and, but for the first, dashes are allowed, %d at most", v, longest)
	}
	return nil
}
