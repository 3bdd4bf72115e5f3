#!/bin/sh
# Installs the engines that this machine lacks into .engines/, from npm, as the
# lock files beside this script fix them. Does nothing when all are there.
#
# What only some tests need is installed when it is named: install.sh realtime-js.
#
# FLUXBASE_POSTGRES_ENGINE=npm asks for the npm PostgreSQL even if the machine
# has one; "system" never installs it.
set -eu
cd "$(dirname "$0")/.."
root=$PWD

# install NAME: npm writes into a fresh folder, so an interrupted run leaves
# nothing that looks finished. The stamp is the lock that was installed.
install() {
	name=$1
	dir=.engines/$name
	if cmp -s ".engines-lock/$name/package-lock.json" "$dir/installed.json"; then
		return
	fi
	command -v npm >/dev/null || {
		echo "engines: npm is needed to install $name" >&2
		exit 1
	}
	echo "installing $name from npm ..." >&2
	rm -rf "$dir"
	mkdir -p "$dir"
	cp "$root/.npmrc" ".engines-lock/$name/package.json" ".engines-lock/$name/package-lock.json" "$dir/"
	(cd "$dir" && npm ci --loglevel=error >&2)
	cp "$dir/package-lock.json" "$dir/installed.json"
}

# A PostgreSQL of the machine will do when it is 15 or newer.
system_postgres() {
	for program in "$(command -v postgres || true)" /usr/lib/postgresql/*/bin/postgres /usr/pgsql-*/bin/postgres \
		/opt/homebrew/opt/postgresql@*/bin/postgres /usr/local/opt/postgresql@*/bin/postgres; do
		[ -x "$program" ] || continue
		major=$("$program" --version 2>/dev/null | sed -n 's/.*(PostgreSQL) \([0-9]*\).*/\1/p')
		[ "${major:-0}" -ge 15 ] && return 0
	done
	return 1
}

case ${FLUXBASE_POSTGRES_ENGINE:-auto} in
npm) install postgres ;;
system) ;;
*) system_postgres || install postgres ;;
esac

# The lock holds Deno for the platform whose checksum could be verified. On any
# other one Deno is taken from PATH; only functions and jobs need it.
if ! command -v deno >/dev/null; then
	case $(uname -sm) in
	"Linux x86_64") install deno ;;
	*) echo "engines: install Deno 2.9 or newer to run functions and jobs" >&2 ;;
	esac
fi

for name in "$@"; do
	install "$name"
done
