package scenario

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/pflag"

	"fluxbase/bench/measure"
	"fluxbase/bench/target"
)

// exportRow is about how many bytes a row of the table has in JSON.
const exportRow = 260

func export() *Scenario {
	var megabytes int
	return &Scenario{
		Name:  "export",
		Short: "Export a large table as JSON and CSV: first byte, memory, and a floor's beside it",
		Flags: func(f *pflag.FlagSet) {
			f.IntVar(&megabytes, "megabytes", 100, "size of the file")
		},
		Run: func(ctx context.Context, t *target.Target, r *measure.Report) error {
			if err := t.Exec(ctx,
				`drop table if exists public.bench_export`,
				`create table public.bench_export (id bigserial primary key, owner uuid not null, n int not null, body text not null, created_at timestamptz not null default now())`,
				fmt.Sprintf(`insert into public.bench_export (owner, n, body)
					select gen_random_uuid(), i, repeat(md5(i::text), 4) from generate_series(1, %d) i`, megabytes*1_000_000/exportRow),
				`alter table public.bench_export enable row level security`,
				`grant select on public.bench_export to service_role`,
				`vacuum analyze public.bench_export`,
			); err != nil {
				return err
			}
			process, err := startFloor(ctx, t)
			if err != nil {
				return err
			}
			defer process.Close()
			bare := exporter{t: t, processes: measure.Processes{process.PID}, url: "http://" + process.Host}
			ours := exporter{t: t, processes: measure.Processes{t.Nodes[0].PID}, url: t.Nodes[0].URL}
			for _, e := range []struct {
				exporter
				title, format string
			}{{ours, "JSON", "json"}, {ours, "CSV", "csv"}, {bare, "  floor (JSON)", "json"}} {
				progress("export: %s", e.title)
				if err := e.run(ctx, e.format, r.Row(e.title)); err != nil {
					return fmt.Errorf("%s: %w", e.title, err)
				}
			}
			return nil
		},
	}
}

// exporter is a server whose export is measured.
type exporter struct {
	t         *target.Target
	processes measure.Processes
	url       string
}

func (e exporter) run(ctx context.Context, format string, row *measure.Row) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, e.url+"/api/v1/tables/bench_export/export?format="+format, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+e.t.ServiceKey)
	before := e.processes.RSS()
	most, stop := watchRSS(e.processes)
	cpu, postgres, start := e.processes.CPU(), e.t.PostgresCPU(), time.Now()
	size, first, err := fetch(request, start)
	took := time.Since(start)
	stop()
	if err != nil {
		return err
	}
	mb := float64(size) / 1e6
	row.Set("MB", mb).
		Set("first byte ms", measure.Millis(first)).
		Set("MB/s", mb/took.Seconds()).
		Set("RSS growth MiB", float64(most()-before)/(1<<20)).
		Set("server ms CPU/MB", measure.Millis(e.processes.CPU()-cpu)/mb).
		Set("PostgreSQL ms CPU/MB", measure.Millis(e.t.PostgresCPU()-postgres)/mb)
	return nil
}

// fetch reads an answer to its end and gives its size and when it began.
func fetch(request *http.Request, start time.Time) (size int64, first time.Duration, err error) {
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, 0, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return 0, 0, errors.New(response.Status)
	}
	var byte1 [1]byte
	if _, err := io.ReadFull(response.Body, byte1[:]); err != nil {
		return 0, 0, err
	}
	first = time.Since(start)
	size, err = io.Copy(io.Discard, response.Body)
	return size + 1, first, err
}

// watchRSS looks at the memory of processes every few milliseconds until stop is
// called; most is the largest that it saw.
func watchRSS(processes measure.Processes) (most func() int64, stop func()) {
	var highest int64
	ending, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for {
			highest = max(highest, processes.RSS())
			select {
			case <-ending:
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { return highest }, func() { close(ending); <-ended }
}
