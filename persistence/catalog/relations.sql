-- The exposed schema as one JSON document; $1 has the exposed schemas. Every list
-- is ordered, so that an unchanged schema gives the same text.
WITH RECURSIVE relation AS (
  SELECT c.oid, n.oid AS namespace, n.nspname, c.relname, c.relkind, c.relispartition, c.relrowsecurity, c.relforcerowsecurity,
    -- What is written to a view goes to its triggers or rules, whatever its columns are.
    c.relkind = 'v' AND (EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgrelid = c.oid AND t.tgtype & 64 <> 0)
      OR EXISTS (SELECT FROM pg_catalog.pg_rewrite w WHERE w.ev_class = c.oid AND w.ev_type <> '1' AND w.is_instead)) AS replaced
  FROM pg_catalog.pg_class c
  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE n.nspname = ANY ($1::text[]) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
), caller AS (
  -- The roles that callers' statements run as.
  SELECT o.oid, o.rolname FROM pg_catalog.pg_roles o
  WHERE o.rolname IN ('anon', 'authenticated', 'service_role', 'tenant_service')
), computed AS (
  -- Functions of one row of an exposed relation.
  SELECT p.oid, n.nspname, n.oid AS namespace, p.proname, r.oid AS relation, p.prorettype, p.proretset, p.prorows,
    (SELECT t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = p.prorettype) AS target
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_type t ON t.oid = p.proargtypes[0]
  JOIN relation r ON r.oid = t.typrelid
  WHERE n.nspname = ANY ($1::text[]) AND p.prokind = 'f' AND p.pronargs = 1
), routine AS (
  -- Functions that can be called, but those of extensions.
  SELECT p.*, n.nspname, n.oid AS namespace, (SELECT t.typrelid FROM pg_catalog.pg_type t WHERE t.oid = p.prorettype) AS target
  FROM pg_catalog.pg_proc p
  JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
  WHERE n.nspname = ANY ($1::text[]) AND p.prokind = 'f'
    AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e')
), argument AS (
  SELECT r.oid, a.type, a.ord, coalesce(r.proargnames[a.ord], '') AS name, coalesce(r.proargmodes[a.ord]::text, 'i') AS mode
  FROM routine r, unnest(coalesce(r.proallargtypes, r.proargtypes::pg_catalog.oid[])) WITH ORDINALITY a (type, ord)
), outcome AS (
  -- The columns of what is returned as a row.
  SELECT r.oid, a.attname AS name, a.atttypid AS type, a.attnum::int8 AS ord
  FROM routine r JOIN pg_catalog.pg_attribute a ON a.attrelid = r.target AND a.attnum > 0 AND NOT a.attisdropped
  WHERE r.target <> 0
  UNION ALL
  SELECT a.oid, a.name, a.type, a.ord FROM argument a JOIN routine r ON r.oid = a.oid
  WHERE a.mode IN ('o', 'b', 't') AND r.prorettype = 'pg_catalog.record'::pg_catalog.regtype
), view AS (
  -- The exposed views and those beneath them.
  SELECT r.oid FROM relation r WHERE r.relkind IN ('v', 'm')
  UNION
  SELECT c.oid
  FROM view v
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = v.oid
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('v', 'm')
), base AS (
  -- The tables beneath views.
  SELECT DISTINCT d.refobjid AS oid
  FROM view v
  JOIN pg_catalog.pg_rewrite w ON w.ev_class = v.oid
  JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.objid = w.oid
    AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
  JOIN pg_catalog.pg_class c ON c.oid = d.refobjid AND c.relkind IN ('r', 'p', 'f')
), type AS (
  SELECT t.* FROM pg_catalog.pg_type t
  WHERE t.oid IN (
    SELECT a.atttypid FROM pg_catalog.pg_attribute a
    JOIN relation r ON r.oid = a.attrelid
    WHERE a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT r.prorettype FROM routine r
    UNION ALL
    SELECT a.type FROM argument a
    UNION ALL
    SELECT o.type FROM outcome o)
  UNION
  -- What domains, arrays and ranges are made of.
  SELECT t.*
  FROM type o
  LEFT JOIN pg_catalog.pg_range g ON o.oid IN (g.rngtypid, g.rngmultitypid)
  JOIN pg_catalog.pg_type t ON t.oid IN (o.typelem, o.typbasetype, g.rngsubtype)
), keys AS NOT MATERIALIZED (
  -- Constraints, and the unique indexes that ON CONFLICT can use like one. Of all
  -- relations: it is looked into by the index on indrelid, one at a time.
  SELECT i.indrelid, i.indisprimary, x.relname AS name,
    (SELECT json_agg(a.attname ORDER BY k.ord)
     FROM unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, ord)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
     WHERE k.ord <= i.indnkeyatts) AS columns,
    (i.indkey::int2[])[0:i.indnkeyatts - 1] AS numbers
  FROM pg_catalog.pg_index i
  JOIN pg_catalog.pg_class x ON x.oid = i.indexrelid
  WHERE i.indisunique AND i.indisvalid AND i.indimmediate AND i.indpred IS NULL
    AND 0 <> ALL ((i.indkey::int2[])[0:i.indnkeyatts - 1])
)
SELECT json_build_object(
  'relations', coalesce((SELECT json_agg(json_build_object(
    'oid', r.oid::pg_catalog.int8,
    'schema', r.nspname,
    'name', r.relname,
    'kind', r.relkind,
    'partition', r.relispartition,
    'updatable', pg_catalog.pg_relation_is_updatable(r.oid, true),
    'secured', r.relrowsecurity,
    'forced', r.relforcerowsecurity,
    'comment', coalesce(pg_catalog.obj_description(r.oid, 'pg_class'), ''),
    'columns', coalesce((SELECT json_agg(json_build_object(
        'name', a.attname,
        'position', a.attnum,
        'type', a.atttypid::pg_catalog.int8,
        'type_name', pg_catalog.format_type(a.atttypid, a.atttypmod),
        'not_null', a.attnotnull OR (SELECT t.typtype = 'd' AND t.typnotnull FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid),
        'default', CASE WHEN a.attgenerated = '' THEN coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
        'generated', a.attgenerated <> '',
        'identity', a.attidentity,
        'sequence', coalesce((SELECT pg_catalog.format('%I.%I', sn.nspname, s.relname)
          FROM pg_catalog.pg_depend p
          JOIN pg_catalog.pg_class s ON s.oid = p.objid AND s.relkind = 'S'
          JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
          WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i')
          ORDER BY s.oid LIMIT 1), ''),
        'updatable', pg_catalog.pg_column_is_updatable(a.attrelid, a.attnum, true) OR r.relkind IN ('r', 'p') OR r.replaced,
        'comment', coalesce(pg_catalog.col_description(a.attrelid, a.attnum), '')
      ) ORDER BY a.attnum)
      FROM pg_catalog.pg_attribute a
      LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
      WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped), '[]'),
    'grants', coalesce((SELECT json_agg(json_build_object(
        'role', g.rolname,
        'table', concat(
          CASE WHEN pg_catalog.has_table_privilege(g.oid, r.oid, 'SELECT') THEN 'r' END,
          CASE WHEN pg_catalog.has_table_privilege(g.oid, r.oid, 'INSERT') THEN 'a' END,
          CASE WHEN pg_catalog.has_table_privilege(g.oid, r.oid, 'UPDATE') THEN 'w' END,
          CASE WHEN pg_catalog.has_table_privilege(g.oid, r.oid, 'DELETE') THEN 'd' END),
        'columns', (SELECT json_object_agg(a.attname, concat(
            CASE WHEN pg_catalog.has_column_privilege(g.oid, r.oid, a.attnum, 'SELECT') THEN 'r' END,
            CASE WHEN pg_catalog.has_column_privilege(g.oid, r.oid, a.attnum, 'INSERT') THEN 'a' END,
            CASE WHEN pg_catalog.has_column_privilege(g.oid, r.oid, a.attnum, 'UPDATE') THEN 'w' END) ORDER BY a.attnum)
          FROM pg_catalog.pg_attribute a
          WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attacl IS NOT NULL)
      ) ORDER BY g.rolname)
      FROM caller g WHERE pg_catalog.has_schema_privilege(g.oid, r.namespace, 'USAGE')), '[]'),
    'primary_key', (SELECT k.columns FROM keys k WHERE k.indrelid = r.oid AND k.indisprimary),
    'unique', (SELECT json_agg(json_build_object('name', k.name, 'columns', k.columns) ORDER BY k.name)
      FROM keys k WHERE k.indrelid = r.oid AND NOT k.indisprimary),
    'foreign_keys', (SELECT json_agg(json_build_object(
        'name', f.conname,
        'columns', (SELECT json_agg(a.attname ORDER BY k.ord)
          FROM unnest(f.conkey) WITH ORDINALITY k (attnum, ord)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
        'schema', tn.nspname,
        'table', t.relname,
        'referenced', (SELECT json_agg(a.attname ORDER BY k.ord)
          FROM unnest(f.confkey) WITH ORDINALITY k (attnum, ord)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)
      ) ORDER BY f.conname)
      FROM pg_catalog.pg_constraint f
      JOIN pg_catalog.pg_class t ON t.oid = f.confrelid
      JOIN pg_catalog.pg_namespace tn ON tn.oid = t.relnamespace
      -- A partitioned target makes one constraint per partition; one is enough.
      WHERE f.conrelid = r.oid AND f.contype = 'f'
        AND (f.conparentid = 0 OR NOT EXISTS (
          SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = f.conparentid AND p.conrelid = f.conrelid)))
  ) ORDER BY r.nspname, r.relname) FROM relation r), '[]'),
  'links', coalesce((SELECT json_agg(json_build_object(
      'name', f.conname,
      'table', f.conrelid::pg_catalog.int8,
      'columns', f.conkey,
      'target', f.confrelid::pg_catalog.int8,
      'referenced', f.confkey,
      'unique', EXISTS (SELECT FROM keys k WHERE k.indrelid = f.conrelid AND k.numbers @> f.conkey AND k.numbers <@ f.conkey),
      'in_key', EXISTS (SELECT FROM keys k WHERE k.indrelid = f.conrelid AND k.indisprimary AND k.numbers @> f.conkey),
      'partition', t.relispartition
    ) ORDER BY f.conrelid, f.conname)
    FROM pg_catalog.pg_constraint f
    JOIN pg_catalog.pg_class t ON t.oid = f.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
    WHERE f.contype = 'f' AND n.nspname NOT IN ('pg_catalog', 'information_schema')
      AND (f.conparentid = 0 OR NOT EXISTS (
        SELECT FROM pg_catalog.pg_constraint p WHERE p.oid = f.conparentid AND p.conrelid = f.conrelid))), '[]'),
  'views', coalesce((SELECT json_agg(json_build_object('oid', w.ev_class::pg_catalog.int8, 'tree', w.ev_action) ORDER BY w.ev_class)
    FROM pg_catalog.pg_rewrite w JOIN view v ON v.oid = w.ev_class WHERE w.rulename = '_RETURN'), '[]'),
  'bases', coalesce((SELECT json_agg(json_build_object(
      'oid', b.oid::pg_catalog.int8,
      'key', (SELECT k.numbers FROM keys k WHERE k.indrelid = b.oid AND k.indisprimary),
      'columns', coalesce((SELECT json_agg(json_build_object(
          'position', a.attnum,
          'default', CASE WHEN a.attgenerated = '' THEN coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
          'generated', a.attgenerated <> '',
          'identity', a.attidentity,
          'sequence', coalesce((SELECT pg_catalog.format('%I.%I', sn.nspname, s.relname)
          FROM pg_catalog.pg_depend p
          JOIN pg_catalog.pg_class s ON s.oid = p.objid AND s.relkind = 'S'
          JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
          WHERE p.classid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND p.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
            AND p.refobjid = a.attrelid AND p.refobjsubid = a.attnum AND p.deptype IN ('a', 'i')
          ORDER BY s.oid LIMIT 1), '')
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = b.oid AND a.attnum > 0 AND NOT a.attisdropped AND (a.atthasdef OR a.attidentity <> '')), '[]')
    ) ORDER BY b.oid) FROM base b), '[]'),
  'computed', coalesce((SELECT json_agg(json_build_object(
      'schema', c.nspname, 'name', c.proname, 'relation', c.relation::pg_catalog.int8, 'type', c.prorettype::pg_catalog.int8,
      'target', coalesce(c.target, 0)::pg_catalog.int8, 'set', c.proretset, 'rows', c.prorows,
      'executors', (SELECT json_agg(g.rolname ORDER BY g.rolname) FROM caller g
        WHERE pg_catalog.has_function_privilege(g.oid, c.oid, 'EXECUTE') AND pg_catalog.has_schema_privilege(g.oid, c.namespace, 'USAGE'))
    ) ORDER BY c.proname, c.nspname, c.oid) FROM computed c), '[]'),
  'routines', coalesce((SELECT json_agg(json_build_object(
      'schema', r.nspname, 'name', r.proname, 'type', r.prorettype::pg_catalog.int8, 'target', coalesce(r.target, 0)::pg_catalog.int8,
      'set', r.proretset, 'defaults', r.pronargdefaults, 'variadic', r.provariadic <> 0,
      'volatility', r.provolatile, 'comment', coalesce(pg_catalog.obj_description(r.oid, 'pg_proc'), ''),
      'executors', (SELECT json_agg(g.rolname ORDER BY g.rolname) FROM caller g
        WHERE pg_catalog.has_function_privilege(g.oid, r.oid, 'EXECUTE') AND pg_catalog.has_schema_privilege(g.oid, r.namespace, 'USAGE')),
      'parameters', coalesce((SELECT json_agg(json_build_object('name', a.name, 'type', a.type::pg_catalog.int8,
          'type_name', pg_catalog.format_type(a.type, NULL)) ORDER BY a.ord)
        FROM argument a WHERE a.oid = r.oid AND a.mode IN ('i', 'b', 'v')), '[]'),
      'columns', coalesce((SELECT json_agg(json_build_object('name', o.name, 'type', o.type::pg_catalog.int8) ORDER BY o.ord)
        FROM outcome o WHERE o.oid = r.oid), '[]')
    ) ORDER BY r.nspname, r.proname, r.oid) FROM routine r), '[]'),
  'extensions', (SELECT coalesce(json_object_agg(x.extname, x.extversion ORDER BY x.extname), '{}') FROM pg_catalog.pg_extension x),
  'types', coalesce((SELECT json_agg(json_build_object(
    'oid', t.oid::pg_catalog.int8,
    'schema', n.nspname,
    'name', t.typname,
    'kind', CASE WHEN t.typcategory = 'A' AND t.typtype = 'b' THEN 'a' ELSE t.typtype::text END,
    'category', t.typcategory,
    'element', coalesce((SELECT g.rngsubtype::pg_catalog.int8 FROM pg_catalog.pg_range g WHERE t.oid IN (g.rngtypid, g.rngmultitypid)),
      CASE WHEN t.typcategory = 'A' THEN t.typelem::pg_catalog.int8 ELSE 0 END),
    'base', t.typbasetype::pg_catalog.int8,
    'labels', (SELECT json_agg(e.enumlabel ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid)
  ) ORDER BY t.oid) FROM type t JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace), '[]')
)::text
