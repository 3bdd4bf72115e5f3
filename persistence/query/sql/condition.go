package sql

import (
	"strings"

	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
)

// condition writes a logic tree. A nil condition writes nothing.
func (c *compiler) condition(w *strings.Builder, cond query.Condition) error {
	switch cond := cond.(type) {
	case query.And:
		return c.group(w, cond, " AND ", "true")
	case query.Or:
		return c.group(w, cond, " OR ", "false")
	case query.Not:
		w.WriteString("NOT (")
		if err := c.condition(w, cond.Condition); err != nil {
			return err
		}
		w.WriteByte(')')
		return nil
	case *query.Compare:
		return c.compare(w, cond)
	case query.Untrue:
		w.WriteByte('(')
		if err := c.condition(w, cond.Condition); err != nil {
			return err
		}
		w.WriteString(") IS NOT TRUE")
		return nil
	case *query.Related:
		return c.related(w, cond)
	}
	return invalid("a condition is not understood")
}

func (c *compiler) group(w *strings.Builder, terms []query.Condition, joint, empty string) error {
	if len(terms) == 0 {
		w.WriteString(empty)
		return nil
	}
	w.WriteByte('(')
	for i, t := range terms {
		if i > 0 {
			w.WriteString(joint)
		}
		if err := c.condition(w, t); err != nil {
			return err
		}
	}
	w.WriteByte(')')
	return nil
}

// where writes the WHERE clause: how the rows belong to the parent's, the
// condition, and that embeds have rows which must have some.
func (c *compiler) where(w *strings.Builder, cond query.Condition) error {
	joint := " WHERE "
	if c.via != nil && c.via.Function == nil {
		w.WriteString(joint)
		c.join(w)
		joint = " AND "
	}
	if cond != nil {
		w.WriteString(joint)
		if err := c.condition(w, cond); err != nil {
			return err
		}
		joint = " AND "
	}
	return c.required(w, joint)
}

var jsonb = Type{Name: "jsonb", Kind: KindJSONB}
var textual = Type{Name: "text", Kind: KindText}

// place writes the expression of a path and gives its type.
func (c *compiler) place(w *strings.Builder, p query.Path) (Type, error) {
	col, err := c.find(p.Column)
	if err != nil {
		return Type{}, err
	}
	if len(p.Steps) == 0 {
		c.value(w, col)
		return col.Type, nil
	}
	w.WriteByte('(')
	switch col.Type.Kind {
	case KindJSON, KindJSONB:
		c.value(w, col)
	case KindComposite, KindArray:
		w.WriteString("to_jsonb(")
		c.value(w, col)
		w.WriteByte(')')
	default:
		return Type{}, invalid("the column %s holds no JSON, so %s leads nowhere", col.Name, p)
	}
	for _, step := range p.Steps {
		if step.Text {
			w.WriteString("->>")
		} else {
			w.WriteString("->")
		}
		if err := text(step.Key); err != nil {
			return Type{}, err
		}
		if step.Index {
			c.typed(w, step.Key, Type{Name: "int4"})
		} else {
			c.typed(w, step.Key, textual)
		}
	}
	w.WriteByte(')')
	switch {
	case p.Steps[len(p.Steps)-1].Text:
		return textual, nil
	case col.Type.Kind == KindJSON:
		return Type{Name: "json", Kind: KindJSON}, nil
	}
	return jsonb, nil
}

// comparable writes a path so that values of its type can be compared: json has
// no operators, jsonb has.
func (c *compiler) comparable(w *strings.Builder, p query.Path) (Type, error) {
	t, err := c.place(w, p)
	if err == nil && t.Kind == KindJSON {
		w.WriteString("::jsonb")
		t = jsonb
	}
	return t, err
}

var comparisons = map[query.Operator]string{
	query.Equal: " = ", query.NotEqual: " <> ", query.Greater: " > ", query.GreaterOrEqual: " >= ",
	query.Less: " < ", query.LessOrEqual: " <= ", query.IsDistinct: " IS DISTINCT FROM ",
	query.Like: " LIKE ", query.ILike: " ILIKE ", query.Match: " ~ ", query.IMatch: " ~* ",
	query.Contains: " @> ", query.ContainedBy: " <@ ", query.Overlaps: " && ",
	query.StrictlyLeft: " << ", query.StrictlyRight: " >> ", query.NotRightOf: " &< ", query.NotLeftOf: " &> ", query.Adjacent: " -|- ",
}

// compare writes one comparison.
func (c *compiler) compare(w *strings.Builder, cmp *query.Compare) error {
	if e := c.embedded(cmp.Path.Column); e != nil && len(cmp.Path.Steps) == 0 {
		if cmp.Op == query.Is && (cmp.Value == "null" || cmp.Value == "not_null") {
			return c.exists(w, e, cmp.Value == "not_null")
		}
		if _, isColumn := c.relation.Column(cmp.Path.Column); !isColumn {
			return fault.Newf(fault.InvalidEmbedFilter, "Invalid query parameters: %s is embedded, and %s does not work on it", cmp.Path, cmp.Op).
				WithDetails(EmbedName{cmp.Path.Column}).
				WithHint("An embed takes is.null and not.is.null; its columns are filtered as " + cmp.Path.Column + ".column=eq.value.")
		}
	}
	if err := text(cmp.Value); err != nil {
		return err
	}
	for _, v := range cmp.Values {
		if err := text(v); err != nil {
			return err
		}
	}
	if cmp.Quantifier != query.QuantifyNone && !cmp.Op.Quantifiable() {
		return invalid("%s takes neither any nor all", cmp.Op)
	}
	switch cmp.Op.Family() {
	case query.FamilyOrder:
		return c.ordered(w, cmp)
	case query.FamilyPattern:
		return c.pattern(w, cmp)
	case query.FamilyList:
		return c.list(w, cmp)
	case query.FamilyIs:
		return c.is(w, cmp)
	case query.FamilyContainment, query.FamilyRange:
		return c.containment(w, cmp)
	case query.FamilySearch:
		return c.search(w, cmp)
	case query.FamilySpatial:
		return c.spatial(w, cmp)
	case query.FamilyVector:
		return invalid("%s on %s orders rows and keeps none out: it cannot stand in or, in not, nor choose the rows of a write", cmp.Op, cmp.Path)
	}
	return invalid("%q is no operator", cmp.Op)
}

func (c *compiler) ordered(w *strings.Builder, cmp *query.Compare) error {
	if c.numericMember(cmp) {
		return c.orderedNumber(w, cmp)
	}
	t, err := c.comparable(w, cmp.Path)
	if err != nil {
		return err
	}
	w.WriteString(comparisons[cmp.Op])
	if cmp.Quantifier != query.QuantifyNone {
		if t.Kind == KindArray {
			return invalid("any and all do not work on the array %s", cmp.Path)
		}
		c.quantified(w, cmp, t)
		return nil
	}
	c.typed(w, literal(cmp.Value, t), t)
	return nil
}

// literal gives the text of a value in the form that its type wants.
func literal(v string, t Type) string {
	if t.Kind == KindArray {
		return arrayValue(v)
	}
	return v
}

func (c *compiler) quantified(w *strings.Builder, cmp *query.Compare, t Type) {
	if cmp.Quantifier == query.QuantifyAny {
		w.WriteString("ANY (")
	} else {
		w.WriteString("ALL (")
	}
	c.typedList(w, cmp.Values, t)
	w.WriteByte(')')
}

// numericMember tells whether a member of JSON taken as text is compared by
// size with a number.
func (c *compiler) numericMember(cmp *query.Compare) bool {
	switch cmp.Op {
	case query.Greater, query.GreaterOrEqual, query.Less, query.LessOrEqual:
	default:
		return false
	}
	n := len(cmp.Path.Steps)
	return cmp.Quantifier == query.QuantifyNone && n > 0 && cmp.Path.Steps[n-1].Text && numeric(cmp.Value)
}

// orderedNumber compares as numbers, where the text of the member is one; other
// members do not match. The CASE keeps PostgreSQL from converting them.
func (c *compiler) orderedNumber(w *strings.Builder, cmp *query.Compare) error {
	var place strings.Builder
	if _, err := c.place(&place, cmp.Path); err != nil {
		return err
	}
	w.WriteString("CASE WHEN ")
	w.WriteString(place.String())
	w.WriteString(` ~ '^\s*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,3})?\s*$' THEN `)
	w.WriteString(place.String())
	w.WriteString(`::"numeric"`)
	w.WriteString(comparisons[cmp.Op])
	c.typed(w, cmp.Value, Type{Name: "numeric"})
	w.WriteString(" END")
	return nil
}

// pattern matches text; other types are matched by their text.
func (c *compiler) pattern(w *strings.Builder, cmp *query.Compare) error {
	t, err := c.place(w, cmp.Path)
	if err != nil {
		return err
	}
	if t.Kind != KindText {
		w.WriteString("::text")
	}
	w.WriteString(comparisons[cmp.Op])
	if cmp.Quantifier != query.QuantifyNone {
		c.quantified(w, cmp, textual)
		return nil
	}
	c.typed(w, cmp.Value, textual)
	return nil
}

func (c *compiler) list(w *strings.Builder, cmp *query.Compare) error {
	var place strings.Builder
	t, err := c.comparable(&place, cmp.Path)
	if err != nil {
		return err
	}
	if t.Kind != KindArray {
		w.WriteString(place.String())
		w.WriteString(" = ANY (")
		c.typedList(w, cmp.Values, t)
		w.WriteByte(')')
		return nil
	}
	// Arrays are listed one by one: an array of arrays would be one array of
	// more dimensions.
	if len(cmp.Values) == 0 {
		w.WriteString("false")
		return nil
	}
	w.WriteString(place.String())
	w.WriteString(" IN (")
	for i, v := range cmp.Values {
		if i > 0 {
			w.WriteString(", ")
		}
		c.typed(w, arrayValue(v), t)
	}
	w.WriteByte(')')
	return nil
}

func (c *compiler) is(w *strings.Builder, cmp *query.Compare) error {
	t, err := c.place(w, cmp.Path)
	if err != nil {
		return err
	}
	switch cmp.Value {
	case "null":
		w.WriteString(" IS NULL")
		return nil
	case "not_null":
		w.WriteString(" IS NOT NULL")
		return nil
	}
	if t.Kind != KindBool {
		return invalid("is.%s asks for a boolean, and %s is none", cmp.Value, cmp.Path)
	}
	switch cmp.Value {
	case "true":
		w.WriteString(" IS TRUE")
	case "false":
		w.WriteString(" IS FALSE")
	case "unknown":
		w.WriteString(" IS UNKNOWN")
	default:
		return invalid("is takes null, not_null, true, false or unknown, not %q", cmp.Value)
	}
	return nil
}

func (c *compiler) containment(w *strings.Builder, cmp *query.Compare) error {
	t, err := c.comparable(w, cmp.Path)
	if err != nil {
		return err
	}
	switch t.Kind {
	case KindText, KindBool, KindNumber:
		return invalid("%s does not work on %s, which is no array, range or JSON", cmp.Op, cmp.Path)
	case KindJSONB:
		if cmp.Op != query.Contains && cmp.Op != query.ContainedBy {
			return invalid("%s does not work on the JSON of %s", cmp.Op, cmp.Path)
		}
	}
	w.WriteString(comparisons[cmp.Op])
	switch t.Kind {
	case KindArray:
		c.typed(w, arrayValue(cmp.Value), t)
	case KindJSONB:
		c.typed(w, jsonValue(cmp.Value), t)
	default:
		c.typed(w, cmp.Value, t)
	}
	return nil
}

var searches = map[query.Operator]string{
	query.TextSearch: "to_tsquery(", query.PlainTextSearch: "plainto_tsquery(",
	query.PhraseTextSearch: "phraseto_tsquery(", query.WebTextSearch: "websearch_to_tsquery(",
}

func (c *compiler) search(w *strings.Builder, cmp *query.Compare) error {
	if err := text(cmp.Language); err != nil {
		return err
	}
	var place, language strings.Builder
	t, err := c.place(&place, cmp.Path)
	if err != nil {
		return err
	}
	if cmp.Language != "" {
		c.typed(&language, cmp.Language, Type{Name: "regconfig"})
		language.WriteString(", ")
	}
	switch t.Kind {
	case KindSearch:
		w.WriteString(place.String())
	case KindText, KindJSON, KindJSONB:
		w.WriteString("to_tsvector(")
		w.WriteString(language.String())
		w.WriteString(place.String())
		w.WriteByte(')')
	default:
		return invalid("%s does not work on %s, which holds no text", cmp.Op, cmp.Path)
	}
	w.WriteString(" @@ ")
	w.WriteString(searches[cmp.Op])
	w.WriteString(language.String())
	c.typed(w, cmp.Value, textual)
	w.WriteByte(')')
	return nil
}

// spatial writes the PostGIS functions, found in the schema of the column's own
// type, which is where the extension lives.
func (c *compiler) spatial(w *strings.Builder, cmp *query.Compare) error {
	var place strings.Builder
	t, err := c.place(&place, cmp.Path)
	if err != nil {
		return err
	}
	if t.Kind != KindSpatial {
		return invalid("%s needs a PostGIS geometry, and %s is none", cmp.Op, cmp.Path)
	}
	shape, distance := cmp.Value, ""
	if cmp.Op == query.WithinDistance {
		var ok bool
		if distance, shape, ok = strings.Cut(cmp.Value, ","); !ok || !numeric(distance) || strings.HasPrefix(distance, "-") {
			return invalid("st_dwithin takes distance,geojson with a distance of at least 0")
		}
	}
	if !strings.HasPrefix(strings.TrimSpace(shape), "{") {
		return invalid("%s takes a GeoJSON object", cmp.Op)
	}
	function := func(name string) {
		quote(w, t.Schema)
		w.WriteByte('.')
		quote(w, name)
		w.WriteByte('(')
	}
	function(string(cmp.Op))
	w.WriteString(place.String())
	w.WriteString(", ")
	function("st_geomfromgeojson")
	c.typed(w, shape, textual)
	w.WriteString(")::")
	t.write(w)
	if distance != "" {
		w.WriteString(", ")
		c.typed(w, distance, Type{Name: "float8"})
	}
	w.WriteByte(')')
	return nil
}
