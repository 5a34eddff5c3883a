#!/usr/bin/env bash
# Do other Parquet readers see in tiles, and in files of UNLOAD, what we see? Makes some of every kind and
# compares them row by row with hyparquet and DuckDB (installed here by npm, versions pinned in package-lock.json).
#
#	tests/readers/run.sh            VARIANT=asan tests/readers/run.sh for another build
set -eu
cd "$(dirname "$0")"
bin=$PWD/../../build/${VARIANT:-release}/tests/tools
make -s -C ../.. "build/${VARIANT:-release}/tests/tools/tile_make" "build/${VARIANT:-release}/tests/tools/tile_dump" \
	"build/${VARIANT:-release}/tests/tools/unload"
[ -d node_modules/hyparquet ] || npm ci --no-audit --no-fund --loglevel=error
dir=$(mktemp -d)
trap 'rm -r "$dir"' EXIT
for codec in zstd none; do
	none=; [ $codec = none ] && none=none
	"$bin/tile_make" mixed "$dir/mixed-$codec.parquet" 60 12000 $none
	"$bin/tile_make" walk "$dir/walk-$codec.parquet" 30 3000 $none
	"$bin/tile_make" money "$dir/money-$codec.parquet" 30 3000 $none
done
node check.mjs "$bin/tile_dump" "$dir"/*.parquet
node unload.mjs "$bin/unload" "$dir/unload"
