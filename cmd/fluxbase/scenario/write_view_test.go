package scenario

import "testing"

// viewsDDL has a view of every kind over tables that are not exposed, and
// partitioned tables.
const viewsDDL = `
CREATE SCHEMA beneath;
CREATE TABLE beneath.items (
  id int4 PRIMARY KEY, label text NOT NULL DEFAULT 'none', n int4 CHECK (n < 100), owner text NOT NULL DEFAULT 'nobody',
  twice int4 GENERATED ALWAYS AS (n * 2) STORED);
ALTER TABLE beneath.items ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON beneath.items USING (owner = auth.jwt() ->> 'email') WITH CHECK (owner = auth.jwt() ->> 'email');
CREATE TABLE beneath.tags (item int4 REFERENCES beneath.items ON DELETE CASCADE, tag text, PRIMARY KEY (item, tag));
GRANT USAGE ON SCHEMA beneath TO authenticated, service_role, anon;
GRANT ALL ON beneath.items, beneath.tags TO authenticated, service_role;

CREATE VIEW things AS SELECT id AS number, label AS word, n, owner, twice, upper(label) AS loud FROM beneath.items;
CREATE VIEW tags AS SELECT * FROM beneath.tags;
CREATE VIEW mine WITH (security_invoker) AS SELECT id, label, n, owner FROM beneath.items;
CREATE VIEW small WITH (security_invoker) AS SELECT id, label, n FROM beneath.items WHERE n < 10 WITH CHECK OPTION;
CREATE VIEW keyed AS SELECT label FROM beneath.items;
CREATE VIEW sums AS SELECT owner, sum(n) AS n FROM beneath.items GROUP BY owner;
CREATE MATERIALIZED VIEW kept AS SELECT 1 AS id;
CREATE VIEW joined AS SELECT i.id, i.label, t.tag FROM beneath.items i JOIN beneath.tags t ON t.item = i.id;
CREATE FUNCTION take_joined() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO beneath.items (id, label) VALUES (new.id, new.label) ON CONFLICT DO NOTHING;
  INSERT INTO beneath.tags VALUES (new.id, new.tag);
  new.label := new.label || '!';
  RETURN new; END $$;
CREATE TRIGGER take INSTEAD OF INSERT ON joined FOR EACH ROW EXECUTE FUNCTION take_joined();
CREATE TABLE parts (id int4, at date NOT NULL, v text DEFAULT 'part', PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE parts_2024 PARTITION OF parts FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
CREATE TABLE parts_2025 PARTITION OF parts FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
GRANT ALL ON things, tags, mine, small, keyed, sums, kept, joined, parts, parts_2024, parts_2025 TO service_role;
GRANT ALL ON mine, small, parts TO authenticated;
GRANT SELECT ON things TO authenticated;
REVOKE UPDATE ON parts_2024 FROM authenticated;
`

const viewsSeed = `
TRUNCATE beneath.items, beneath.tags, parts;
INSERT INTO beneath.items (id, label, n, owner) VALUES (1, 'one', 1, 'ann@example.com'), (2, 'two', 2, 'bob@example.com'), (3, 'three', 30, 'ann@example.com');
INSERT INTO beneath.tags VALUES (1, 'a'), (1, 'b'), (2, 'c');
INSERT INTO parts VALUES (1, '2024-05-05', 'first'), (2, '2025-05-05', 'second');
`

var nativeViewCases = []tablesCase{
	{name: "insert", method: "POST", path: "/things", body: `{"number":9,"n":5}`, status: 201, want: `{"number":9,"word":"none","n":5,"owner":"nobody","twice":10,"loud":"NONE"}`},
	{name: "insert many, defaults of the table beneath", method: "POST", path: "/things?select=number,word", body: `[{"number":8,"word":"x"},{"number":9}]`, status: 201, want: `[{"number":8,"word":"x"},{"number":9,"word":"none"}]`},
	{name: "insert a computed column", method: "POST", path: "/things", body: `{"number":9,"loud":"X"}`, status: 400, code: "INVALID_INPUT"},
	{name: "insert a generated column", method: "POST", path: "/things", body: `{"number":9,"twice":1}`, status: 400, code: "INVALID_INPUT"},
	{name: "insert a duplicate", method: "POST", path: "/things", body: `{"number":1}`, status: 409, code: "DUPLICATE_KEY"},
	{name: "merge", method: "POST", path: "/things?select=number,word,n", body: `[{"number":1,"word":"uno"},{"number":9,"word":"nove"}]`, prefer: "resolution=merge-duplicates", status: 201, want: `[{"number":1,"word":"uno","n":1},{"number":9,"word":"nove","n":null}]`},
	{name: "ignore", method: "POST", path: "/things?select=number", body: `[{"number":1},{"number":9}]`, prefer: "resolution=ignore-duplicates", status: 201, want: `[{"number":9}]`},
	{name: "update", method: "PATCH", path: "/things?word=eq.one&select=number,word,loud", body: `{"word":"eins"}`, want: `[{"number":1,"word":"eins","loud":"EINS"}]`},
	{name: "update a page", method: "PATCH", path: "/things?number=gt.0&order=number.desc&limit=1&select=number", body: `{"n":0}`, want: `[{"number":3}]`},
	{name: "update a page without a key", method: "PATCH", path: "/keyed?label=neq.x&limit=1", body: `{"label":"y"}`, status: 400, code: "INVALID_QUERY"},
	{name: "update by the key", method: "PATCH", path: "/things/2", body: `{"n":7}`, want: `{"number":2,"word":"two","n":7,"owner":"bob@example.com","twice":14,"loud":"TWO"}`},
	{name: "put by the key", method: "PUT", path: "/things/2?select=n", body: `{"n":8}`, want: `{"n":8}`},
	{name: "get by the key", path: "/things/2?select=word", want: `{"word":"two"}`},
	{name: "bulk update", method: "PATCH", path: "/things/bulk?select=number,n", body: `[{"number":1,"n":11},{"number":2,"n":12}]`, wantPart: `"affected":2`},
	{name: "update against a check", method: "PATCH", path: "/things/1", body: `{"n":100}`, status: 400, code: "CHECK_VIOLATION"},
	{name: "delete", method: "DELETE", path: "/things?number=eq.2&select=number", want: `{"affected":1,"records":[{"number":2}]}`},
	{name: "delete by the key", method: "DELETE", path: "/things/2", status: 204, then: `SELECT count(*)::text FROM beneath.items`, thenWant: "2"},
	{name: "delete by a key of two columns", method: "DELETE", path: "/tags/1,b", status: 204, then: `SELECT count(*)::text FROM beneath.tags`, thenWant: "2"},
	{name: "embed in the answer", method: "PATCH", path: "/things?number=eq.1&select=word,tags(tag)&tags.order=tag", body: `{"word":"x"}`, want: `[{"word":"x","tags":[{"tag":"a"},{"tag":"b"}]}]`},
	{name: "a view with its owner's rights that may be read", as: "ann", method: "PATCH", path: "/things?number=eq.2", body: `{"word":"x"}`, status: 403, code: "INSUFFICIENT_PERMISSIONS", then: `SELECT label FROM beneath.items WHERE id = 2`, thenWant: "two"},
	{name: "policies hold through a view that runs as its caller", as: "ann", method: "PATCH", path: "/mine?id=gt.0&select=id&order=id", body: `{"n":3}`, want: `[{"id":1},{"id":3}]`},
	{name: "insert for somebody else", as: "ann", method: "POST", path: "/mine", body: `{"id":9,"owner":"bob@example.com"}`, status: 403, code: "RLS_POLICY_VIOLATION"},
	{name: "insert for oneself", as: "ann", method: "POST", path: "/mine?select=id", body: `{"id":9,"owner":"ann@example.com"}`, status: 201, want: `{"id":9}`},
	{name: "delete another's", as: "ann", method: "DELETE", path: "/mine/2", status: 404, code: "NOT_FOUND"},
	{name: "check option", method: "POST", path: "/small", body: `{"id":9,"n":10}`, status: 400, code: "CHECK_VIOLATION"},
	{name: "within the check option", method: "POST", path: "/small?select=id", body: `{"id":9,"n":9}`, status: 201, want: `{"id":9}`},
	{name: "a trigger takes inserts", method: "POST", path: "/joined", body: `{"id":9,"label":"nine","tag":"t"}`, status: 201, want: `{"id":9,"label":"nine!","tag":"t"}`, then: `SELECT tag FROM beneath.tags WHERE item = 9`, thenWant: "t"},
	{name: "and nothing else", method: "PATCH", path: "/joined?id=eq.1", body: `{"label":"x"}`, status: 405, code: "READ_ONLY_RELATION", wantPart: "cannot be updated"},
	{name: "no deletes either", method: "DELETE", path: "/joined?id=eq.1", status: 405, code: "READ_ONLY_RELATION", wantPart: "cannot be deleted from"},
	{name: "insert into sums", method: "POST", path: "/sums", body: `{"n":1}`, status: 405, code: "READ_ONLY_RELATION", wantPart: "Table 'public.sums' is read-only (view or materialized view)"},
	{name: "bulk into sums", method: "POST", path: "/sums/bulk", body: `[{"n":1}]`, status: 405, code: "READ_ONLY_RELATION"},
	{name: "update sums", method: "PATCH", path: "/sums?n=eq.1", body: `{"n":2}`, status: 405, code: "READ_ONLY_RELATION"},
	{name: "delete from a materialized view", method: "DELETE", path: "/kept?id=eq.1", status: 405, code: "READ_ONLY_RELATION"},
	{name: "partitions, insert", method: "POST", path: "/parts", body: `[{"id":3,"at":"2024-01-01"},{"id":4,"at":"2025-01-01","v":"x"}]`, status: 201, want: `[{"id":3,"at":"2024-01-01","v":"part"},{"id":4,"at":"2025-01-01","v":"x"}]`},
	{name: "partitions, out of all ranges", method: "POST", path: "/parts", body: `{"id":3,"at":"2030-01-01"}`, status: 400, code: "CHECK_VIOLATION"},
	{name: "partitions, merge", method: "POST", path: "/parts?select=id,v", body: `{"id":1,"at":"2024-05-05","v":"new"}`, prefer: "resolution=merge-duplicates", status: 201, want: `{"id":1,"v":"new"}`},
	{name: "partitions, moved", method: "PATCH", path: "/parts/1,2024-05-05?select=v", body: `{"v":"same"}`, want: `{"v":"same"}`},
	{name: "partitions, update across", method: "PATCH", path: "/parts?id=eq.1", body: `{"at":"2025-02-02"}`, want: `[{"id":1,"at":"2025-02-02","v":"first"}]`, then: `SELECT tableoid::regclass::text FROM parts WHERE id = 1`, thenWant: "parts_2025"},
	{name: "partitions, a page", method: "DELETE", path: "/parts?id=gt.0&order=id.desc&limit=1&select=id", want: `{"affected":1,"records":[{"id":2}]}`},
	{name: "one partition", path: "/parts_2025?select=id", want: `[{"id":2}]`},
	{name: "one partition, the wrong one", method: "POST", path: "/parts_2025", body: `{"id":5,"at":"2024-01-01"}`, status: 400, code: "CHECK_VIOLATION"},
}

var restViewCases = []restCase{
	{name: "insert", method: "POST", path: "/things?select=number,word,twice", body: `{"number":9,"n":5}`, headers: represent, status: 201, want: `[{"number":9,"word":"none","twice":10}]`},
	{name: "insert, headers only", method: "POST", path: "/things", body: `{"number":9}`, headers: "Prefer: return=headers-only", status: 201, header: "Location: /things?number=eq.9"},
	{name: "insert with defaults of the table beneath", method: "POST", path: "/things?columns=number,word&select=number,word", body: `[{"number":8,"word":"x"},{"number":9}]`, headers: "Prefer: return=representation, missing=default", status: 201, want: `[{"number":8,"word":"x"},{"number":9,"word":"none"}]`},
	{name: "merge", method: "POST", path: "/things?select=number,word", body: `[{"number":1,"word":"uno"},{"number":9,"word":"nove"}]`, headers: "Prefer: resolution=merge-duplicates, return=representation", status: 201, want: `[{"number":1,"word":"uno"},{"number":9,"word":"nove"}]`},
	{name: "merge that makes nothing", method: "POST", path: "/things?select=number", body: `[{"number":1,"word":"uno"},{"number":2,"word":"due"}]`, headers: "Prefer: resolution=merge-duplicates, return=representation", status: 200, want: `[{"number":1},{"number":2}]`},
	{name: "put an old row", method: "PUT", path: "/things?number=eq.1", body: `{"number":1,"word":"uno","n":1,"owner":"x"}`, status: 204, then: `SELECT label FROM beneath.items WHERE id = 1`, thenWant: "uno"},
	{name: "put a new row", method: "PUT", path: "/things?number=eq.9", body: `{"number":9,"word":"nove","n":1,"owner":"x"}`, status: 201},
	{name: "update", method: "PATCH", path: "/things?number=eq.1&select=word", body: `{"word":"x"}`, headers: represent, want: `[{"word":"x"}]`},
	{name: "update too many", method: "PATCH", path: "/things", body: `{"word":"x"}`, headers: "Prefer: handling=strict, max-affected=1", status: 400, error: [4]string{"PGRST124", "?", "The query affects 3 rows", "-"}, then: `SELECT label FROM beneath.items WHERE id = 1`, thenWant: "one"},
	{name: "delete, one object", method: "DELETE", path: "/things?number=eq.2&select=number", headers: represent + " | " + objectAccept, want: `{"number":2}`},
	{name: "delete without a right", as: "ann", method: "DELETE", path: "/things?number=eq.2", status: 403, error: [4]string{"42501", "permission denied for view things", "-", "-"}},
	{name: "policies through a view", as: "ann", method: "DELETE", path: "/mine?select=id&order=id", headers: represent, want: `[{"id":1},{"id":3}]`},
	{name: "check option", method: "POST", path: "/small", body: `{"id":9,"n":10}`, status: 400, error: [4]string{"44000", `new row violates check option for view "small"`, "?", "-"}},
	{name: "a trigger takes inserts", method: "POST", path: "/joined?select=label", body: `{"id":9,"label":"nine","tag":"t"}`, headers: represent, status: 201, want: `[{"label":"nine!"}]`},
	{name: "and nothing else", method: "DELETE", path: "/joined?id=eq.1", status: 405, error: [4]string{"PGRST117", "View 'public.joined' cannot be deleted from", "-", "?"}},
	{name: "options of sums", method: "OPTIONS", path: "/sums", header: "Allow: OPTIONS,GET,HEAD"},
	{name: "options of what a trigger takes", method: "OPTIONS", path: "/joined", header: "Allow: OPTIONS,GET,HEAD,POST"},
	{name: "insert into sums", method: "POST", path: "/sums", body: `{"n":1}`, status: 405, error: [4]string{"PGRST117", "Table 'public.sums' is read-only (view or materialized view)", "-", "-"}},
	{name: "partitions, merge that makes nothing", method: "POST", path: "/parts", body: `[{"id":1,"at":"2024-05-05","v":"new"},{"id":2,"at":"2025-05-05","v":"new"}]`, headers: "Prefer: resolution=merge-duplicates", status: 200, then: `SELECT string_agg(v, ' ' ORDER BY id) FROM parts`, thenWant: "new new"},
	{name: "partitions, merge that makes one", method: "POST", path: "/parts", body: `[{"id":1,"at":"2024-05-05","v":"new"},{"id":9,"at":"2025-05-05","v":"new"}]`, headers: "Prefer: resolution=merge-duplicates", status: 201},
	{name: "partitions, put an old row", method: "PUT", path: "/parts?id=eq.1&at=eq.2024-05-05", body: `{"id":1,"at":"2024-05-05","v":"put"}`, status: 204},
	{name: "partitions, put a new row", method: "PUT", path: "/parts?id=eq.7&at=eq.2024-05-05", body: `{"id":7,"at":"2024-05-05","v":"put"}`, headers: represent, status: 201, want: `[{"id":7,"at":"2024-05-05","v":"put"}]`},
	{name: "merge what needs a right that is missing", as: "ann", method: "POST", path: "/parts_2024", body: `{"id":1,"at":"2024-05-05","v":"new"}`, headers: "Prefer: resolution=merge-duplicates", status: 403, error: [4]string{"42501", "permission denied for table parts_2024", "-", "-"}},
}

// TestWriteThroughViews writes to views and partitions of every kind in both
// dialects.
func TestWriteThroughViews(t *testing.T) {
	t.Parallel()
	n := startTables(t, viewsDDL)
	n.runAll(t, viewsSeed, nativeViewCases)
	n.runRests(t, viewsSeed, restViewCases)
}
