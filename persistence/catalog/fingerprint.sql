-- A number that changes when a row of the system catalogues about the exposed
-- schemas ($1) is written: each version of a row has its own xmin.
WITH relation AS (
  SELECT c.oid, c.xmin FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1::text[])
)
SELECT concat_ws('/',
  (SELECT sum(hashtextextended(concat(n.oid, ':', n.xmin), 0)) FROM pg_catalog.pg_namespace n WHERE n.nspname = ANY ($1::text[])),
  (SELECT sum(hashtextextended(concat(r.oid, ':', r.xmin), 0)) FROM relation r),
  (SELECT sum(hashtextextended(concat(a.attrelid, ':', a.attnum, ':', a.xmin), 0))
   FROM pg_catalog.pg_attribute a JOIN relation r ON r.oid = a.attrelid),
  (SELECT sum(hashtextextended(concat(d.oid, ':', d.xmin), 0))
   FROM pg_catalog.pg_attrdef d), -- of the tables beneath views, too
  (SELECT sum(hashtextextended(concat(k.oid, ':', k.xmin), 0))
   FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' OR k.conrelid IN (SELECT r.oid FROM relation r)),
  (SELECT sum(hashtextextended(concat(p.oid, ':', p.xmin), 0))
   FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1::text[])),
  (SELECT sum(hashtextextended(concat(w.oid, ':', w.xmin), 0))
   FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class c ON c.oid = w.ev_class
   JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname NOT IN ('pg_catalog', 'information_schema')),
  (SELECT sum(hashtextextended(concat(i.indexrelid, ':', i.xmin), 0))
   FROM pg_catalog.pg_index i WHERE i.indisprimary OR i.indrelid IN (SELECT r.oid FROM relation r)),
  (SELECT sum(hashtextextended(concat(t.oid, ':', t.xmin), 0))
   FROM pg_catalog.pg_trigger t JOIN relation r ON r.oid = t.tgrelid WHERE t.tgtype & 64 <> 0), -- INSTEAD OF
  (SELECT sum(hashtextextended(concat(d.objoid, ':', d.objsubid, ':', d.xmin), 0))
   FROM pg_catalog.pg_description d
   WHERE d.objoid IN (SELECT r.oid FROM relation r)
     OR d.classoid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objoid IN (SELECT p.oid FROM pg_catalog.pg_proc p
       JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname = ANY ($1::text[]))),
  (SELECT sum(hashtextextended(concat(m.roleid, ':', m.member, ':', m.xmin), 0)) FROM pg_catalog.pg_auth_members m),
  (SELECT sum(hashtextextended(concat(t.oid, ':', t.xmin), 0)) FROM pg_catalog.pg_type t WHERE t.typtype IN ('d', 'e')),
  (SELECT sum(hashtextextended(concat(e.oid, ':', e.xmin), 0)) FROM pg_catalog.pg_enum e),
  (SELECT sum(hashtextextended(concat(x.oid, ':', x.xmin), 0)) FROM pg_catalog.pg_extension x))
