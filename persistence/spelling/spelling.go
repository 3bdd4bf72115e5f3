// Package spelling finds the name that somebody may have meant.
package spelling

import (
	"iter"
	"strings"
)

// longest is how many bytes a word may have to be compared: names of PostgreSQL
// have 63, and a list of parameters is made of some.
const longest = 256

// Distance counts the edits of single bytes between a and b; it gives up and
// returns limit when the lengths alone differ by as much.
func Distance(a, b string, limit int) int {
	if d := len(a) - len(b); d >= limit || -d >= limit {
		return limit
	}
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// Nearest is the candidate that is most like word: least is the share of letters,
// between 0 and 1, that must be the same, whatever their case. Word itself is no
// candidate. Of several that are equally like it, it is the first; "" when there is
// none.
func Nearest(word string, least float64, candidates iter.Seq[string]) string {
	if len(word) > longest {
		return ""
	}
	best, share := "", 0.0
	folded := strings.ToLower(word)
	for c := range candidates {
		if c == word || len(c) > longest {
			continue
		}
		length := max(len(word), len(c), 1)
		s := 1 - float64(Distance(folded, strings.ToLower(c), length))/float64(length)
		if s >= least && s > share {
			best, share = c, s
		}
	}
	return best
}
