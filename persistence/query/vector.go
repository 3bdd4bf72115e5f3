package query

import (
	"math"
	"strconv"
	"strings"

	"fluxbase/persistence/fault"
)

// MaxDimensions is how many numbers a vector may have: as many as pgvector takes.
const MaxDimensions = 16000

// Distance is a vector to measure against, with the operator to measure by:
// VectorL2, VectorCosine or VectorInner.
type Distance struct {
	Op Operator
	// Vector is written [0.1,0.2] or (0.1,0.2).
	Vector string
}

// ParseVector reads the numbers of a vector. Each must be finite and, as in
// pgvector, not be too large for four bytes; one that is too small for them is 0.
func ParseVector(text string) ([]float64, error) {
	inner := strings.TrimSpace(text)
	if len(inner) < 2 || !(inner[0] == '[' && inner[len(inner)-1] == ']' || inner[0] == '(' && inner[len(inner)-1] == ')') {
		return nil, invalidVector("%q is not a vector", shortened(text))
	}
	inner = inner[1 : len(inner)-1]
	n := strings.Count(inner, ",") + 1
	if n > MaxDimensions {
		return nil, invalidVector("a vector has more than %d numbers", MaxDimensions)
	}
	numbers := make([]float64, 0, n)
	for item := range strings.SplitSeq(inner, ",") {
		item = strings.Trim(item, " \t\n\r")
		if strings.Trim(item, "0123456789+-.eE") != "" {
			return nil, invalidVector("%q is not a number of a vector", shortened(item))
		}
		x, err := strconv.ParseFloat(item, 64)
		switch {
		case err != nil && !math.IsInf(x, 0):
			return nil, invalidVector("%q is not a number of a vector", shortened(item))
		case math.Abs(x) > math.MaxFloat32:
			return nil, invalidVector("the number %s is too large for a vector", shortened(item))
		case float32(x) == 0:
			x = 0
		}
		numbers = append(numbers, x)
	}
	return numbers, nil
}

func invalidVector(format string, args ...any) *fault.Fault {
	return fault.Newf(fault.InvalidQuery, "Invalid query parameters: "+format, args...).WithHint("Write a vector as [0.1,0.2,0.3].")
}

// shortened is the beginning of a text, for messages.
func shortened(text string) string {
	const most = 40
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}
