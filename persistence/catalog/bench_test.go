package catalog_test

import (
	"testing"

	"fluxbase/persistence/catalog"
	"fluxbase/persistence/db/dbtest"
)

// BenchmarkOpen reads a schema of 3,000 tables.
func BenchmarkOpen(b *testing.B) {
	d := dbtest.New(b)
	for range 6 {
		// Few at a time: each table takes locks until the end of the transaction.
		d.Exec(`DO $$
			DECLARE n int := (SELECT count(*) FROM pg_class WHERE relname LIKE 'many_%' AND relkind = 'r');
			BEGIN
				FOR i IN n + 1 .. n + 500 LOOP
					EXECUTE format('CREATE TABLE many_%s (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE,
						parent bigint REFERENCES many_%s, a int DEFAULT 1, b jsonb, c timestamptz DEFAULT now(), d text[], e uuid)', i, i);
				END LOOP;
			END $$`)
	}
	b.ResetTimer()
	for range b.N {
		if _, err := catalog.Open(b.Context(), d.DB, catalog.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
