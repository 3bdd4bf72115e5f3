package tables

import "testing"

func BenchmarkParse(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if _, err := parse("select=id,title,at&owner=eq.6f1c0b1e-7a7e-4d55-9a0e-0d8f3b1c2d3e&views=gt.5&order=at.desc&limit=20", listWords); err != nil {
			b.Fatal(err)
		}
	}
}
