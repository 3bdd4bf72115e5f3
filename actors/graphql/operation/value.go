package operation

import (
	"bytes"
	"encoding/json"
	"io"

	"github.com/vektah/gqlparser/v2/ast"
)

// value is an argument or a part of one, coerced to its type.
type value struct {
	kind form
	// text is a leaf's JSON as it was written, so that no digit is lost.
	text []byte
	// list are the elements of a list, members the fields of an object in their order.
	list    []value
	members []member
}

type member struct {
	name  string
	value value
}

type form uint8

const (
	formNull form = iota
	formLeaf
	formList
	formObject
)

var null = value{}

// leaf is what a leaf says: the characters of a string, or else the JSON.
func (v value) leaf() string {
	if len(v.text) > 0 && v.text[0] == '"' {
		var s string
		if json.Unmarshal(v.text, &s) == nil {
			return s
		}
	}
	return string(v.text)
}

// member finds a field of an object.
func (v value) member(name string) (value, bool) {
	for i := range v.members {
		if v.members[i].name == name {
			return v.members[i].value, true
		}
	}
	return value{}, false
}

// write writes the value as JSON.
func (v value) write(b *bytes.Buffer) {
	switch v.kind {
	case formLeaf:
		b.Write(v.text)
	case formList:
		b.WriteByte('[')
		for i := range v.list {
			if i > 0 {
				b.WriteByte(',')
			}
			v.list[i].write(b)
		}
		b.WriteByte(']')
	case formObject:
		b.WriteByte('{')
		for i := range v.members {
			if i > 0 {
				b.WriteByte(',')
			}
			b.Write(quoted(v.members[i].name))
			b.WriteByte(':')
			v.members[i].value.write(b)
		}
		b.WriteByte('}')
	default:
		b.WriteString("null")
	}
}

// json is the value as JSON.
func (v value) json() []byte {
	if v.kind == formLeaf {
		return v.text
	}
	var b bytes.Buffer
	v.write(&b)
	return b.Bytes()
}

// quoted is a text as JSON.
func quoted(s string) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a string can always be encoded
	return bytes.TrimRight(b.Bytes(), "\n")
}

// readJSON reads JSON with the order of its members. Of a member that is there twice
// the last one counts.
func readJSON(raw []byte) (value, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	v, err := readNext(d)
	if err != nil {
		return value{}, err
	}
	if _, err := d.Token(); err != io.EOF {
		return value{}, io.ErrUnexpectedEOF
	}
	return v, nil
}

func readNext(d *json.Decoder) (value, error) {
	token, err := d.Token()
	if err != nil {
		return value{}, err
	}
	switch token := token.(type) {
	case nil:
		return null, nil
	case bool:
		if token {
			return value{kind: formLeaf, text: []byte("true")}, nil
		}
		return value{kind: formLeaf, text: []byte("false")}, nil
	case json.Number:
		return value{kind: formLeaf, text: []byte(token)}, nil
	case string:
		return value{kind: formLeaf, text: quoted(token)}, nil
	case json.Delim:
		if token == '[' {
			return readList(d)
		}
		return readObject(d)
	}
	return value{}, io.ErrUnexpectedEOF
}

func readList(d *json.Decoder) (value, error) {
	v := value{kind: formList}
	for d.More() {
		element, err := readNext(d)
		if err != nil {
			return value{}, err
		}
		v.list = append(v.list, element)
	}
	_, err := d.Token()
	return v, err
}

func readObject(d *json.Decoder) (value, error) {
	v := value{kind: formObject}
	at := map[string]int{}
	for d.More() {
		token, err := d.Token()
		if err != nil {
			return value{}, err
		}
		name, ok := token.(string)
		if !ok {
			return value{}, io.ErrUnexpectedEOF
		}
		element, err := readNext(d)
		if err != nil {
			return value{}, err
		}
		if i, twice := at[name]; twice {
			v.members[i].value = element
			continue
		}
		at[name] = len(v.members)
		v.members = append(v.members, member{name, element})
	}
	_, err := d.Token()
	return v, err
}

// literal is a value of a document as it stands there, with the variables in it.
// absent tells of a variable that has no value.
func literal(v *ast.Value, variables map[string]value) (out value, absent bool) {
	if v == nil {
		return null, false
	}
	switch v.Kind {
	case ast.Variable:
		given, ok := variables[v.Raw]
		return given, !ok
	case ast.NullValue:
		return null, false
	case ast.StringValue, ast.BlockValue, ast.EnumValue:
		return value{kind: formLeaf, text: quoted(v.Raw)}, false
	case ast.ListValue:
		out = value{kind: formList}
		for _, c := range v.Children {
			element, _ := literal(c.Value, variables) // an absent one is null
			out.list = append(out.list, element)
		}
		return out, false
	case ast.ObjectValue:
		out = value{kind: formObject}
		for _, c := range v.Children {
			if element, absent := literal(c.Value, variables); !absent {
				out.members = append(out.members, member{c.Name, element})
			}
		}
		return out, false
	}
	return value{kind: formLeaf, text: []byte(v.Raw)}, false // a number or a boolean
}
