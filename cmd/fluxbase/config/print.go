package config

import (
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"reflect"
	"slices"
	"strings"
)

// Print writes every key with its effective value and its origin. Secrets are
// masked.
func (l *Loaded) Print(w io.Writer) error {
	config := reflect.ValueOf(&l.Config).Elem()
	for _, k := range keys {
		value := config.FieldByIndex(k.index)
		text := display(k, value)
		line := k.path + ": " + text
		if origin := l.Origin(k.path); origin != "default" {
			line += "  # " + origin
		}
		if _, err := fmt.Fprintln(w, line); err != nil {
			return err
		}
	}
	return nil
}

func display(k key, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case Secret:
		if x == "" {
			return `""`
		}
		return mask
	case []string:
		return "[" + strings.Join(x, ", ") + "]"
	case []map[string]any:
		return displayObjects(x)
	case map[string]Overrides:
		return displayOverrides(x)
	case string:
		if x == "" {
			return `""`
		}
		return withoutPassword(x)
	default:
		return fmt.Sprint(x)
	}
}

// withoutPassword hides what stands between "user:" and "@" of an address.
func withoutPassword(s string) string {
	u, err := url.Parse(s)
	if err != nil || u.User == nil {
		return s
	}
	return u.Redacted()
}

// displayObjects masks members whose names say that they hold a secret: the
// shape of these objects is checked where they are used.
func displayObjects(objects []map[string]any) string {
	shown := make([]map[string]any, 0, len(objects))
	for _, o := range objects {
		m := make(map[string]any, len(o))
		for name, value := range o {
			lower := strings.ToLower(name)
			if slices.ContainsFunc([]string{"secret", "password", "key", "token"}, func(s string) bool { return strings.Contains(lower, s) }) {
				value = mask
			}
			m[name] = value
		}
		shown = append(shown, m)
	}
	text, err := json.Marshal(shown)
	if err != nil {
		return fmt.Sprintf("%d objects", len(objects))
	}
	return string(text)
}

func displayOverrides(all map[string]Overrides) string {
	parts := make([]string, 0, len(all))
	for slug, overrides := range all {
		for path, value := range overrides {
			parts = append(parts, fmt.Sprintf("%s.%s=%v", slug, path, value))
		}
	}
	slices.Sort(parts)
	return "[" + strings.Join(parts, ", ") + "]"
}
