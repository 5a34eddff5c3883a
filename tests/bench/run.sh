#!/usr/bin/env bash
# tidefs beside other databases: builds, installs the peers that npm has (into peers/node_modules) and runs peers/bench.mjs,
# whose head says which environment it takes. What is not there is named as absent. peers/package-lock.json names chDB's
# library for x64 alone: it is edited by hand, as npm wants all platforms there or none.
set -eu
cd "$(dirname "$0")/peers"
bin=build/${VARIANT:-release}
command -v node >/dev/null || { echo "bench: needs Node.js 20 or later (node)" >&2; exit 1; }
make -s -C ../../.. "$bin/tidefs" "$bin/tests/tools/gen_tsbs" "$bin/tests/tools/null_file" "$bin/tests/tools/clients"
[ -d node_modules/@duckdb/node-api ] || npm ci --no-audit --no-fund --loglevel=error ||
	echo "bench: npm could not install the peers; going on without them" >&2
exec node --expose-gc bench.mjs
