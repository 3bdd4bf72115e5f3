package policy

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"
)

// maxClaimDepth bounds how deep claims nest that are read here.
const maxClaimDepth = 32

// document is a JSON value: nil for null, bool, string, number, []document or
// map[string]document.
type document any

// number is the text of a JSON number.
type number string

// parseDocument reads JSON of which every part means the same here as to
// PostgreSQL, whether it is taken as json or as jsonb. It refuses what PostgreSQL
// would refuse in one of the two, and names that come twice.
func parseDocument(text string) (document, bool) {
	if !utf8.ValidString(text) || hasOddEscape(text) {
		return nil, false
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	r := documentReader{d}
	doc, ok := r.value(0)
	if _, err := d.Token(); err == nil { // more behind it
		return nil, false
	}
	return doc, ok && json.Valid([]byte(text))
}

// hasOddEscape tells of escapes of NUL, which jsonb refuses, and of surrogates,
// which may lack their other half.
func hasOddEscape(text string) bool {
	for rest := text; ; {
		i := strings.Index(rest, `\u`)
		if i < 0 {
			return false
		}
		rest = rest[i+2:]
		if len(rest) < 4 || rest[0] == 'd' || rest[0] == 'D' || rest[:4] == "0000" {
			return true
		}
	}
}

type documentReader struct{ decoder *json.Decoder }

func (r documentReader) value(depth int) (document, bool) {
	t, err := r.decoder.Token()
	if err != nil || depth > maxClaimDepth {
		return nil, false
	}
	switch t := t.(type) {
	case nil:
		return nil, true
	case bool, string:
		return t, true
	case json.Number:
		// Exponents and a negative zero print differently as json and jsonb.
		s := t.String()
		return number(s), !strings.ContainsAny(s, "eE") && !strings.HasPrefix(s, "-0") && len(s) <= 100
	case json.Delim:
		if t == '{' {
			return r.object(depth)
		}
		list := []document{}
		for r.decoder.More() {
			v, ok := r.value(depth + 1)
			if !ok {
				return nil, false
			}
			list = append(list, v)
		}
		_, err := r.decoder.Token()
		return list, err == nil
	}
	return nil, false
}

func (r documentReader) object(depth int) (document, bool) {
	object := map[string]document{}
	for r.decoder.More() {
		t, err := r.decoder.Token()
		name, isName := t.(string)
		if err != nil || !isName {
			return nil, false
		}
		if _, twice := object[name]; twice {
			return nil, false
		}
		v, ok := r.value(depth + 1)
		if !ok {
			return nil, false
		}
		object[name] = v
	}
	_, err := r.decoder.Token()
	return object, err == nil
}

// isScalar tells whether a document is neither an object nor an array.
func isScalar(d document) bool {
	switch d.(type) {
	case map[string]document, []document:
		return false
	}
	return true
}

// member is document -> key; ok is false where there is none.
func member(d document, key string) (document, bool) {
	object, _ := d.(map[string]document)
	v, ok := object[key]
	return v, ok
}

// element is document -> index; negative indexes count from the end.
func element(d document, index int64) (document, bool) {
	list, _ := d.([]document)
	if index < 0 {
		index += int64(len(list))
	}
	if index < 0 || index >= int64(len(list)) {
		return nil, false
	}
	return list[index], true
}

// textOf is what ->> gives of a document; not decided for objects, arrays and
// fractions, which print in more than one way.
func textOf(d document) (v Value, decided bool) {
	switch d := d.(type) {
	case nil:
		return Value{}, true
	case string:
		return textValue(d), true
	case bool:
		return boolValue(d).asText(Boolean), true
	case number:
		_, decided = parseValue(string(d), typeOf{kind: Integer, min: math.MinInt64, max: math.MaxInt64})
		return textValue(string(d)), decided
	}
	return Value{}, false
}

// elementsOf are the texts of an array's elements.
func elementsOf(d document) (list []Value, decided bool) {
	elements, ok := d.([]document)
	if !ok {
		return nil, false
	}
	for _, e := range elements {
		v, decided := textOf(e)
		if !decided {
			return nil, false
		}
		list = append(list, v)
	}
	return list, true
}

// keysOf are the texts for which document ? text holds: an object's names, an
// array's strings, a string itself.
func keysOf(d document) (list []Value) {
	switch d := d.(type) {
	case map[string]document:
		for _, name := range slices.Sorted(maps.Keys(d)) {
			list = append(list, textValue(name))
		}
	case []document:
		for _, e := range d {
			if s, ok := e.(string); ok {
				list = append(list, textValue(s))
			}
		}
	case string:
		list = append(list, textValue(d))
	}
	return list
}
