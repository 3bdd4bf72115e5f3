# make run     a server on its own PostgreSQL          make check   vet, staticcheck, gofmt
# make test    everything the tests need, then all     make bench   load scenarios
# make build   bin/fluxbase                            make cluster three nodes here

.PHONY: run build test suite race check bench cluster engines clean

# Packages whose tests run a second time under the race detector. The cluster is
# not among them: the library beneath it sets a global of its own for each node,
# and the tests run several nodes in one process.
RACE = ./actors/... ./transport/... ./listeners/... ./persistence/... ./cmd/fluxbase/config ./cmd/fluxbase/server

run: engines build
	@bin/fluxbase serve

build:
	@mkdir -p bin
	go build -o bin/fluxbase ./cmd/fluxbase

engines:
	@.engines-lock/install.sh

# One throw-away PostgreSQL serves all packages.
test: engines build
	bin/fluxbase testdb $(MAKE) --no-print-directory suite race

suite:
	go test -p 2 -timeout 15m ./...

# The race detector needs a C compiler; without one the suite alone has to do.
race:
	@if [ "$$(go env CGO_ENABLED)" = 1 ]; then \
		echo go test -race -p 2 -timeout 15m $(RACE); \
		go test -race -p 2 -timeout 15m $(RACE); \
	else echo "no C compiler: skipping the race detector"; fi

check:
	go vet ./...
	go tool staticcheck ./...
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }

bench: engines build
	go run ./bench all

cluster: engines build
	@bin/fluxbase cluster --nodes 3

clean:
	rm -rf bin
