-- +goose Up

-- Distances between vectors that are kept in arrays, texts or JSON, as pgvector
-- measures them between its own types, but with eight bytes a number. What is no
-- vector (several dimensions, an element that is NULL, another text) has no
-- distance: NULL. Bodies in the standard's form are parsed once, here, and depend
-- on no search_path.

-- Says what pgvector says of vectors that cannot be compared.
-- +goose StatementBegin
CREATE FUNCTION app.refuse_dimensions(a integer, b integer) RETURNS double precision
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = '' AS $$
BEGIN
  RAISE SQLSTATE '22000' USING MESSAGE = pg_catalog.format('different vector dimensions %s and %s', a, b);
END $$;
-- +goose StatementEnd

-- Reads '[1, 2.5, -3e-2]', as pgvector, JSON and people write a vector. Numbers so long
-- or so large that their squares might leave double precision make it another text, so
-- that no text is an error.
CREATE FUNCTION app.read_vector(v text) RETURNS double precision[]
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 1000
RETURN CASE WHEN v ~ '^[ \t\n\r]*\[[ \t\n\r]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?([ \t\n\r]*,[ \t\n\r]*[-+]?([0-9]+[.]?[0-9]*|[.][0-9]+)([eE][-+]?[0-9]{1,2})?)*[ \t\n\r]*\][ \t\n\r]*$'
    AND v !~ '[0-9]{50}'
  THEN pg_catalog.translate(v, '[]', '{}')::double precision[] END;

-- The numbers are unnested side by side in the select list: PostgreSQL makes no
-- table of them then, which takes a third of the time.
CREATE FUNCTION app.l2_distance(a double precision[], b double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 1000
RETURN CASE
  WHEN pg_catalog.array_ndims(a) IS DISTINCT FROM 1 OR pg_catalog.array_position(a, NULL) IS NOT NULL THEN NULL
  WHEN pg_catalog.cardinality(a) <> pg_catalog.cardinality(b) THEN app.refuse_dimensions(pg_catalog.cardinality(a), pg_catalog.cardinality(b))
  ELSE (SELECT pg_catalog.sqrt(pg_catalog.sum((p.x - p.y) * (p.x - p.y)))
        FROM (SELECT pg_catalog.unnest(a) AS x, pg_catalog.unnest(b) AS y OFFSET 0) AS p)
END;

CREATE FUNCTION app.negative_inner_product(a double precision[], b double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 1000
RETURN CASE
  WHEN pg_catalog.array_ndims(a) IS DISTINCT FROM 1 OR pg_catalog.array_position(a, NULL) IS NOT NULL THEN NULL
  WHEN pg_catalog.cardinality(a) <> pg_catalog.cardinality(b) THEN app.refuse_dimensions(pg_catalog.cardinality(a), pg_catalog.cardinality(b))
  ELSE (SELECT - pg_catalog.sum(p.x * p.y)
        FROM (SELECT pg_catalog.unnest(a) AS x, pg_catalog.unnest(b) AS y OFFSET 0) AS p)
END;

-- A vector of zeros has no direction: NaN, which sorts behind every number. Rounding
-- must not lead out of 0 to 2.
CREATE FUNCTION app.cosine_distance(a double precision[], b double precision[]) RETURNS double precision
LANGUAGE sql IMMUTABLE PARALLEL SAFE STRICT COST 1000
RETURN CASE
  WHEN pg_catalog.array_ndims(a) IS DISTINCT FROM 1 OR pg_catalog.array_position(a, NULL) IS NOT NULL THEN NULL
  WHEN pg_catalog.cardinality(a) <> pg_catalog.cardinality(b) THEN app.refuse_dimensions(pg_catalog.cardinality(a), pg_catalog.cardinality(b))
  ELSE (SELECT CASE WHEN c.similarity <> 'NaN' THEN 1 - GREATEST(-1, LEAST(1, c.similarity)) ELSE 'NaN' END
        FROM (SELECT s.xy / NULLIF(CASE WHEN s.xx BETWEEN 1e-150 AND 1e150 AND s.yy BETWEEN 1e-150 AND 1e150
                                        THEN pg_catalog.sqrt(s.xx * s.yy) -- exactly s.xy where both are the same
                                        ELSE pg_catalog.sqrt(s.xx) * pg_catalog.sqrt(s.yy) END, 0) AS similarity
              FROM (SELECT pg_catalog.sum(p.x * p.y) AS xy, pg_catalog.sum(p.x * p.x) AS xx, pg_catalog.sum(p.y * p.y) AS yy
                    FROM (SELECT pg_catalog.unnest(a) AS x, pg_catalog.unnest(b) AS y OFFSET 0) AS p) AS s) AS c)
END;

REVOKE ALL ON FUNCTION app.refuse_dimensions(integer, integer), app.read_vector(text),
  app.l2_distance(double precision[], double precision[]), app.negative_inner_product(double precision[], double precision[]),
  app.cosine_distance(double precision[], double precision[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION app.refuse_dimensions(integer, integer), app.read_vector(text),
  app.l2_distance(double precision[], double precision[]), app.negative_inner_product(double precision[], double precision[]),
  app.cosine_distance(double precision[], double precision[]) TO anon, authenticated, service_role, tenant_service;

-- +goose Down
DROP FUNCTION app.cosine_distance(double precision[], double precision[]), app.negative_inner_product(double precision[], double precision[]),
  app.l2_distance(double precision[], double precision[]), app.read_vector(text), app.refuse_dimensions(integer, integer);
