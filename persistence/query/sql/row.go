package sql

import (
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"fluxbase/persistence/db"
)

// rowShape says how the server writes a row from its columns: as JSON, or as the
// text of a record.
//
// PostgreSQL spends more on row_to_json than on reading the row. So columns come as
// they are where the server can print their values as row_to_json would, byte for
// byte; of all others PostgreSQL makes the JSON, column by column. A record has the
// texts of its columns, whatever they are.
type rowShape struct {
	// record tells a record from JSON.
	record bool
	// columns are what the statement must return.
	columns []db.Column
	members []member
}

// member is one member of a row's object.
type member struct {
	// key is the member's name in JSON with the colon.
	key   []byte
	print printer
	// given tells that the column comes as it is, not as JSON.
	given bool
}

// printed is a type whose values the server prints.
type printed struct {
	oid   uint32
	print printer
}

// asJSON is a column of which PostgreSQL has made the JSON.
var asJSON = printed{pgtype.JSONOID, printText}

// printedTypes are the types of pg_catalog that the server prints. A domain counts
// as the type beneath it, in PostgreSQL's own eyes, too.
var printedTypes = map[string]printed{
	"bool": {pgtype.BoolOID, printBool},
	"int2": {pgtype.Int2OID, printText}, "int4": {pgtype.Int4OID, printText}, "int8": {pgtype.Int8OID, printText},
	"float4": {pgtype.Float4OID, printNumber}, "float8": {pgtype.Float8OID, printNumber}, "numeric": {pgtype.NumericOID, printNumber},
	"json": asJSON, "jsonb": {pgtype.JSONBOID, printText},
	"text": {pgtype.TextOID, printString}, "varchar": {pgtype.VarcharOID, printString},
	"bpchar": {pgtype.BPCharOID, printString}, "name": {pgtype.NameOID, printString},
	"uuid": {pgtype.UUIDOID, printUUID},
	"date": {pgtype.DateOID, printString}, "timestamp": {pgtype.TimestampOID, printTimestamp}, "timestamptz": {pgtype.TimestamptzOID, printTimestamp},
	"time": {pgtype.TimeOID, printString}, "timetz": {pgtype.TimetzOID, printString}, "interval": {pgtype.IntervalOID, printString},
	"bytea": {pgtype.ByteaOID, printString}, "oid": {pgtype.OIDOID, printString}, "money": {790, printString},
	"inet": {pgtype.InetOID, printString}, "cidr": {pgtype.CIDROID, printString},
	"macaddr": {pgtype.MacaddrOID, printString}, "macaddr8": {pgtype.Macaddr8OID, printString},
	"bit": {pgtype.BitOID, printString}, "varbit": {pgtype.VarbitOID, printString},
	"tsvector": {pgtype.TSVectorOID, printString}, "tsquery": {3615, printString},
	"int4range": {pgtype.Int4rangeOID, printString}, "int8range": {pgtype.Int8rangeOID, printString}, "numrange": {pgtype.NumrangeOID, printString},
	"daterange": {pgtype.DaterangeOID, printString}, "tsrange": {pgtype.TsrangeOID, printString}, "tstzrange": {pgtype.TstzrangeOID, printString},
	"point": {pgtype.PointOID, printString}, "line": {pgtype.LineOID, printString}, "lseg": {pgtype.LsegOID, printString},
	"box": {pgtype.BoxOID, printString}, "path": {pgtype.PathOID, printString}, "polygon": {pgtype.PolygonOID, printString}, "circle": {pgtype.CircleOID, printString},
}

// printedAs finds how values of a type are printed; ok is false where PostgreSQL
// must do it.
func printedAs(t Type) (p printed, ok bool) {
	if t.Kind == KindArray || t.Schema != "" && t.Schema != "pg_catalog" {
		return printed{}, false
	}
	p, ok = printedTypes[t.Name]
	return p, ok
}

// shape is how the server writes the rows of a projection; nil where PostgreSQL
// has to, because another form is wanted or there are no columns.
func (c *compiler) shape(p *projection) *rowShape {
	o := &c.options
	if !o.Columns || o.Form != JSON && o.Form != Records || o.Explain != nil || o.Bound != nil {
		return nil
	}
	record := o.Form == Records
	if p.star != "" {
		if record || c.relation.row == nil {
			return wholeRow(c.relation.Columns, record)
		}
		return c.relation.row
	}
	s := newRowShape(len(p.outputs), record)
	for i := range p.outputs {
		s.add(p.outputs[i].label, p.outputs[i].of)
	}
	if len(s.members) == 0 {
		return nil
	}
	return s
}

// wholeRow is the shape of a row with all columns; nil when there are none.
func wholeRow(columns []Column, record bool) *rowShape {
	if len(columns) == 0 {
		return nil
	}
	s := newRowShape(len(columns), record)
	for i := range columns {
		s.add(columns[i].Name, columns[i].Type)
	}
	return s
}

func newRowShape(members int, record bool) *rowShape {
	return &rowShape{record: record, columns: make([]db.Column, 0, members), members: make([]member, 0, members)}
}

func (s *rowShape) add(label string, t Type) {
	if s.record {
		s.columns, s.members = append(s.columns, db.Column{Name: label}), append(s.members, member{given: true})
		return
	}
	how, given := printedAs(t)
	if !given {
		how = asJSON
	}
	s.columns = append(s.columns, db.Column{Name: label, Type: how.oid})
	key := append(appendString(make([]byte, 0, len(label)+3), label), ':')
	s.members = append(s.members, member{key: key, print: how.print, given: given})
}

// plain tells that all columns come as they are.
func (s *rowShape) plain() bool {
	for i := range s.members {
		if !s.members[i].given {
			return false
		}
	}
	return true
}

// write writes the columns; value writes one of them.
func (s *rowShape) write(w *strings.Builder, value func(i int)) {
	for i := range s.members {
		if i > 0 {
			w.WriteString(", ")
		}
		if s.members[i].given {
			value(i)
		} else {
			w.WriteString("to_json(")
			value(i)
			w.WriteByte(')')
		}
		w.WriteString(" AS ")
		quote(w, s.columns[i].Name)
	}
}

// of writes the columns of a relation in the FROM that has them under their labels.
func (s *rowShape) of(w *strings.Builder, relation string) {
	s.write(w, func(i int) {
		w.WriteString(relation)
		w.WriteByte('.')
		quote(w, s.columns[i].Name)
	})
}

// nothing writes as many columns that are NULL.
func (s *rowShape) nothing(w *strings.Builder) {
	for i := range s.columns {
		if i > 0 {
			w.WriteString(", ")
		}
		w.WriteString("NULL AS ")
		quote(w, s.columns[i].Name)
	}
}

// counted are the columns behind one that has the total.
func (s *rowShape) counted() []db.Column {
	return append([]db.Column{{Name: "count", Type: pgtype.Int8OID}}, s.columns...)
}

// append writes a row. A record has no parentheses around it.
func (s *rowShape) append(out []byte, values [][]byte) []byte {
	if s.record {
		return appendRecord(out, values)
	}
	separator := byte('{')
	for i := range s.members {
		m := &s.members[i]
		out = append(append(out, separator), m.key...)
		separator = ','
		if values[i] == nil {
			out = append(out, "null"...)
		} else {
			out = m.print(out, values[i])
		}
	}
	return append(out, '}')
}
