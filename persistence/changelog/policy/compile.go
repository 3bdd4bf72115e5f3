package policy

// Column is a column of the table as far as conditions go.
type Column struct {
	Name string
	// Kind is Other for a column that nothing is decided by.
	Kind     Kind
	min, max int64 // of integers
}

// NewColumn describes a column by its type as SQL writes it. Text compares byte
// by byte only under a deterministic collation.
func NewColumn(name, sql string, deterministic bool) Column {
	t, ok := columnType(sql)
	if !ok || t.list || t.kind > Boolean || t.kind == Text && !deterministic {
		return Column{Name: name}
	}
	return Column{Name: name, Kind: t.kind, min: t.min, max: t.max}
}

// Value reads a value of the column as PostgreSQL prints it. false: it is none.
func (c Column) Value(text string) (Value, bool) {
	return parseValue(text, typeOf{kind: c.Kind, min: c.min, max: c.max})
}

// columnType is that of a column, of which a length changes no comparison.
func columnType(sql string) (typeOf, bool) {
	const varying = "character varying("
	if len(sql) > len(varying) && sql[:len(varying)] == varying && sql[len(sql)-1] == ')' {
		return types["text"], true
	}
	return typeNamed(sql)
}

// Scope is what names in an expression mean.
type Scope struct {
	// Columns are those of the table, in the order of a Row's values.
	Columns []Column
	// Functions are those of schema auth, by name.
	Functions map[string]Function
	// Role is the database role for which the expression is evaluated.
	Role string
}

// compiler makes conditions of expressions.
type compiler struct {
	scope *Scope
	// slots are the parts without columns, evaluated once per caller.
	slots []*claim
}

// hasColumns tells whether an expression names a column.
func hasColumns(e expression) bool {
	in := func(all ...expression) bool {
		for _, one := range all {
			if hasColumns(one) {
				return true
			}
		}
		return false
	}
	switch e := e.(type) {
	case columnName:
		return true
	case call:
		return in(e.arguments...)
	case cast:
		return hasColumns(e.of)
	case operation:
		return in(e.left, e.right)
	case junction:
		return in(e.terms...)
	case negation:
		return hasColumns(e.of)
	case test:
		return hasColumns(e.of)
	case distinction:
		return in(e.left, e.right)
	case quantified:
		return in(e.left, e.list)
	case array:
		return in(e.elements...)
	case arrayOf:
		return hasColumns(e.of)
	}
	return false
}

// slot keeps a claim for being evaluated per caller.
func (c *compiler) slot(of *claim) int {
	c.slots = append(c.slots, of)
	return len(c.slots) - 1
}

// condition compiles a boolean expression.
func (c *compiler) condition(e expression) (condition, error) {
	switch e := e.(type) {
	case junction:
		return c.junction(e)
	case negation:
		of, err := c.condition(e.of)
		return not{of}, err
	case test:
		return c.test(e)
	case distinction:
		return c.comparison("IS DISTINCT FROM", e.left, e.right)
	case operation:
		if e.operator == "?" {
			return c.exists(e)
		}
		return c.comparison(e.operator, e.left, e.right)
	case quantified:
		return c.quantified(e)
	case call:
		if e.name == "coalesce" && hasColumns(e) {
			return c.coalesce(e.arguments)
		}
	case columnName:
		place, k, err := c.place(e)
		if err != nil || k != Boolean {
			return nil, errUnknown
		}
		return columnTruth{place}, nil
	}
	return c.constantTruth(e)
}

// constantTruth compiles what says the same of every row.
func (c *compiler) constantTruth(e expression) (condition, error) {
	if hasColumns(e) {
		return nil, errUnknown
	}
	of, err := c.claim(e)
	if err != nil || of.list || of.kind != Boolean && of.kind != nullKind {
		return nil, errUnknown
	}
	return slotTruth{c.slot(of)}, nil
}

func (c *compiler) junction(e junction) (condition, error) {
	terms, err := c.conditions(e.terms)
	if err != nil {
		return nil, err
	}
	if e.and {
		return all(terms), nil
	}
	return some(terms), nil
}

func (c *compiler) conditions(expressions []expression) ([]condition, error) {
	var list []condition
	for _, e := range expressions {
		one, err := c.condition(e)
		if err != nil {
			return nil, err
		}
		list = append(list, one)
	}
	return list, nil
}

func (c *compiler) coalesce(arguments []expression) (condition, error) {
	terms, err := c.conditions(arguments)
	return firstKnown(terms), err
}

// place compiles a column with its casts to text.
func (c *compiler) place(e expression) (place, Kind, error) {
	switch e := e.(type) {
	case columnName:
		for i, column := range c.scope.Columns {
			if column.Name == e.name && column.Kind != Other {
				return place{column: i, kind: column.Kind}, column.Kind, nil
			}
		}
	case cast:
		if e.typ == "text" {
			p, _, err := c.place(e.of)
			p.text = p.text || p.kind != Text
			return p, Text, err
		}
	}
	return place{}, Other, errUnknown
}

func (c *compiler) test(e test) (condition, error) {
	var result condition
	switch p, _, err := c.place(e.of); {
	case e.what == "NULL" && err == nil:
		result = isNull{p}
	case e.what == "NULL" && !hasColumns(e.of):
		of, err := c.claim(e.of)
		if err != nil {
			return nil, err
		}
		result = slotNull{c.slot(of)}
	default:
		of, err := c.condition(e.of)
		if err != nil {
			return nil, err
		}
		want := Value{}
		if e.what == "TRUE" || e.what == "FALSE" {
			want = boolValue(e.what == "TRUE")
		}
		result = is{of, want}
	}
	if e.not {
		result = not{result}
	}
	return result, nil
}

// mirrored are the operators with their sides changed.
var mirrored = map[string]string{"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "IS DISTINCT FROM": "IS DISTINCT FROM"}

// comparison compiles a comparison of which one side at most has a column.
func (c *compiler) comparison(operator string, left, right expression) (condition, error) {
	swapped, known := mirrored[operator]
	if !known {
		return nil, errUnknown
	}
	if hasColumns(right) {
		left, right, operator = right, left, swapped
	}
	if hasColumns(right) {
		return nil, errUnknown
	}
	with, err := c.claim(right)
	if err != nil || with.list {
		return nil, errUnknown
	}
	if !hasColumns(left) {
		of, err := c.claim(left)
		if err != nil || of.list || !compares(operator, of.kind, with.kind) {
			return nil, errUnknown
		}
		return slotComparison{operator, c.slot(of), c.slot(with)}, nil
	}
	if place, k, err := c.place(left); err == nil {
		if !compares(operator, k, with.kind) {
			return nil, errUnknown
		}
		return comparison{operator, place, c.slot(with)}, nil
	}
	// A condition as a value: (a = 1) = true.
	of, err := c.condition(left)
	if err != nil || !compares(operator, Boolean, with.kind) {
		return nil, errUnknown
	}
	return truthComparison{operator, of, c.slot(with)}, nil
}

// compares tells whether two kinds compare here as to PostgreSQL. Which of two
// texts is less depends on their collation.
func compares(operator string, a, b Kind) bool {
	if b == nullKind {
		b = a
	}
	if a == nullKind {
		a = b
	}
	return a == b && a <= Boolean && a != Other && (a != Text || operator == "=" || operator == "<>" || operator == "IS DISTINCT FROM")
}

// quantified compiles = ANY and <> ALL of a list.
func (c *compiler) quantified(e quantified) (condition, error) {
	if e.operator != "=" || e.all {
		if e.operator != "<>" || !e.all {
			return nil, errUnknown
		}
		// a <> ALL (list) is NOT a = ANY (list), NULLs included.
		of, err := c.quantified(quantified{operator: "=", left: e.left, list: e.list})
		return not{of}, err
	}
	if hasColumns(e.list) {
		return c.listed(e)
	}
	list, err := c.claim(e.list)
	if err != nil || !list.list {
		return nil, errUnknown
	}
	return c.among(e.left, list, false)
}

func (c *compiler) among(left expression, list *claim, strict bool) (condition, error) {
	if place, k, err := c.place(left); err == nil {
		if !compares("=", k, list.kind) {
			return nil, errUnknown
		}
		return among{place, c.slot(list), strict}, nil
	}
	if hasColumns(left) {
		return nil, errUnknown
	}
	of, err := c.claim(left)
	if err != nil || of.list || !compares("=", of.kind, list.kind) {
		return nil, errUnknown
	}
	return slotAmong{c.slot(of), c.slot(list), strict}, nil
}

// listed compiles = ANY (ARRAY[...]) with columns in the list.
func (c *compiler) listed(e quantified) (condition, error) {
	elements, ok := e.list.(array)
	if !ok {
		return nil, errUnknown
	}
	var terms some
	for _, one := range elements.elements {
		term, err := c.comparison("=", e.left, one)
		if err != nil {
			return nil, err
		}
		terms = append(terms, term)
	}
	return terms, nil
}

// exists compiles document ? text.
func (c *compiler) exists(e operation) (condition, error) {
	if hasColumns(e.left) {
		return nil, errUnknown
	}
	of, err := c.claim(e.left)
	if err != nil || of.kind != jsonbKind {
		return nil, errUnknown
	}
	keys := mapped(of, Text, func(d datum) (datum, bool) {
		return datum{value: Value{set: true}, list: keysOf(d.document)}, true
	})
	keys.list = true
	return c.among(e.right, keys, true)
}
