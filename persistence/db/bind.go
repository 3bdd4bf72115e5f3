package db

import (
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

// Text is a parameter in PostgreSQL's text form that is sent as it is, whatever its
// type. It must not change until the statement has run.
type Text []byte

// Column is a column that a statement returns.
type Column struct {
	Name string
	// Type is the OID of its type, of a domain that of the type beneath; 0 for any.
	Type uint32
}

// ErrColumns is for a statement that would return other columns than it says: the
// schema has changed since it was written. Nothing was run.
var ErrColumns = errors.New("the statement returns other columns than expected")

// boundArgs and boundBytes are how much memory for parameters is kept between
// statements.
const (
	boundArgs  = 64
	boundBytes = 4 << 10
)

// bound is a statement's parameters as they are sent, and the forms of its results.
// It is used again and again.
type bound struct {
	values  [][]byte
	formats []int16 // empty for text throughout
	results []int16
	memory  []byte
	driver  pgx.ExtendedQueryBuilder
}

// bind builds the parameters of a statement.
func (b *bound) bind(types *pgtype.Map, d *pgconn.StatementDescription, s *Statement) error {
	b.reset()
	if !b.texts(d, s.Args) {
		if err := b.driver.Build(types, d, plain(s.Args)); err != nil {
			return fmt.Errorf("%w: %w", errEncoding, err)
		}
		b.values, b.formats = append(b.values[:0], b.driver.ParamValues...), b.driver.ParamFormats
	}
	if s.Columns == nil {
		b.results = b.results[:0]
		for i := range d.Fields {
			b.results = append(b.results, types.FormatCodeForOID(d.Fields[i].DataTypeOID))
		}
		return nil
	}
	return b.expect(d.Fields, s.Columns)
}

func (b *bound) reset() {
	b.values, b.formats, b.results, b.memory = b.values[:0], nil, b.results[:0], b.memory[:0]
	if cap(b.values) > boundArgs {
		b.values = nil
	}
	if b.memory == nil || cap(b.memory) > boundBytes {
		b.memory = make([]byte, 0, 256) // never nil: an empty text is no NULL
	}
}

// texts builds parameters whose text form needs no knowledge of their types. It
// gives up when there is another one.
func (b *bound) texts(d *pgconn.StatementDescription, args []any) bool {
	if len(args) != len(d.ParamOIDs) {
		return false
	}
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			b.text(arg)
		case Text:
			b.values = append(b.values, arg)
		case int64:
			if d.ParamOIDs[i] != pgtype.Int8OID {
				return false
			}
			b.number(arg)
		default:
			return false
		}
	}
	return true
}

func (b *bound) text(value string) {
	start := len(b.memory)
	b.memory = append(b.memory, value...)
	b.values = append(b.values, b.memory[start:len(b.memory):len(b.memory)])
}

func (b *bound) number(value int64) {
	start := len(b.memory)
	b.memory = strconv.AppendInt(b.memory, value, 10)
	b.values = append(b.values, b.memory[start:len(b.memory):len(b.memory)])
}

// plain gives arguments that the driver knows.
func plain(args []any) []any {
	if !slices.ContainsFunc(args, func(arg any) bool { _, ok := arg.(Text); return ok }) {
		return args
	}
	out := slices.Clone(args)
	for i, arg := range out {
		if text, ok := arg.(Text); ok {
			out[i] = string(text)
		}
	}
	return out
}

// expect checks the columns and asks for their texts, and for the bytes of a uuid.
func (b *bound) expect(fields []pgconn.FieldDescription, columns []Column) error {
	if len(fields) != len(columns) {
		return ErrColumns
	}
	for i := range fields {
		if columns[i].Type != 0 && fields[i].DataTypeOID != columns[i].Type || fields[i].Name != columns[i].Name {
			return ErrColumns
		}
		format := int16(pgtype.TextFormatCode)
		if columns[i].Type == pgtype.UUIDOID {
			format = pgtype.BinaryFormatCode
		}
		b.results = append(b.results, format)
	}
	return nil
}
