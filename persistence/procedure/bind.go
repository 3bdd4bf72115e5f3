package procedure

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"fluxbase/persistence/caller"
	"fluxbase/persistence/fault"
)

// Origin is where an execution comes from: what the reserved placeholders stand
// for.
type Origin struct {
	Caller caller.Caller
	// Trigger is what started it; empty for a caller's request.
	Trigger string
	// ScheduledAt is when it was due; zero for a caller's request.
	ScheduledAt time.Time
}

// Arguments are the values of a statement's parameters, in their order: JSON, and
// nil for NULL.
type Arguments []json.RawMessage

// Bind checks what a request gives and puts it in the order of the parameters.
// params is a JSON object; empty and null are one without members. What is optional
// and absent is NULL. The faults are INVALID_INPUT, with the name in Details: for a
// value of the wrong type, one that is missing, one that the server fills in itself,
// and, where the input is typed, one that nobody knows.
func (p *Procedure) Bind(params json.RawMessage, o Origin) (Arguments, error) {
	given, err := members(params)
	if err != nil {
		return nil, err
	}
	for name, value := range given {
		switch f := p.Input.Find(name); {
		case Reserved(name):
			return nil, badInput(name, "is filled in by the server")
		case f == nil && p.Input.Typed:
			return nil, badInput(name, "is not an input of the procedure").WithHint("Its inputs are " + p.Input.String() + ".")
		case f == nil:
		default:
			if value, err = f.Type.check(value); err != nil {
				return nil, badInput(name, err.Error())
			}
			given[name] = value
		}
	}
	for _, f := range p.Input.Fields {
		if _, there := given[f.Name]; !there && !f.Optional {
			return nil, badInput(f.Name, "is missing")
		}
	}
	bound := make(Arguments, len(p.Statement.Parameters))
	for i, q := range p.Statement.Parameters {
		value, there := given[q.Name]
		switch {
		case Reserved(q.Name):
			value = o.value(q.Name)
		case there:
		case p.Input.Find(q.Name) == nil:
			return nil, badInput(q.Name, "is missing")
		}
		if !isNull(value) {
			bound[i] = value
		}
	}
	return bound, nil
}

func isNull(value json.RawMessage) bool { return bytes.Equal(value, []byte("null")) }

func badInput(name, text string) *fault.Fault {
	return fault.Newf(fault.InvalidInput, "Parameter %s %s", name, text).WithDetails(map[string]string{"parameter": name})
}

func members(params json.RawMessage) (map[string]json.RawMessage, error) {
	params = bytes.TrimSpace(params)
	given := map[string]json.RawMessage{}
	if len(params) == 0 || isNull(params) {
		return given, nil
	}
	if params[0] != '{' || json.Unmarshal(params, &given) != nil {
		return nil, fault.New(fault.InvalidInput, "The parameters are not a JSON object")
	}
	for name, value := range given {
		given[name] = bytes.TrimSpace(value)
	}
	return given, nil
}

// value is what a reserved placeholder stands for; nil is NULL.
func (o Origin) value(name string) json.RawMessage {
	var text string
	switch name {
	case CallerID:
		text = o.Caller.UserID
	case CallerRole:
		if text = string(o.Caller.Role); text == "" {
			text = string(caller.Anon)
		}
	case CallerEmail:
		text = o.Caller.Email
	case Trigger:
		text = o.Trigger
	case ScheduledAt:
		if !o.ScheduledAt.IsZero() {
			text = o.ScheduledAt.UTC().Format(time.RFC3339Nano)
		}
	}
	if text == "" {
		return nil
	}
	quoted, err := json.Marshal(text)
	if err != nil {
		panic(err) // a string always can be
	}
	return quoted
}

// String lists the fields as annotations have them.
func (s Schema) String() string {
	if !s.Typed {
		return "any"
	}
	list := make([]string, len(s.Fields))
	for i, f := range s.Fields {
		list[i] = f.Name
		if f.Optional {
			list[i] += "?"
		}
		list[i] += ":" + f.Word
	}
	return strings.Join(list, ", ")
}

// check tells whether a JSON value fits, and gives it in the form that PostgreSQL
// reads. Null fits every type. What a text must look like beyond a uuid is for
// PostgreSQL to say, which reads far more than one form of dates.
func (t Type) check(value json.RawMessage) (json.RawMessage, error) {
	if isNull(value) || t == AnyType || t == JSONType {
		return value, nil
	}
	first := value[0]
	is := map[Type]bool{
		UUIDType: first == '"', TextType: first == '"', TimestampType: first == '"', DateType: first == '"', TimeType: first == '"',
		NumberType: first == '-' || isDigit(first), IntegerType: first == '-' || isDigit(first),
		BooleanType: first == 't' || first == 'f', ArrayType: first == '[',
	}[t]
	if !is {
		return nil, fmt.Errorf("is not of type %s", t)
	}
	switch t {
	case UUIDType:
		var text string
		if json.Unmarshal(value, &text) != nil || uuid.Validate(text) != nil {
			return nil, fmt.Errorf("is no uuid")
		}
	case IntegerType:
		return whole(value)
	}
	return value, nil
}

// whole writes a number without fraction and exponent, which it must not need.
func whole(value json.RawMessage) (json.RawMessage, error) {
	if !slices.ContainsFunc(value, func(c byte) bool { return c == '.' || c == 'e' || c == 'E' }) {
		return value, nil
	}
	f, err := strconv.ParseFloat(string(value), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return nil, fmt.Errorf("is no whole number")
	}
	return strconv.AppendInt(nil, int64(f), 10), nil
}
