package filter

import (
	"bytes"
	"encoding/json"
	"strings"

	"fluxbase/persistence/query"
)

// Term is a condition as bodies have it: its value is JSON.
type Term struct {
	Column   string          `json:"column"`
	Operator string          `json:"operator"`
	Value    json.RawMessage `json:"value"`
}

// Parameter is the condition in the spelling of a query string.
func (t *Term) Parameter() (Parameter, error) {
	if t.Column == "" || t.Operator == "" {
		return Parameter{}, invalid("a filter has a column and an operator")
	}
	operator := t.Operator[strings.LastIndexByte(t.Operator, '.')+1:]
	value := bytes.TrimSpace(t.Value)
	var text string
	var err error
	if len(value) > 0 && value[0] == '[' && operator == string(query.In) {
		text, err = ListText(value)
	} else {
		text, err = PlainText(value)
	}
	return Parameter{Key: t.Column, Value: t.Operator + "." + text}, err
}

// PlainText is the text of a JSON value: a string's own, otherwise the JSON.
func PlainText(value json.RawMessage) (string, error) {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		return "", invalid("a filter has no value")
	}
	if value[0] != '"' {
		return string(value), nil
	}
	var text string
	err := json.Unmarshal(value, &text)
	return text, err
}

// ListText is the list of an array's values: (a,"b,c").
func ListText(value json.RawMessage) (string, error) {
	var items []json.RawMessage
	if err := json.Unmarshal(value, &items); err != nil {
		return "", invalid("a list of values is not understood")
	}
	texts := make([]string, len(items))
	for i, item := range items {
		text, err := PlainText(item)
		if err != nil {
			return "", err
		}
		texts[i] = Quoted(text)
	}
	return "(" + strings.Join(texts, ",") + ")", nil
}

// Quoted puts a value into the quotes of the filter grammar.
func Quoted(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(text) + `"`
}
