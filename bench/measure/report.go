package measure

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"
)

// Report is the outcome of one scenario: rows of named figures. Figures keep the
// order in which they were set, in the table and in the JSON.
type Report struct {
	Scenario string `json:"scenario"`
	Rows     []*Row `json:"rows"`
}

// Row is one measured case.
type Row struct {
	Name    string
	columns []string
	figures map[string]any
}

// Row starts a row.
func (r *Report) Row(name string) *Row {
	row := &Row{Name: name, figures: map[string]any{}}
	r.Rows = append(r.Rows, row)
	return row
}

// Set adds a figure; floats are shown with three significant places.
func (r *Row) Set(column string, value any) *Row {
	if _, known := r.figures[column]; !known {
		r.columns = append(r.columns, column)
	}
	r.figures[column] = value
	return r
}

// Latency adds p50, p99 and max in milliseconds.
func (r *Row) Latency(h *Histogram) *Row {
	return r.Set("p50 ms", Millis(h.Quantile(0.5))).
		Set("p99 ms", Millis(h.Quantile(0.99))).
		Set("max ms", Millis(h.Max()))
}

// Value gives a figure as a float, 0 when it is not there.
func (r *Row) Value(column string) float64 {
	switch v := r.figures[column].(type) {
	case float64:
		return v
	case int:
		return float64(v)
	case int64:
		return float64(v)
	default:
		return 0
	}
}

// Millis is d in milliseconds.
func Millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// Micros is d in microseconds.
func Micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// MarshalJSON keeps the order of the figures.
func (r *Row) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	name, err := json.Marshal(r.Name)
	if err != nil {
		return nil, err
	}
	fmt.Fprintf(&b, `{"name":%s`, name)
	for _, column := range r.columns {
		key, err := json.Marshal(column)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(r.figures[column])
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, ",%s:%s", key, value)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// Print writes the report as an aligned Markdown table and then as one line of
// JSON.
func (r *Report) Print(w io.Writer) error {
	var columns []string
	seen := map[string]bool{}
	for _, row := range r.Rows {
		for _, column := range row.columns {
			if !seen[column] {
				seen[column] = true
				columns = append(columns, column)
			}
		}
	}
	table := [][]string{append([]string{r.Scenario}, columns...)}
	for _, row := range r.Rows {
		line := []string{row.Name}
		for _, column := range columns {
			line = append(line, show(row.figures[column]))
		}
		table = append(table, line)
	}
	widths := make([]int, len(columns)+1)
	for _, line := range table {
		for i, cell := range line {
			widths[i] = max(widths[i], len(cell))
		}
	}
	for i, line := range table {
		for j, cell := range line {
			pad := strings.Repeat(" ", widths[j]-len(cell))
			if j == 0 {
				fmt.Fprintf(w, "| %s%s ", cell, pad)
			} else {
				fmt.Fprintf(w, "| %s%s ", pad, cell)
			}
		}
		fmt.Fprintln(w, "|")
		if i == 0 {
			for j, width := range widths {
				if j == 0 {
					fmt.Fprintf(w, "|%s", strings.Repeat("-", width+2))
				} else {
					fmt.Fprintf(w, "|%s:", strings.Repeat("-", width+1))
				}
			}
			fmt.Fprintln(w, "|")
		}
	}
	encoded, err := json.Marshal(r)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "\n%s\n", encoded)
	return err
}

func show(value any) string {
	switch v := value.(type) {
	case nil:
		return "–"
	case float64:
		switch {
		case v >= 1000:
			return fmt.Sprintf("%.0f", v)
		case v >= 10:
			return fmt.Sprintf("%.1f", v)
		default:
			return fmt.Sprintf("%.2f", v)
		}
	default:
		return fmt.Sprint(v)
	}
}
