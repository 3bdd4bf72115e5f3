package catalog

import "testing"

func FuzzOrigins(f *testing.F) {
	f.Add(`({QUERY :commandType 1 :rtable ({X :colnames ("odd\ :resno")}) :targetList ({TARGETENTRY :expr {CONST :constvalue 4 [ 1 0 ]} :resno 1 :resname odd\ :resno :resorigtbl 163 :resorigcol 2 :resjunk false}) :limitOffset <>})`)
	f.Add(`({Q :targetList (`)
	f.Add(`({Q :targetList ({T :a ) :b}`)
	f.Fuzz(func(t *testing.T, tree string) {
		for number, o := range origins(tree) {
			if number < 0 || o.relation == 0 || o.column <= 0 {
				t.Fatalf("%d comes from %+v", number, o)
			}
		}
	})
}

func TestOrigins(t *testing.T) {
	got := origins(`({QUERY :a {B :targetList ({TARGETENTRY :resno 9 :resorigtbl 9 :resorigcol 9 :resjunk false})} :targetList (` +
		`{TARGETENTRY :expr {CONST :constvalue 4 [ 1 0 ]} :resno 1 :resname odd\ :resno :resorigtbl 163 :resorigcol 2 :resjunk false} ` +
		`{TARGETENTRY :expr <> :resno 2 :resname b :resorigtbl 0 :resorigcol 0 :resjunk false} ` +
		`{TARGETENTRY :expr <> :resno 3 :resname c :resorigtbl 163 :resorigcol 3 :resjunk true}) :b 1})`)
	if len(got) != 1 || got[1] != (origin{163, 2}) {
		t.Errorf("origins %v", got)
	}
}
