package data

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"time"

	"fluxbase/persistence/db"
	"fluxbase/persistence/fault"
	"fluxbase/persistence/query"
	"fluxbase/persistence/query/sql"
)

// exportBuffer is how many bytes are gathered before they are written.
const exportBuffer = 32 << 10

// exportRetry is when an export that finds no place may be asked for again.
const exportRetry = 5 * time.Second

func (w *Worker) export(ctx context.Context, m *Export) (*Exported, error) {
	// An export lasts as long as its client reads: those that read slowly must not take
	// all workers.
	select {
	case w.exports <- struct{}{}:
		defer func() { <-w.exports }()
	default:
		return nil, fault.New(fault.Overloaded, "Too many exports are under way").WithRetryAfter(exportRetry)
	}
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
	row := func(write func() error) error {
		err := e.row(plan.Labels, write)
		if err != nil {
			cancel()
		}
		return err
	}
	var statements []db.Statement
	if m.Format == CSV {
		statements = plan.Fields(func(fields [][]byte) error { return row(func() error { return e.line(fields) }) })
	} else {
		statements = plan.Stream(func(text []byte) error { return row(func() error { return e.object(text) }) })
	}
	if err := w.read(db.Unhurried(ctx), m.Caller, w.around(nil, statements, nil)); err != nil {
		return nil, err
	}
	return &Exported{Rows: e.rows}, e.end(plan.Labels)
}

// exporter writes rows in a format.
type exporter struct {
	out    *bufio.Writer
	format Format
	rows   int64
}

// row writes one row by way of write. The first one goes out at once.
func (e *exporter) row(labels []string, write func() error) error {
	if e.rows == 0 {
		if err := e.begin(labels); err != nil {
			return err
		}
	}
	e.rows++
	err := write()
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

// object writes an object of the array.
func (e *exporter) object(text []byte) error {
	if e.rows > 1 {
		_ = e.out.WriteByte(',')
	}
	_, err := e.out.Write(text)
	return err
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
