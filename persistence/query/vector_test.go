package query

import (
	"fmt"
	"math"
	"strings"
	"testing"

	"fluxbase/persistence/fault"
)

func TestParseVector(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"[1]": "[1]", "(1,-2.5)": "[1 -2.5]", " [ 1 ,\n2e3 ] ": "[1 2000]", "[.5,1.,+3]": "[0.5 1 3]",
		"[1e-60,-1e-60]": "[0 0]", "[3.4028234e38]": "[3.4028234e+38]", "[1e-400]": "[0]",
		"": "!", "1,2": "!", "[]": "!", "[": "!", "[1,]": "!", "[1": "!", "[1)": "!", "{1}": "!", "[a]": "!", "[NaN]": "!", "[Infinity]": "!",
		"[0x1p3]": "!", "[1_000]": "!", "[3.5e38]": "!", "[1e999]": "!", "[1 2]": "!", "[[1]]": "!", "[1]]": "!",
		"[" + strings.Repeat("1,", MaxDimensions) + "1]": "!",
	} {
		got := "!"
		numbers, err := ParseVector(text)
		if err == nil {
			got = fmt.Sprint(numbers)
		} else if fault.CodeOf(err) != fault.InvalidQuery {
			t.Errorf("ParseVector(%.40q): %v, want INVALID_QUERY", text, err)
		}
		if got != want {
			t.Errorf("ParseVector(%.40q) = %s, want %s", text, got, want)
		}
	}
	if v, err := ParseVector("[" + strings.Repeat("1,", MaxDimensions-1) + "1]"); err != nil || len(v) != MaxDimensions {
		t.Errorf("%d numbers, %v", len(v), err)
	}
}

// FuzzParseVector: whatever is taken is a list of finite numbers that four bytes hold,
// and nothing but numbers and commas stands in it.
func FuzzParseVector(f *testing.F) {
	for _, s := range []string{"[1,2]", "(1e5)", "[-0]", "[1,", "[1e400]", "[é]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		numbers, err := ParseVector(text)
		if err != nil {
			if fault.CodeOf(err) != fault.InvalidQuery {
				t.Fatalf("fault %v", err)
			}
			return
		}
		if len(numbers) == 0 || len(numbers) != strings.Count(text, ",")+1 || len(numbers) > MaxDimensions {
			t.Fatalf("%d numbers of %q", len(numbers), text)
		}
		for _, x := range numbers {
			if math.IsNaN(x) || math.Abs(x) > math.MaxFloat32 || x != 0 && float32(x) == 0 {
				t.Fatalf("%v of %q", x, text)
			}
		}
	})
}
