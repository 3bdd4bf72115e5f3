package sql

import (
	"slices"
	"strings"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// Choose finds the function of a name whose parameters fit the arguments: all
// arguments are its parameters, and all parameters without a default are given.
// Where none fits, a function of one parameter without a name takes the whole body.
func Choose(routines []*catalog.Routine, q *query.Call) (routine *catalog.Routine, whole bool, err error) {
	names := q.Names()
	var fitting, taking []*catalog.Routine
	for _, r := range routines {
		if q.RawType == "" || q.RawType == "json" {
			if takes(r, names) {
				fitting = append(fitting, r)
				continue
			}
		}
		if q.Raw != nil && len(r.Parameters) == 1 && r.Parameters[0].Name == "" && rawFits(r.Parameters[0].Type, q.RawType) {
			taking = append(taking, r)
		}
	}
	if len(fitting) == 0 {
		fitting, whole = taking, true
	}
	switch len(fitting) {
	case 1:
		return fitting[0], whole, nil
	case 0:
		return nil, false, functionNotFound(q, names)
	}
	shown := make([]string, len(fitting))
	for i, r := range fitting {
		parameters := make([]string, len(r.Parameters))
		for j, p := range r.Parameters {
			parameters[j] = p.Name + " => " + p.TypeName
		}
		shown[i] = r.Schema + "." + r.Name + "(" + strings.Join(parameters, ", ") + ")"
	}
	return nil, false, fault.Newf(fault.AmbiguousFunction, "Could not choose the best candidate function between: %s", strings.Join(shown, ", ")).
		WithHint("Try renaming the parameters or the function itself in the database so function overloading can be resolved")
}

func takes(r *catalog.Routine, names []string) bool {
	for _, name := range names {
		if name == "" || !slices.ContainsFunc(r.Parameters, func(p catalog.Parameter) bool { return p.Name == name }) {
			return false
		}
	}
	for _, p := range r.Parameters {
		if !p.Optional && !slices.Contains(names, p.Name) {
			return false
		}
	}
	return true
}

func rawFits(t *catalog.Type, raw string) bool {
	return t != nil && (t.Name == raw || raw == "json" && t.Name == "jsonb")
}

// MissingFunction is the Details of FUNCTION_NOT_FOUND.
type MissingFunction struct {
	Reason string `json:"reason"`
	// Arguments are the names of what was given; Whole tells that it was a body that
	// only a function of one parameter without a name takes.
	Function  query.Relation `json:"-"`
	Arguments []string       `json:"-"`
	Whole     bool           `json:"-"`
}

func functionNotFound(q *query.Call, names []string) error {
	names = slices.DeleteFunc(slices.Sorted(slices.Values(names)), func(n string) bool { return n == "" })
	name, with := q.Function.String(), " without parameters"
	message := "Could not find the function " + name + " without parameters in the schema cache"
	if len(names) > 0 {
		list := strings.Join(names, ", ")
		message = "Could not find the function " + name + "(" + list + ") in the schema cache"
		with = " with parameter " + list
		if len(names) > 1 {
			with = " with parameters " + list
		}
	}
	alternative := ""
	switch {
	case q.RawType == "json":
		alternative = " or with a single unnamed json/jsonb parameter"
	case q.RawType != "":
		with, alternative = "", " with a single unnamed "+q.RawType+" parameter"
		message = "Could not find the function " + name + " in the schema cache"
	}
	return fault.New(fault.FunctionNotFound, message).
		WithDetails(MissingFunction{Function: q.Function, Arguments: names, Whole: q.RawType != "" && q.RawType != "json",
			Reason: "Searched for the function " + name + with + alternative + ", but no matches were found in the schema cache."})
}

// NotSet is the Details of the refusal of a bound on the rows of a function that
// returns no set.
type NotSet struct{}

// Called says what a call gives.
type Called struct {
	*Plan
	// Void is a function that gives nothing, Scalar one that gives values and not
	// rows, Set one that gives any number.
	Void, Scalar, Set bool
}

// Call compiles a call. whole tells that the body is the only argument.
func Call(relations Relations, r *catalog.Routine, whole bool, q *query.Call, o Options) (*Called, error) {
	called := &Called{Void: r.Type != nil && r.Type.Name == "void", Scalar: r.Columns == nil, Set: r.Set}
	if !r.Set && o.Bound != nil {
		if o.Bound.Least == 0 {
			return nil, fault.New(fault.InvalidQuery, "Function must return SETOF or TABLE when max-affected preference is used with handling=strict").
				WithDetails(NotSet{})
		}
		o.Bound = nil // there is one row, whatever the function does
	}
	if o.Explain != nil {
		o.Bound = nil
	}
	rel := result(relations, r)
	c := newCompiler(relations, rel, o)
	var from strings.Builder
	if err := c.arguments(&from, r, whole, q); err != nil {
		return nil, err
	}
	if called.Scalar {
		from.WriteString(` AS result("value")`)
		if q.Fields != nil || q.Where != nil || q.Order != nil {
			return nil, invalid("%s returns no rows to select from, to filter or to order", q.Function)
		}
		plan, err := c.values(&Plan{Rows: true, Labels: []string{r.Name}}, from.String(), q)
		called.Plan = plan
		return called, err
	}
	from.WriteString(" AS ")
	quote(&from, c.name)
	with := ""
	c.call = from.String()
	if q.Count != query.CountNone {
		// What is counted must not be called twice.
		var w strings.Builder
		w.WriteString("WITH ")
		quote(&w, c.name)
		w.WriteString(" AS MATERIALIZED (SELECT ")
		c.row(&w)
		w.WriteString(" FROM " + c.call + ") ")
		with = w.String()
		w.Reset()
		quote(&w, c.name)
		c.call = w.String()
	}
	s := &query.Select{Fields: q.Fields, Where: q.Where, Order: q.Order, Page: q.Page, Count: q.Count}
	if s.Count != query.CountNone {
		s.Count = query.CountExact // the planner knows nothing of what a function returns
	}
	plan, err := c.read(s, with)
	called.Plan = plan
	return called, err
}

// values completes a plan that reads values which a function returns: those of
// from, which calls it and names them result."value".
func (c *compiler) values(plan *Plan, from string, q *query.Call) (*Plan, error) {
	const total = "SELECT count(*) FROM result"
	with, counted := "", q.Count != query.CountNone
	if counted { // what is counted must not be called twice
		with, from = `WITH result AS MATERIALIZED (SELECT result."value" FROM `+from+") ", "result"
	}
	var w strings.Builder
	w.WriteString(`SELECT coalesce(to_json(result."value"), 'null'::json) FROM ` + from)
	if err := c.page(&w, q.Page); err != nil {
		return nil, err
	}
	switch {
	case c.options.Bound != nil && counted:
		return c.bounded(plan, with, w.String(), total)
	case c.options.Bound != nil:
		return c.bounded(plan, "", w.String(), "")
	case counted:
		plan.Counted = true
		return c.finishRead(plan, with+"SELECT ("+total+"), NULL::json UNION ALL SELECT NULL, item FROM ("+w.String()+") AS page(item)")
	}
	return c.finishRead(plan, w.String())
}

// result is what a function returns as a relation: the exposed one whose rows it
// returns, or one of its own.
func result(relations Relations, r *catalog.Routine) *Relation {
	if r.Relation != nil {
		if rel, ok := relations.Relation(r.Relation.Schema, r.Relation.Name); ok {
			return rel
		}
	}
	rel := &Relation{Schema: r.Schema, Name: r.Name, Columns: make([]Column, len(r.Columns))}
	for i, c := range r.Columns {
		rel.Columns[i] = Column{Name: c.Name, Type: typeFrom(c.Type)}
	}
	return rel.Index()
}

// arguments writes the function with its arguments, and what they come from.
func (c *compiler) arguments(w *strings.Builder, r *catalog.Routine, whole bool, q *query.Call) error {
	names := q.Names()
	var given []catalog.Parameter
	for _, p := range r.Parameters {
		if whole || slices.Contains(names, p.Name) {
			given = append(given, p)
		}
	}
	body := c.claim("body")
	byJSON := !whole && q.Texts == nil && len(given) > 0
	if byJSON {
		columns := make([]*Column, len(given))
		for i, p := range given {
			columns[i] = &Column{Name: p.Name, Type: typeFrom(p.Type)}
		}
		c.record(w, "json_to_record", func() { c.json(w, q.Body) }, body, columns)
		w.WriteString(" CROSS JOIN LATERAL ")
	}
	qualified(w, r.Schema, r.Name)
	w.WriteByte('(')
	for i, p := range given {
		if i > 0 {
			w.WriteString(", ")
		}
		if p.Variadic {
			w.WriteString("VARIADIC ")
		}
		if p.Name != "" {
			quote(w, p.Name)
			w.WriteString(" := ")
		}
		switch {
		case whole && q.RawType == "bytea":
			c.arg(w, q.Raw)
			w.WriteString("::bytea")
		case whole:
			if err := text(string(q.Raw)); err != nil {
				return err
			}
			c.typed(w, string(q.Raw), typeFrom(p.Type))
		case byJSON:
			fromBody(w, body, &Column{Name: p.Name, Type: typeFrom(p.Type)})
		default:
			if err := c.textArgument(w, p, q.Texts); err != nil {
				return err
			}
		}
	}
	w.WriteByte(')')
	return nil
}

// textArgument writes an argument that is given as text, once or, where there may
// be any number, several times.
func (c *compiler) textArgument(w *strings.Builder, p catalog.Parameter, texts []query.Text) error {
	var values []string
	for _, t := range texts {
		if t.Name == p.Name {
			if err := text(t.Value); err != nil {
				return err
			}
			values = append(values, t.Value)
		}
	}
	if p.Variadic {
		c.typed(w, arrayLiteral(values), typeFrom(p.Type))
		return nil
	}
	c.typed(w, values[len(values)-1], typeFrom(p.Type))
	return nil
}
