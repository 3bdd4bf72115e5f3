package query

import "testing"

func TestSize(t *testing.T) {
	compare := &Compare{Path: Column("a"), Op: Equal, Value: "1"}
	long := &Compare{Path: Column("a"), Op: In, Values: []string{"1", "2", "3"}}
	inner := &Embed{Name: "c", Fields: Projection{Star{}}, Where: And{compare, Not{Condition: long}}, Order: make([]Order, 2)}
	outer := &Embed{Name: "b", Fields: Projection{inner, &Field{}, &Field{}, &Field{}}}
	cases := []struct {
		name string
		got  Size
		want Size
	}{
		{"nothing", (&Select{}).Size(), Size{Depth: 1}},
		{"a comparison", (&Select{Where: compare}).Size(), Size{Conditions: 1, Depth: 1}},
		{"a tree", (&Select{Where: Or{compare, And{compare, Not{Condition: long}}}}).Size(), Size{Conditions: 3, Depth: 4, Values: 3}},
		{"columns and groups", (&Select{Fields: Projection{Star{}, &Field{}}, Group: []Path{{}, {}}}).Size(), Size{Depth: 1, Columns: 4}},
		{"related rows", (&Select{Where: Not{Condition: &Related{Where: Untrue{Condition: long}}}}).Size(), Size{Conditions: 2, Depth: 4, Values: 3}},
		{"an object", (&Select{Fields: Projection{&Object{Fields: Projection{&Field{}, &Field{}}}}}).Size(), Size{Depth: 1, Columns: 3}},
		{"aggregates", (&Select{Fields: Projection{&Aggregate{}, &Object{Fields: Projection{&Aggregate{}, &Constant{}}}, &Embed{Fields: Projection{&Aggregate{}}}}}).Size(),
			Size{Depth: 1, Columns: 5, Embeds: 1, EmbedDepth: 1, Aggregates: 3}},
		{"several roots", (&Root{Select: Select{Where: long, Fields: Projection{outer}}}).Size().And((&Root{Select: Select{Where: compare, Fields: Projection{outer}}}).Size()),
			Size{Conditions: 6, Depth: 3, Values: 3, Columns: 4, Orders: 2, Embeds: 4, EmbedDepth: 2}},
		{"embeds", (&Select{Fields: Projection{outer, &Embed{}}, Where: compare}).Size(),
			Size{Conditions: 3, Depth: 3, Values: 3, Columns: 4, Orders: 2, Embeds: 3, EmbedDepth: 2}},
		{"an update", (&Update{Where: And{compare, compare}, Order: make([]Order, 3), Returning: Returning{Fields: Projection{outer}}}).Size(),
			Size{Conditions: 4, Depth: 3, Values: 3, Columns: 4, Orders: 3, Embeds: 2, EmbedDepth: 2}},
		{"a deletion", (&Delete{Where: long}).Size(), Size{Conditions: 1, Depth: 1, Values: 3}},
		{"an insert", (&Insert{Returning: Returning{Fields: Projection{outer}}}).Size(),
			Size{Conditions: 2, Depth: 3, Values: 3, Columns: 4, Orders: 2, Embeds: 2, EmbedDepth: 2}},
		{"updates", (&UpdateEach{Where: compare, Returning: Returning{Fields: Projection{Star{}}}}).Size(), Size{Conditions: 1, Depth: 1, Columns: 1}},
		{"a call", (&Call{Where: compare, Fields: Projection{outer}}).Size(),
			Size{Conditions: 3, Depth: 3, Values: 3, Columns: 4, Orders: 2, Embeds: 2, EmbedDepth: 2}},
	}
	for _, c := range cases {
		if c.got != c.want {
			t.Errorf("%s: %+v, want %+v", c.name, c.got, c.want)
		}
	}
}
