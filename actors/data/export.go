package data

import (
	"bufio"
	"bytes"
	"context"
	"io"

	"fluxbase/persistence/db"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// exportBuffer is how many bytes are gathered before they are written.
const exportBuffer = 32 << 10

func (w *Worker) export(ctx context.Context, m *Export) (*Exported, error) {
	relations, q := w.schema.Current(), *m.Query
	address, err := w.locateAny(relations, q.From, m.IDs)
	if err != nil {
		return nil, err
	}
	q.Where = query.Conjoin(address, q.Where)
	q.Page, q.Count = w.limits.export(q.Page, m.Caller), query.CountNone
	o := w.options()
	if m.Format == CSV {
		o.Form = sql.Records
	}
	plan, err := sql.Select(relations, &q, o)
	if err != nil {
		return nil, err
	}
	if err := w.admit(ctx, m.Caller, plan, nil); err != nil {
		return nil, err
	}
	// Rows that nobody takes must not be read to their end.
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	e := exporter{out: bufio.NewWriterSize(m.Out, exportBuffer), format: m.Format}
	row := func(text []byte) error {
		err := e.row(plan.Labels, text)
		if err != nil {
			cancel()
		}
		return err
	}
	if err := w.read(db.Unhurried(ctx), m.Caller, w.around(nil, plan.Stream(row), nil)); err != nil {
		return nil, err
	}
	return &Exported{Rows: e.rows}, e.end(plan.Labels)
}

// exporter writes rows in a format.
type exporter struct {
	out    *bufio.Writer
	format Format
	rows   int64
	fields [][]byte
}

// row writes one row. The first one goes out at once.
func (e *exporter) row(labels []string, text []byte) error {
	if e.rows == 0 {
		if err := e.begin(labels); err != nil {
			return err
		}
	}
	e.rows++
	var err error
	switch e.format {
	case JSON:
		if e.rows > 1 {
			err = e.out.WriteByte(',')
		}
		if err == nil {
			_, err = e.out.Write(text)
		}
	default:
		if e.fields, err = sql.ReadRecord(text, e.fields); err == nil {
			err = e.line(e.fields)
		}
	}
	if err == nil && e.rows == 1 {
		err = e.out.Flush()
	}
	return err
}

func (e *exporter) begin(labels []string) error {
	if e.format == JSON {
		return e.out.WriteByte('[')
	}
	names := make([][]byte, len(labels))
	for i, l := range labels {
		names[i] = []byte(l)
	}
	return e.line(names)
}

// end writes what follows the last row.
func (e *exporter) end(labels []string) error {
	if e.rows == 0 {
		if err := e.begin(labels); err != nil {
			return err
		}
	}
	if e.format == JSON {
		if err := e.out.WriteByte(']'); err != nil {
			return err
		}
	}
	return e.out.Flush()
}

// line writes a line of CSV. A buffered writer keeps its first error, so that the
// end of the line tells of any.
func (e *exporter) line(fields [][]byte) error {
	for i, f := range fields {
		if i > 0 {
			_ = e.out.WriteByte(',')
		}
		e.field(f)
	}
	_, err := io.WriteString(e.out, "\r\n")
	return err
}

func (e *exporter) field(f []byte) {
	if f == nil || len(f) > 0 && !bytes.ContainsAny(f, "\",\r\n") {
		_, _ = e.out.Write(f)
		return
	}
	_ = e.out.WriteByte('"')
	_, _ = e.out.Write(bytes.ReplaceAll(f, []byte{'"'}, []byte{'"', '"'}))
	_ = e.out.WriteByte('"')
}
