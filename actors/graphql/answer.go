package graphql

import (
	"bytes"
	"slices"

	"fluxbase/actors/graphql/operation"
)

// answer gathers the values and the errors of the fields of an operation.
type answer struct {
	fields []*operation.Selection
	// values are the JSON of the fields; nil for null.
	values [][]byte
	errors []*operation.Error
	// undone tells that nothing of the operation has happened.
	undone bool
}

func newAnswer(fields []*operation.Selection) *answer {
	return &answer{fields: fields, values: make([][]byte, len(fields))}
}

// bytes is how long the values are together.
func (a *answer) bytes() (n int64) {
	for _, v := range a.values {
		n += int64(len(v))
	}
	return n
}

// fail makes a field null and says why; with a nil field, the operation.
func (a *answer) fail(err error, field *operation.Selection) {
	a.errors = append(a.errors, operation.Failed(err, field))
}

// response writes the response.
func (a *answer) response() (*Response, error) {
	n := 64
	for _, v := range a.values {
		n += len(v) + 32
	}
	var b bytes.Buffer
	b.Grow(n)
	b.WriteByte('{')
	if len(a.errors) > 0 {
		encoded, err := operation.JSON(a.errors)
		if err != nil {
			return nil, err
		}
		b.WriteString(`"errors":`)
		b.Write(encoded)
		b.WriteByte(',')
	}
	if a.undone {
		b.WriteString(`"data":null}`)
		return &Response{Body: b.Bytes()}, nil
	}
	b.WriteString(`"data":{`)
	for i, f := range a.fields {
		if i > 0 {
			b.WriteByte(',')
		}
		// A name of GraphQL needs no escape in JSON.
		b.WriteString(`"` + f.Key + `":`)
		if a.values[i] == nil {
			b.WriteString("null")
		} else {
			b.Write(a.values[i])
		}
	}
	b.WriteString("}}")
	return &Response{Body: b.Bytes()}, nil
}

// refuse answers a request that is not executed.
func refuse(r operation.Refusal) (*Response, error) {
	body, err := Errors(r)
	return &Response{Body: body, Refused: r[0].Fault.Code}, err
}

// Errors is the body of a response without data.
func Errors(err error) ([]byte, error) {
	errs, encodeErr := operation.JSON(operation.Refuse(err))
	return slices.Concat([]byte(`{"errors":`), errs, []byte(`}`)), encodeErr
}
