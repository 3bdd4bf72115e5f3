package exposed

import "testing"

// Only a default that is a value is shown as one.
func TestConstantDefaults(t *testing.T) {
	for expression, want := range map[string]string{
		"true": "true", "false": "false", "1": "1", "-1": "-1", "'-1'::integer": "", "9.50": "9.50", "'a'::text": `"a"`, "'a b'::character varying": `"a b"`,
		"'it''s'::text": "", "'{}'::text[]": "", "now()": "", "null": "", "": "", "NULL::text": "", "'a'::text || 'b'::text": "", "007": "", "1.": "", "--": "", "'x'::mood": "",
	} {
		got, ok := constant(expression)
		if string(got) != want || ok != (want != "") {
			t.Errorf("%s: got %s %t, want %q", expression, got, ok, want)
		}
	}
}

func TestLengthOfTypes(t *testing.T) {
	for name, want := range map[string]int{"character varying(10)": 10, "character(3)": 3, "character varying": 0, "character varying(10)[]": 0, "numeric(8,2)": 0, "text": 0} {
		if got := length(name); got != want {
			t.Errorf("%s: got %d, want %d", name, got, want)
		}
	}
}
