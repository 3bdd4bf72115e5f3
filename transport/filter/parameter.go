package filter

import (
	"net/url"
	"strings"
	"unicode/utf8"
)

// Parameter is one pair of a query string. Order and repetition matter.
type Parameter struct{ Key, Value string }

// maxParameters bounds what one query string may hold.
const maxParameters = 500

// Parameters splits a raw query string. Broken escapes are refused: guessing
// what they meant could change a condition.
func Parameters(raw string) ([]Parameter, error) {
	if raw == "" {
		return nil, nil
	}
	out := make([]Parameter, 0, strings.Count(raw, "&")+1)
	for raw != "" {
		var pair string
		pair, raw, _ = strings.Cut(raw, "&")
		if pair == "" {
			continue
		}
		if len(out) == maxParameters {
			return nil, invalid("more than %d parameters", maxParameters)
		}
		key, value, _ := strings.Cut(pair, "=")
		var err error
		if key, err = unescape(key); err != nil {
			return nil, err
		}
		if value, err = unescape(value); err != nil {
			return nil, err
		}
		out = append(out, Parameter{key, value})
	}
	return out, nil
}

func unescape(s string) (string, error) {
	if strings.IndexByte(s, '%') >= 0 || strings.IndexByte(s, '+') >= 0 {
		var err error
		if s, err = url.QueryUnescape(s); err != nil {
			return "", invalid("a percent escape is broken")
		}
	}
	if !utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0 {
		return "", invalid("a parameter is not valid UTF-8 text")
	}
	return s, nil
}
