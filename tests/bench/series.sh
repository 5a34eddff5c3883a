#!/usr/bin/env bash
# Many series: the first write of each, the next one, opening, and the first statements afterwards.
# Prints figures, judges nothing.
#
#	make bench-series                       1 M series of ten dimensions, with ten fields each
#	SERIES=100000 tests/bench/series.sh     fewer of them
#
# CPU seconds are those of the daemon: on a busy machine they say more than the time that passed.
#
# Environment: SERIES SEED BENCH_DIR (default build/bench; needs about 900 B a series)
set -eu
cd "$(dirname "$0")/../.."
name=series
. tests/bench/daemon.sh
series=${SERIES:-1000000} seed=${SEED:-123}

make -s all "$bin/tests/tools/gen_tsbs" "$bin/tests/tools/bench_series"
mkdir -p "$dir"

line() { printf '%-34s %s\n' "$1" "$2"; }
cpu() { awk -v hz="$(getconf CLK_TCK)" '{ print ($14 + $15) / hz }' "/proc/$daemon/stat"; }

wall0= cpu0=
begin() { wall0=$(now) cpu0=$(cpu); }
# took WHAT [ROWS]
took() {
	line "$1" "$(awk -v w=$(($(now) - wall0)) -v c0="$cpu0" -v c="$(cpu)" -v n="${2:-0}" 'BEGIN {
		printf "%.2f s, %.2f s of CPU", w / 1e9, c - c0
		if (n) printf "; %d rows/s", n / (w / 1e9)
		if (n && c > c0) printf ", %d by CPU", n / (c - c0)
	}')"
}

# mounted WHAT: until all databases are open.
mounted() {
	local t0
	t0=$(now)
	mount_up "$dir/data"
	# The root's status says so.
	cat "$dir/mnt/status" >/dev/null
	line "$1" "$(awk -v w=$(($(now) - t0)) -v c="$(cpu)" 'BEGIN { printf "%.2f s, %.2f s of CPU", w / 1e9, c }')"
}
ask() {
	begin
	tail -n 1 "$dir/mnt/q/$2" >"$dir/answer"
	took "$1"
}

"$bin/tests/tools/bench_series" "$series" "$dir"
echo
"$bin/tests/tools/gen_tsbs" --hosts "$series" --step 3600 --hours 2 --seed "$seed" >"$dir/rows.lp"
head -n "$series" "$dir/rows.lp" >"$dir/first.lp"
tail -n "+$((series + 1))" "$dir/rows.lp" >"$dir/second.lp"
rm "$dir/rows.lp"

mkdir "$dir/data"
mounted "opened, empty"
mkdir "$dir/mnt/d" "$dir/mnt/d/cpu"
echo 36500d >"$dir/mnt/d/cpu/retention/memory"
begin
cat "$dir/first.lp" >>"$dir/mnt/d/cpu/ingest"
took "a row of each, all series new" "$series"
begin
cat "$dir/second.lp" >>"$dir/mnt/d/cpu/ingest"
took "another of each" "$series"
stats=$dir/mnt/d/cpu/stats
[ "$(value "$stats" series)" = "$series" ] || { echo "not $series series" >&2; exit 1; }
line "series, bytes each" "$(($(value "$stats" series_bytes) / series))"
line "memory of the daemon" "$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$daemon/status") / 1024)) MiB"
mount_down
file=$dir/data/db/d/tables/1/series # of few series there is none yet: they are in the log
[ ! -e "$file" ] || line "series file, bytes each" "$(($(stat -c %s "$dir"/data/db/d/tables/1/series) / series))"
mounted "opened again"
ask "count(*), the first statement" "SELECT count(*) FROM d.cpu"
[ "$(cat "$dir/answer")" = $((2 * series)) ] || { echo "not $((2 * series)) rows" >&2; exit 1; }
ask "count(*)" "SELECT count(*) FROM d.cpu"
ask "one host" "SELECT max(usage_user) FROM d.cpu WHERE hostname = 'host_$((series / 2))'"
ask "hosts by LIKE" "SELECT count(*) FROM d.cpu WHERE datacenter LIKE '%1c'"
mount_down
