package tables

import (
	"bufio"
	"context"
	"errors"
	"io"
	"time"

	"fluxbase/actors/data"
	"fluxbase/actors/kernel"
	"fluxbase/persistence/query"
	"fluxbase/transport/route"
)

// exportTimeout is how long an export may take, the client's reading included.
const exportTimeout = 10 * time.Minute

// export answers with all rows that match, as a file that is written as they come.
// It has a status of its own as long as no row was read; an export that fails
// later ends with the connection, so that nobody takes it for whole.
func export(r *route.Request, place data.Place) error {
	q, err := parse(r.RawQuery(), exportWords)
	if err != nil {
		return err
	}
	from, to := io.Pipe()
	ctx, pool := r.Context(), r.Tenant().Data
	m := &data.Export{Caller: r.Caller(), IDs: q.ids, Format: q.format, Out: to, Query: &query.Select{From: place.Relation, Fields: q.fields, Where: q.where,
		Order: q.order, Page: q.page, Truncate: q.truncate, Group: q.group}}
	// It ends with the request at the latest.
	go func() {
		_, err := kernel.Ask[*data.Exported](ctx, pool, m)
		to.CloseWithError(err) // nil is the end of the file
	}()
	buffer := make([]byte, 32<<10)
	n, err := from.Read(buffer)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	contentType, name := "text/csv; charset=utf-8", "export.csv"
	if q.format == data.JSON {
		contentType, name = "application/json; charset=utf-8", "export.json"
	}
	r.SetHeader("Content-Disposition", `attachment; filename="`+name+`"`)
	conn := r.Fast().Conn()
	return r.Stream(200, contentType, func(_ context.Context, w *bufio.Writer) error {
		defer from.Close()
		err := pass(w, from, buffer, n)
		if err != nil {
			err = errors.Join(err, conn.Close())
		}
		return err
	})
}

// pass writes the first n bytes of the buffer and then what comes from the reader.
func pass(w *bufio.Writer, from io.Reader, buffer []byte, n int) error {
	for {
		if _, err := w.Write(buffer[:n]); err != nil {
			return err
		}
		if err := w.Flush(); err != nil {
			return err
		}
		var err error
		if n, err = from.Read(buffer); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
	}
}
