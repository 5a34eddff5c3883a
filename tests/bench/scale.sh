#!/usr/bin/env bash
# A month of many series through the mount, as a stream and as a backfill. Prints figures, judges nothing.
#
#	make bench-scale                       1,000 series x 1 minute x 30 days = 43.2 M rows, twice
#	HOURS=72 make bench-scale              a tenth of it
#	ORDERS=stream tests/bench/scale.sh     one of the two
#
# stream: all series of a minute, minute by minute. backfill: all of a device's month, then the next
# device's. Both end now and meet retention/memory = 6h, so that all but the last hours are late, and go
# through runs and merges into tiles.
#
# Environment: SERIES STEP HOURS SEED ORDERS MEMORY BENCH_DIR (default build/bench; needs 4 GB)
set -eu
cd "$(dirname "$0")/../.."
name=scale
. tests/bench/daemon.sh
series=${SERIES:-1000} step=${STEP:-60} hours=${HOURS:-720} seed=${SEED:-1} memory=${MEMORY:-512M}

make -s all "$bin/tests/tools/gen_scale"
mkdir -p "$dir"

seconds() { awk -v a="$1" 'BEGIN { printf "%.1f", a / 1e9 }'; }
line() { printf '%-34s %s\n' "$1" "$2"; }

# query NAME SQL: the best of five, and what one of them read.
query() {
	local best=0 t b got i
	for i in 1 2 3 4 5; do
		b=$(read_bytes)
		t=$(now)
		got=$(ask "$2")
		t=$(($(now) - t))
		b=$(($(read_bytes) - b))
		[ "$best" -ne 0 ] && [ "$best" -le "$t" ] || best=$t
	done
	line "$1" "$(awk -v t="$best" 'BEGIN { printf "%.1f", t / 1e6 }') ms, $((b / 1024)) KiB read -> $got"
}
ask() {
	local fd
	exec {fd}<>"$dir/mnt/query"
	printf '%s' "$1" >&"$fd"
	tail -n +2 <&"$fd"
	exec {fd}>&-
}

bench() { # ORDER
	local args=() t=$dir/mnt/d/meter begin loaded done_at end rows last
	[ "$1" = backfill ] && args=(--by-series)
	end=$(($(date +%s) / step * step))
	rows=$((hours * 3600 / step * series))
	printf -- '-- %s\n' "$1"
	mount_up "$dir/$1" -o memory="$memory"
	mkdir "$dir/mnt/d" "$t"
	begin=$(now)
	"$bin/tests/tools/gen_scale" --series "$series" --step "$step" --hours "$hours" --end "$end" --seed "$seed" \
		"${args[@]}" >>"$t/ingest"
	loaded=$(now)
	line "rows" "$rows"
	line "rows/s" "$(awk -v r="$rows" -v t=$((loaded - begin)) 'BEGIN { printf "%d", r / t * 1e9 }')"
	line "loaded in" "$(seconds $((loaded - begin))) s"
	# A hundredth, or what comes of age in half an hour, may wait for more of its kind.
	until [ "$(value "$t/stats" pending_rows)" -le $((rows / 100 > series * 1800 / step ? rows / 100 : series * 1800 / step)) ]; do
		[ $(($(now) - loaded)) -lt 1800000000000 ] || { cat "$t/stats" >&2; exit 1; }
		sleep 0.5
	done
	done_at=$(now)
	line "in tiles after" "$(seconds $((done_at - loaded))) s more"
	cp "$t/stats" "$dir/stats"
	line "peak memory of the daemon" "$(($(peak) / 1024)) MiB"
	for v in tile_files tile_dates tile_rows tile_bytes_per_value tile_compression run_files run_rows \
		write_amplification_rows write_amplification_bytes; do
		line "$v" "$(value "$dir/stats" "$v")"
	done
	line "tile bytes a row" "$(per "$(value "$dir/stats" tile_bytes)" "$(value "$dir/stats" tile_rows)")"
	[ "$(ask 'SELECT count(*) FROM d.meter')" = "$rows" ] || { echo "rows are missing" >&2; exit 1; }
	# A day in the middle, and all of it, of one series; then of all.
	last=$((end - hours * 1800))
	local device
	device=$(printf 'd%04d' $((series / 2)))
	local day="time >= from_unixtime($((last - 43200))) AND time < from_unixtime($((last + 43200)))"
	query "one series, a day" "SELECT count(*), avg(power) FROM d.meter WHERE device = '$device' AND $day"
	query "one series, all days" "SELECT count(*), avg(power) FROM d.meter WHERE device = '$device'"
	query "all series, a day" "SELECT count(*), avg(power) FROM d.meter WHERE $day"
	query "all series, all days" "SELECT count(*), avg(power) FROM d.meter"
	mount_down
	begin=$(now)
	mount_up "$dir/$1" -o memory="$memory"
	line "mounted again in" "$(seconds $(($(now) - begin))) s"
	query "one series, a day, first" "SELECT count(*), avg(power) FROM d.meter WHERE device = '$device' AND $day"
	mount_down
	rm -rf "${dir:?}/$1"
}

for order in ${ORDERS:-stream backfill}; do
	bench "$order"
done
