package config

import (
	"reflect"
	"strings"

	"fluxbase/persistence/spelling"
)

// key is one leaf of Config.
type key struct {
	path     string // "server.body_limits.rest"
	variable string // "FLUXBASE_SERVER_BODY_LIMITS_REST"
	index    []int  // for reflect.Value.FieldByIndex
	kind     reflect.Type
	fallback string
}

func (k key) secret() bool { return k.kind == secretType }

// keys are all leaves, in the order of the struct.
var keys = collect(reflect.TypeFor[Config](), "", nil)

// byPath finds a key by its path.
var byPath = func() map[string]key {
	m := make(map[string]key, len(keys))
	for _, k := range keys {
		m[k.path] = k
	}
	return m
}()

func collect(t reflect.Type, prefix string, index []int) []key {
	var all []key
	for i := range t.NumField() {
		f := t.Field(i)
		path := prefix + f.Tag.Get("key")
		at := append(append([]int(nil), index...), i)
		if f.Type.Kind() == reflect.Struct {
			all = append(all, collect(f.Type, path+".", at)...)
			continue
		}
		all = append(all, key{path: path, variable: variableOf(path), index: at, kind: f.Type, fallback: f.Tag.Get("default")})
	}
	return all
}

func variableOf(path string) string {
	return "FLUXBASE_" + strings.ToUpper(strings.ReplaceAll(path, ".", "_"))
}

// nearest is the known path that looks most like path; "" when none does.
func nearest(path string) string {
	best, distance := "", len(path)/2+1
	for _, k := range keys {
		if d := spelling.Distance(path, k.path, distance); d < distance {
			best, distance = k.path, d
		}
	}
	if best != "" {
		return best
	}
	// The right name in the wrong section is the other common slip.
	last := path[strings.LastIndexByte(path, '.')+1:]
	for _, k := range keys {
		if strings.HasSuffix(k.path, "."+last) {
			return k.path
		}
	}
	return ""
}
