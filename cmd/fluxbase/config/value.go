package config

import (
	"fmt"
	"log/slog"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// Secret is a value that never appears in logs, in JSON or in error texts by
// accident: every way of printing it gives a mask. Reveal gives the value.
type Secret string

const mask = "********"

// Reveal is the value itself.
func (s Secret) Reveal() string { return string(s) }

// String is a mask, or empty when there is no value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return mask
}

// GoString masks %#v too.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// LogValue masks the secret in structured logs.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText masks the secret in JSON and YAML.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Bytes is a size. It is written as a number of bytes or with a unit: 64KB, 2GB
// (powers of 1024).
type Bytes int64

// String uses the largest unit that divides the size.
func (b Bytes) String() string {
	for _, u := range units {
		if b != 0 && int64(b)%u.size == 0 {
			return strconv.FormatInt(int64(b)/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(b), 10)
}

var units = []struct {
	name string
	size int64
}{
	{"TB", 1 << 40}, {"GB", 1 << 30}, {"MB", 1 << 20}, {"KB", 1 << 10}, {"B", 1},
}

func parseBytes(text string) (Bytes, error) {
	s := strings.ToUpper(strings.TrimSpace(text))
	size := int64(1)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(s, u.name); ok {
			s, size = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > math.MaxInt64/size {
		return 0, fmt.Errorf("%q is no size: write a number of bytes, or one with KB, MB or GB", text)
	}
	return Bytes(n * size), nil
}

// parseDuration takes Go durations, days ("7d") and bare numbers of seconds.
func parseDuration(text string) (time.Duration, error) {
	s := strings.TrimSpace(text)
	bad := fmt.Errorf("%q is no duration: write 30s, 15m, 24h or 7d", text)
	unit := time.Duration(0)
	number := s
	if rest, ok := strings.CutSuffix(s, "d"); ok {
		number, unit = rest, 24*time.Hour
	} else if s != "" && s[len(s)-1] >= '0' && s[len(s)-1] <= '9' {
		unit = time.Second
	}
	if unit != 0 {
		f, err := strconv.ParseFloat(number, 64)
		if err != nil || !(f >= 0) || f > float64(math.MaxInt64)/float64(unit)/2 {
			return 0, bad
		}
		return time.Duration(f * float64(unit)), nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, bad
	}
	return d, nil
}

var (
	durationType  = reflect.TypeFor[time.Duration]()
	bytesType     = reflect.TypeFor[Bytes]()
	listType      = reflect.TypeFor[[]string]()
	objectsType   = reflect.TypeFor[[]map[string]any]()
	overridesType = reflect.TypeFor[map[string]Overrides]()
	secretType    = reflect.TypeFor[Secret]()
)

// assign sets field from raw: a string from the environment or a default, or
// whatever YAML made of the value.
func assign(field reflect.Value, raw any) error {
	if raw == nil { // "key:" with nothing behind it
		field.SetZero()
		return nil
	}
	switch field.Type() {
	case objectsType:
		return assignObjects(field, raw)
	case listType:
		return assignList(field, raw)
	}
	text, ok := scalar(raw)
	if !ok {
		return fmt.Errorf("a single value is expected here")
	}
	switch field.Type() {
	case durationType:
		d, err := parseDuration(text)
		if err == nil {
			field.SetInt(int64(d))
		}
		return err
	case bytesType:
		b, err := parseBytes(text)
		if err == nil {
			field.SetInt(int64(b))
		}
		return err
	}
	switch field.Kind() {
	case reflect.String:
		field.SetString(text)
	case reflect.Bool:
		b, err := strconv.ParseBool(strings.ToLower(strings.TrimSpace(text)))
		if err != nil {
			return fmt.Errorf("%q is neither true nor false", text)
		}
		field.SetBool(b)
	case reflect.Int:
		n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 0)
		if err != nil {
			return fmt.Errorf("%q is no whole number", text)
		}
		field.SetInt(n)
	case reflect.Float64:
		f, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || math.IsNaN(f) || math.IsInf(f, 0) {
			return fmt.Errorf("%q is no number", text)
		}
		field.SetFloat(f)
	default:
		return fmt.Errorf("type %s has no textual form", field.Type())
	}
	return nil
}

// scalar is the text of a single YAML value.
func scalar(raw any) (string, bool) {
	switch v := raw.(type) {
	case string:
		return v, true
	case bool, int, int64, uint64:
		return fmt.Sprint(v), true
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64), true
	default:
		return "", false
	}
}

// assignList takes a YAML list or a text with commas.
func assignList(field reflect.Value, raw any) error {
	var items []string
	switch v := raw.(type) {
	case []any:
		for _, element := range v {
			text, ok := scalar(element)
			if !ok {
				return fmt.Errorf("a list of single values is expected here")
			}
			items = append(items, text)
		}
	default:
		text, ok := scalar(raw)
		if !ok {
			return fmt.Errorf("a list is expected here")
		}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
	}
	field.Set(reflect.ValueOf(items))
	return nil
}

func assignObjects(field reflect.Value, raw any) error {
	list, ok := raw.([]any)
	if !ok {
		return fmt.Errorf("a list of objects is expected here")
	}
	objects := make([]map[string]any, 0, len(list))
	for _, element := range list {
		object, ok := element.(map[string]any)
		if !ok {
			return fmt.Errorf("a list of objects is expected here")
		}
		objects = append(objects, object)
	}
	field.Set(reflect.ValueOf(objects))
	return nil
}
