package catalog

import "strconv"

// origin is where the values of a view's column come from: a column of a
// relation, both as PostgreSQL numbers them.
type origin struct {
	relation uint32
	column   int
}

// origins reads from a view's rule, in the form in which pg_rewrite keeps it, the
// origins of the view's columns by their numbers. Columns that are computed, and
// all columns of a UNION, have none. A tree that is not understood gives nothing:
// such a view has no relationships of its own.
func origins(tree string) map[int]origin {
	r := nodeReader{text: tree}
	if !r.skip('(') || !r.skip('{') {
		return nil
	}
	r.token() // QUERY
	for r.more() {
		key := r.token()
		if key != ":targetList" {
			r.value()
			continue
		}
		out := make(map[int]origin)
		if !r.skip('(') {
			return nil
		}
		for r.skip('{') {
			number, o, shown := r.target()
			if shown && o.relation != 0 && o.column > 0 {
				out[number] = o
			}
		}
		return out
	}
	return nil
}

// nodeReader walks over the text form of a tree of PostgreSQL's nodes:
// {TYPE :key value …}, where a value is a node, a list in parentheses, an array in
// brackets, or one token or several. A backslash takes the next byte as it is.
type nodeReader struct {
	text string
	pos  int
}

// target reads the fields of a column of the result, up to its closing brace.
func (r *nodeReader) target() (number int, o origin, shown bool) {
	r.token() // TARGETENTRY
	shown = true
	for r.more() {
		key := r.token()
		value := r.value()
		n, _ := strconv.ParseUint(value, 10, 32) // 0 when it is no number: no origin
		switch key {
		case ":resno":
			number = int(n)
		case ":resorigtbl":
			o.relation = uint32(n)
		case ":resorigcol":
			o.column = int(n)
		case ":resjunk":
			shown = value == "false"
		}
	}
	r.skip('}')
	return number, o, shown
}

func (r *nodeReader) space() {
	for r.pos < len(r.text) && (r.text[r.pos] == ' ' || r.text[r.pos] == '\n') {
		r.pos++
	}
}

// skip moves past one byte if it comes next.
func (r *nodeReader) skip(c byte) bool {
	r.space()
	if r.pos >= len(r.text) || r.text[r.pos] != c {
		return false
	}
	r.pos++
	return true
}

// more tells whether the node at hand has a further field.
func (r *nodeReader) more() bool {
	r.space()
	return r.pos < len(r.text) && r.text[r.pos] != '}'
}

// token reads up to white space or a bracket.
func (r *nodeReader) token() string {
	r.space()
	start := r.pos
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case '\\':
			r.pos++
		case ' ', '\n', '{', '}', '(', ')':
			return r.text[start:r.pos]
		}
		r.pos++
	}
	r.pos = min(r.pos, len(r.text))
	return r.text[start:r.pos]
}

// value reads the value of a field and gives its first token; what follows up to
// the next key belongs to it, too (a constant's bytes do).
func (r *nodeReader) value() string {
	first := ""
	for n := 0; r.more(); n++ {
		switch c := r.text[r.pos]; {
		case c == '{' || c == '(':
			r.group()
		case n > 0 && c == ':':
			return first
		default:
			token := r.token()
			if n == 0 {
				first = token
			}
			if token == "" {
				r.pos++ // a bracket that nobody opened
			}
		}
	}
	return first
}

// group moves past a node or a list.
func (r *nodeReader) group() {
	depth := 0
	for r.pos < len(r.text) {
		switch r.text[r.pos] {
		case '\\':
			r.pos++
		case '{', '(':
			depth++
		case '}', ')':
			depth--
		}
		r.pos++
		if depth == 0 {
			return
		}
	}
	r.pos = min(r.pos, len(r.text))
}
