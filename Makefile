# make run     a server on its own PostgreSQL          make check   vet, staticcheck, gofmt
# make test    everything the tests need, then all     make bench   load scenarios
# make build   bin/fluxbase                            make cluster three nodes here

.PHONY: run build test race check bench cluster engines clean

# Packages whose tests run a second time under the race detector. The libraries
# beneath the cluster have races of their own, so not everything can.
RACE = ./persistence/... ./listeners/... ./actors/... ./transport/...

run: engines build
	@bin/fluxbase serve

build:
	@mkdir -p bin
	go build -o bin/fluxbase ./cmd/fluxbase

engines:
	@.engines-lock/install.sh

# One throw-away PostgreSQL serves all packages.
test: engines build
	bin/fluxbase testdb go test -p 2 -timeout 15m ./...

race: engines build
	bin/fluxbase testdb go test -race -p 2 -timeout 30m $(RACE)

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
