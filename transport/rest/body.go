package rest

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io"
	"net/url"
	"slices"
	"unicode/utf8"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// payload reads the rows of a write: JSON, CSV with a line of names, or a form,
// which is one row. columns, when not nil, are the only keys that count, and all of
// them do.
func payload(r *route.Request, columns []string) (query.Body, error) {
	raw := r.Body()
	var err error
	switch {
	case isOneOf(r, "text/csv"):
		raw, err = fromCSV(raw)
	case isOneOf(r, "application/x-www-form-urlencoded"):
		raw, err = fromForm(raw)
	case !isOneOf(r, "", "application/json", "application/vnd.pgrst.object+json", "application/vnd.pgrst.array+json", "*/*"):
		err = refuse(415, "PGRST102", "Content-Type not acceptable: "+r.Header("Content-Type"))
	}
	if err != nil {
		return query.Body{}, err
	}
	body, err := query.ReadBody(raw)
	if err != nil {
		return body, err
	}
	if columns == nil {
		if !body.Uniform {
			return body, refuse(400, "PGRST102", "All object keys must match")
		}
		return body, nil
	}
	body.Keys = columns
	body.Uniform = !slices.ContainsFunc(columns, func(c string) bool { return !slices.Contains(body.Common, c) })
	if !body.Uniform && !body.Array { // only arrays can take defaults
		body.JSON, body.Array = slices.Concat([]byte{'['}, body.JSON, []byte{']'}), true
	}
	return body, nil
}

// fromCSV makes an array of objects of CSV; the text NULL is null.
func fromCSV(raw []byte) ([]byte, error) {
	if !utf8.Valid(raw) {
		return nil, fault.New(fault.InvalidRequestBody, "Invalid request body")
	}
	lines := csv.NewReader(bytes.NewReader(raw))
	names, err := lines.Read()
	if err != nil {
		return nil, refuse(400, "PGRST102", "Empty or invalid csv").withDetails(err.Error())
	}
	out := bytes.NewBufferString("[")
	for n := 0; ; n++ {
		fields, err := lines.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, refuse(400, "PGRST102", "All lines must have same number of fields").withDetails(err.Error())
		}
		if n > 0 {
			out.WriteByte(',')
		}
		if err := writeObject(out, names, fields); err != nil {
			return nil, err
		}
	}
	out.WriteByte(']')
	return out.Bytes(), nil
}

func writeObject(out *bytes.Buffer, names, fields []string) error {
	out.WriteByte('{')
	for i, name := range names {
		if i > 0 {
			out.WriteByte(',')
		}
		key, err := json.Marshal(name)
		if err != nil {
			return err
		}
		value := []byte("null")
		if fields[i] != "NULL" {
			if value, err = json.Marshal(fields[i]); err != nil {
				return err
			}
		}
		out.Write(key)
		out.WriteByte(':')
		out.Write(value)
	}
	out.WriteByte('}')
	return nil
}

// fromForm makes an object of a form.
func fromForm(raw []byte) ([]byte, error) {
	form, err := url.ParseQuery(string(raw))
	if err != nil || !utf8.Valid(raw) {
		return nil, fault.New(fault.InvalidRequestBody, "Invalid request body").WithCause(err)
	}
	row := make(map[string]string, len(form))
	for name, values := range form {
		row[name] = values[len(values)-1]
	}
	return json.Marshal(row)
}
