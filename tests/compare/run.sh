#!/usr/bin/env bash
# Random statements, asked of tidefs and of DuckDB (installed by npm for tests/readers): do the results agree?
#
#	tests/compare/run.sh                          600 statements, a new seed
#	SEED=7 COUNT=5000 tests/compare/run.sh        others
#	SEED=7 ONLY=123 tests/compare/run.sh          one of them again, shown
#	VARIANT=asan tests/compare/run.sh             of another build
set -eu
cd "$(dirname "$0")"
ask=build/${VARIANT:-release}/tests/tools/ask
make -s -C ../.. "$ask"
[ -d ../readers/node_modules/@duckdb/node-api ] || (cd ../readers && npm ci --no-audit --no-fund --loglevel=error)
exec node compare.mjs "../../$ask"
