package scenario

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"fluxbase/cmd/fluxbase/server/servertest"
	"fluxbase/persistence/db/dbtest"
)

// TestExposedSchemas makes a schema while the node runs: its tables are served
// because configuration says so, and those of another one are not.
func TestExposedSchemas(t *testing.T) {
	t.Parallel()
	address := dbtest.Create(t)
	n := servertest.On(t, address, "API_EXPOSED_SCHEMAS=public,shop")
	execAll(t, address, `
		CREATE SCHEMA shop; CREATE TABLE shop.items (id int4 PRIMARY KEY, v text);
		CREATE TABLE public.shop (id int4 PRIMARY KEY, v text); INSERT INTO public.shop VALUES (1, 'a row of public.shop');
		CREATE SCHEMA back; CREATE TABLE back.items (id int4 PRIMARY KEY);
		GRANT USAGE ON SCHEMA shop, back TO service_role; GRANT ALL ON shop.items, back.items TO service_role`)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for n.Do("GET", "/api/v1/tables/shop/items", n.ServiceKey, nil).Status != 200 {
		select {
		case <-ctx.Done():
			t.Fatal("the new schema is not served")
		case <-time.After(20 * time.Millisecond):
		}
	}
	n.Want(201, "POST", "/api/v1/tables/shop/items", n.ServiceKey, `{"id":1,"v":"x"}`)
	n.Want(200, "PATCH", "/api/v1/tables/shop/items/1", n.ServiceKey, `{"v":"y"}`)
	if r := n.Want(200, "GET", "/api/v1/tables/shop/items/1", n.ServiceKey, nil); string(r.Body) != `{"id":1,"v":"y"}` {
		t.Errorf("got %s", r.Body)
	}
	// What is no table of the schema is a row of the table of that name.
	if r := n.Want(200, "GET", "/api/v1/tables/shop/1", n.ServiceKey, nil); string(r.Body) != `{"id":1,"v":"a row of public.shop"}` {
		t.Errorf("got %s", r.Body)
	}
	wantFailure(t, n.Do("GET", "/api/v1/tables/items", n.ServiceKey, nil), 404, "TABLE_NOT_FOUND")
	wantFailure(t, n.Do("GET", "/api/v1/tables/back/items", n.ServiceKey, nil), 404, "TABLE_NOT_FOUND")
	wantFailure(t, n.Do("GET", "/api/v1/tables/shop/items", n.AnonKey, nil), 401, "AUTHENTICATION_REQUIRED")
}

// TestListensWithoutWordOnTLS starts on an address without sslmode, where the
// driver that listens and that of the pools have different ideas of the default.
func TestListensWithoutWordOnTLS(t *testing.T) {
	t.Parallel()
	address := dbtest.Create(t)
	config, err := pgx.ParseConfig(address)
	if err != nil {
		t.Fatal(err)
	}
	if config.TLSConfig != nil {
		t.Skip("the test server speaks TLS")
	}
	n := servertest.On(t, withoutSSLMode(t, address))
	execAll(t, address, `CREATE TABLE late (id int4 PRIMARY KEY)`)
	deadline := time.Now().Add(10 * time.Second)
	for n.Do("GET", "/api/v1/tables/late", n.ServiceKey, nil).Status != 200 {
		if time.Now().After(deadline) {
			t.Fatal("a new table is never heard of")
		}
		time.Sleep(20 * time.Millisecond)
	}
	if n.Logged("a listening connection is down") {
		t.Error("the listener was not let in")
	}
}

func withoutSSLMode(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("sslmode")
	u.RawQuery = q.Encode()
	return u.String()
}
