package changelog

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
)

var errImage = errors.New("an image is no JSON object")

// Project gives an image with only the members for which keep is true, each as
// it was printed.
func Project(image json.RawMessage, keep func(column string) bool) (json.RawMessage, error) {
	out := make([]byte, 0, len(image))
	out = append(out, '{')
	err := members(image, func(name string, member []byte) {
		if keep(name) {
			if len(out) > 1 {
				out = append(out, ',')
			}
			out = append(out, member...)
		}
	})
	return append(out, '}'), err
}

// members calls f for each member of a JSON object that PostgreSQL printed, with
// its name and its whole text, name included.
func members(object []byte, f func(name string, member []byte)) error {
	b := bytes.TrimSpace(object)
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return errImage
	}
	for b = bytes.TrimLeft(b[1:len(b)-1], " \n\t\r"); len(b) > 0; {
		end := stringEnd(b)
		if end < 0 {
			return errImage
		}
		name := string(b[1 : end-1])
		if strings.IndexByte(name, '\\') >= 0 {
			if err := json.Unmarshal(b[:end], &name); err != nil {
				return err
			}
		}
		stop := memberEnd(b, end)
		f(name, bytes.TrimRight(b[:stop], " \n\t\r"))
		if stop == len(b) {
			return nil
		}
		b = bytes.TrimLeft(b[stop+1:], " \n\t\r")
	}
	return nil
}

// stringEnd is the index behind the string that b begins with, -1 if it does not.
func stringEnd(b []byte) int {
	if len(b) == 0 || b[0] != '"' {
		return -1
	}
	for i := 1; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return -1
}

// memberEnd is the index of the comma that ends the member in b, or len(b).
func memberEnd(b []byte, from int) int {
	depth := 0
	for i := from; i < len(b); i++ {
		switch b[i] {
		case '"':
			end := stringEnd(b[i:])
			if end < 0 {
				return len(b)
			}
			i += end - 1
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		case ',':
			if depth == 0 {
				return i
			}
		}
	}
	return len(b)
}

// KeyOf gives the key of an image as a JSON object, whose text is the same for the
// same key wherever the image was printed.
func (t *Table) KeyOf(image json.RawMessage) (json.RawMessage, error) {
	values := make([][]byte, len(t.Key))
	err := members(image, func(name string, member []byte) {
		if at := slices.Index(t.Key, name); at >= 0 {
			value := bytes.TrimLeft(member[stringEnd(member):], " \n\t\r")
			values[at] = bytes.TrimLeft(bytes.TrimPrefix(value, []byte(":")), " \n\t\r")
		}
	})
	if err != nil {
		return nil, err
	}
	out := []byte{'{'}
	for i, name := range t.Key {
		if values[i] == nil {
			return nil, errImage
		}
		if i > 0 {
			out = append(out, ',')
		}
		quoted, err := json.Marshal(name)
		if err != nil {
			return nil, err
		}
		out = append(append(append(out, quoted...), ':'), values[i]...)
	}
	return append(out, '}'), nil
}
