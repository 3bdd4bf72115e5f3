package route

import (
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/valyala/fasthttp"

	"fluxbase/persistence/fault"
)

// Every code that exists has a status: one that is forgotten would be a 500.
func TestEveryCodeHasAStatus(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../persistence/fault/code.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for i, name := range spec.Names {
			text, err := strconv.Unquote(spec.Values[i].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			found++
			if _, ok := statuses[fault.Code(text)]; !ok {
				t.Errorf("%s (%s) has no status", name.Name, text)
			}
		}
		return true
	})
	if found < 20 {
		t.Errorf("only %d codes were found", found)
	}
	if Status("NO_SUCH_CODE") != 500 {
		t.Error("an unknown code is not 500")
	}
}

func TestWriteFailure(t *testing.T) {
	var resp fasthttp.Response
	status := WriteFailure(&resp, "r-1", fault.New(fault.InsufficientPermissions, "Insufficient permissions").
		WithField("required_scope", "tables:read").WithHint("ask").WithDetails(map[string]int{"a": 1}).WithRetryAfter(1200*time.Millisecond))
	want := `{"error":"Insufficient permissions","code":"INSUFFICIENT_PERMISSIONS","hint":"ask","details":{"a":1},"request_id":"r-1","required_scope":"tables:read"}`
	if status != 403 || string(resp.Body()) != want || string(resp.Header.Peek("Retry-After")) != "2" {
		t.Errorf("%d %s", status, resp.Body())
	}
	// Details that JSON cannot hold do not hide the error.
	WriteFailure(&resp, "r-2", fault.New(fault.Conflict, "Conflict").WithDetails(func() {}))
	if !json.Valid(resp.Body()) || !strings.Contains(string(resp.Body()), "CONFLICT") {
		t.Errorf("%s", resp.Body())
	}
}

// The scanner agrees with a decoder about the depth of everything that is JSON.
func FuzzTooDeep(f *testing.F) {
	for _, text := range []string{`[]`, `{"a":[1,{"b":"]}\"["}]}`, `"[[["`, `[[[`, `"\\"`, `"\`, ``} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		tooDeep([]byte(text), 3)
		if !json.Valid([]byte(text)) {
			return
		}
		depth, most := 0, 0
		d := json.NewDecoder(strings.NewReader(text))
		for {
			tok, err := d.Token()
			if err != nil {
				break
			}
			switch tok {
			case json.Delim('['), json.Delim('{'):
				depth++
				most = max(most, depth)
			case json.Delim(']'), json.Delim('}'):
				depth--
			}
		}
		if tooDeep([]byte(text), most) || most > 0 && !tooDeep([]byte(text), most-1) {
			t.Fatalf("%q is %d deep", text, most)
		}
	})
}
