package scenario

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"fluxbase/persistence/db/dbtest"
)

const spatialDDL = `
CREATE SCHEMA IF NOT EXISTS extensions;
GRANT USAGE ON SCHEMA extensions TO anon, authenticated, service_role, tenant_service;
CREATE EXTENSION postgis SCHEMA extensions;
CREATE TABLE shops (id int4 PRIMARY KEY, address text, place extensions.geometry(Point, 4326));
CREATE TABLE beacons (id int4 PRIMARY KEY, shop int4 REFERENCES shops, reach extensions.geometry, spot extensions.geography(Point, 4326));
CREATE FUNCTION shop(wanted int4) RETURNS SETOF shops LANGUAGE sql STABLE AS 'SELECT * FROM shops WHERE id = wanted';
CREATE FUNCTION first_shop() RETURNS shops LANGUAGE sql STABLE AS 'SELECT * FROM shops ORDER BY id LIMIT 1';
GRANT ALL ON shops, beacons TO anon, authenticated, service_role;
`

const spatialSeed = `
TRUNCATE shops, beacons;
INSERT INTO shops VALUES (1, 'Cambridge St', 'SRID=4326;POINT(-71.10044 42.373695)'), (2, 'Massachusetts Ave', 'SRID=4326;POINT(-71.10543 42.366432)'), (3, 'nowhere', NULL);
INSERT INTO beacons VALUES (1, 1, 'POLYGON((0 0, 2 0, 2 2, 0 2, 0 0))', 'POINT(1 2)'), (2, 1, NULL, NULL);
`

const (
	cambridge     = `{"type":"Point","coordinates":[-71.10044,42.373695]}`
	massachusetts = `{"type":"Point","coordinates":[-71.10543,42.366432]}`
	around        = `{"type":"Polygon","coordinates":[[[-72,42],[-71,42],[-71,43],[-72,43],[-72,42]]]}`
	geoAccept     = "Accept: application/geo+json"
)

// in4326 is a shape with its reference system, as PostGIS makes JSON of a geometry.
func in4326(shape string) string {
	return strings.Replace(shape, `,"coordinates"`, `,"crs":{"type":"name","properties":{"name":"EPSG:4326"}},"coordinates"`, 1)
}

func features(list string) string {
	return `{"type" : "FeatureCollection", "features" : [` + list + `]}`
}

var nativeSpatialCases = []tablesCase{
	{name: "geometry is GeoJSON", path: "/shops?select=id,place&id=eq.1", want: `[{"id":1,"place":` + in4326(cambridge) + `}]`},
	{name: "geometry by id", path: "/shops/1?select=place", want: `{"place":` + in4326(cambridge) + `}`},
	{name: "no geometry", path: "/shops/3", want: `{"id":3,"address":"nowhere","place":null}`},
	{name: "geography is GeoJSON", path: "/beacons/1", want: `{"id":1,"shop":1,"reach":{"type":"Polygon","coordinates":[[[0,0],[2,0],[2,2],[0,2],[0,0]]]},"spot":{"type":"Point","coordinates":[1,2]}}`},
	{name: "geography in an embed", path: "/shops?select=id,beacons(spot)&id=eq.1&beacons.spot=not.is.null", want: `[{"id":1,"beacons":[{"spot":{"type":"Point","coordinates":[1,2]}}]}]`},
	{name: "intersects", path: "/shops?select=id&order=id&place=st_intersects." + around, want: `[{"id":1},{"id":2}]`},
	{name: "within", path: "/shops?select=id&order=id&place.st_within=" + around, want: `[{"id":1},{"id":2}]`},
	{name: "contains", path: `/beacons?select=id&reach=st_contains.{"type":"Point","coordinates":[1,1]}`, status: 400},
	{name: "within a distance", path: "/shops?select=id&place=st_dwithin.0.001," + cambridge, want: `[{"id":1}]`},
	{name: "within a distance on the globe", path: `/beacons?select=id&spot=st_dwithin.10,{"type":"Point","coordinates":[1,2]}`, want: `[{"id":1}]`},
	{name: "not within", path: "/shops?select=id&place=not.st_within." + around, want: `[]`},
	{name: "spatial operator on text", path: "/shops?address=st_within." + around, status: 400, code: "INVALID_QUERY"},
	{name: "a shape that is none", path: `/shops?place=st_within.{"type":"Nothing"}`, status: 400},
	{name: "insert GeoJSON", method: "POST", path: "/shops?select=place", body: `{"id":9,"place":` + massachusetts + `}`, status: 201, want: `{"place":` + in4326(massachusetts) + `}`},
	{name: "insert text", method: "POST", path: "/shops?select=place", body: `{"id":9,"place":"SRID=4326;POINT(1 2)"}`, status: 201, want: `{"place":` + in4326(`{"type":"Point","coordinates":[1,2]}`) + `}`},
	{name: "insert a geography as GeoJSON", method: "POST", path: "/beacons?select=spot", body: `{"id":9,"spot":{"type":"Point","coordinates":[3,4]}}`, status: 201, want: `{"spot":{"type":"Point","coordinates":[3,4]}}`},
	{name: "insert many geographies, some without", method: "POST", path: "/beacons?select=id,spot", body: `[{"id":8},{"id":9,"spot":{"type":"Point","coordinates":[3,4]}}]`, status: 201, want: `[{"id":8,"spot":null},{"id":9,"spot":{"type":"Point","coordinates":[3,4]}}]`},
	{name: "update GeoJSON", method: "PATCH", path: "/shops/3?select=place", body: `{"place":` + cambridge + `}`, want: `{"place":` + in4326(cambridge) + `}`},
	{name: "insert a broken shape", method: "POST", path: "/shops", body: `{"id":9,"place":{"type":"Point"}}`, status: 400},
	{name: "insert another kind of shape", method: "POST", path: "/shops", body: `{"id":9,"place":` + around + `}`, status: 400},
}

var restSpatialCases = []restCase{
	{name: "features", path: "/shops?id=lt.3&order=id", headers: geoAccept, header: "Content-Type: application/geo+json; charset=utf-8 | Content-Range: 0-1/*",
		want: features(`{"type": "Feature", "geometry": ` + cambridge + `, "properties": {"id": 1, "address": "Cambridge St"}},{"type": "Feature", "geometry": ` + massachusetts + `, "properties": {"id": 2, "address": "Massachusetts Ave"}}`)},
	{name: "features of nothing", path: "/shops?id=eq.99", headers: geoAccept, want: features("")},
	{name: "features, selected", path: "/shops?select=id,place&id=eq.1", headers: geoAccept, want: features(`{"type": "Feature", "geometry": ` + cambridge + `, "properties": {"id": 1}}`)},
	{name: "features without their geometry", path: "/shops?select=id", headers: geoAccept, status: 400, error: [4]string{"22023", "geometry column is missing", "-", "-"}},
	{name: "features with embeds", path: "/shops?select=place,beacons(id)&id=eq.1&beacons.order=id", headers: geoAccept, wantPart: `"properties": {"beacons": [{"id":1},`},
	{name: "features, counted", path: "/shops?select=place&order=id&limit=1", headers: geoAccept + " | Prefer: count=exact", status: 206, header: "Content-Range: 0-0/3", wantPart: cambridge},
	{name: "features of a call", path: "/rpc/shop?wanted=1", headers: geoAccept, wantPart: cambridge},
	{name: "features of a row", path: "/rpc/first_shop", headers: geoAccept, wantPart: `"features" : [{"type": "Feature"`},
	{name: "features of an insert", method: "POST", path: "/shops", body: `{"id":9,"place":` + massachusetts + `}`, headers: geoAccept + " | " + represent, status: 201, want: features(`{"type": "Feature", "geometry": ` + massachusetts + `, "properties": {"id": 9, "address": null}}`)},
	{name: "features of an update", method: "PATCH", path: "/shops?id=eq.1&select=place", body: `{"address":"x"}`, headers: geoAccept + " | " + represent, want: features(`{"type": "Feature", "geometry": ` + cambridge + `, "properties": {}}`)},
	{name: "features of a merge", method: "PUT", path: "/shops?id=eq.1", body: `{"id":1,"address":"x","place":` + cambridge + `}`, headers: geoAccept + " | " + represent, wantPart: `"address": "x"`},
	{name: "features of a delete", method: "DELETE", path: "/shops?id=eq.2", headers: geoAccept + " | " + represent, wantPart: massachusetts},
	{name: "JSON as well", path: "/shops?id=eq.1&select=place", want: `[{"place":` + in4326(cambridge) + `}]`},
	{name: "csv has the bytes", path: "/shops?id=eq.1&select=place", headers: "Accept: text/csv", wantPart: "place\n0101000020E6100000"},
}

// TestSpatial runs where PostGIS is installed.
func TestSpatial(t *testing.T) {
	t.Parallel()
	server, err := dbtest.Server()
	if err != nil {
		t.Fatal(err)
	}
	c, err := pgx.Connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close(t.Context())
	var installed bool
	if err := c.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'postgis')`).Scan(&installed); err != nil {
		t.Fatal(err)
	}
	if !installed {
		t.Skip("the extension postgis is not installed")
	}
	n := startTables(t, spatialDDL)
	n.runAll(t, spatialSeed, nativeSpatialCases)
	n.runRests(t, spatialSeed, restSpatialCases)
}
