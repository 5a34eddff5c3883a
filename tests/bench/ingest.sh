#!/usr/bin/env bash
# Loading, as anybody would: `cat file >> ingest` of TSBS-like rows. Prints figures, judges nothing.
#
#	make bench-ingest               2.6 M rows (100 hosts, every 10 s, 3 days)
#	HOURS=1 tests/bench/ingest.sh   fewer of them
#	KIND=float tests/bench/ingest.sh
#
# Environment: HOSTS STEP HOURS SEED KIND=int|float BENCH_DIR (default build/bench; needs about 1.3 GB)
set -eu
cd "$(dirname "$0")/../.."
name=ingest
. tests/bench/daemon.sh
hosts=${HOSTS:-100} step=${STEP:-10} hours=${HOURS:-72} seed=${SEED:-123} kind=${KIND:-int}

make -s all "$bin/tests/tools/gen_tsbs"
mkdir -p "$dir"

seconds() { printf '%d.%02d' $(($1 / 1000000000)) $(($1 / 10000000 % 100)); }
line() { printf '%-28s %s\n' "$1" "$2"; }

args=(--hosts "$hosts" --step "$step" --hours "$hours" --seed "$seed")
[ "$kind" = float ] && args+=(--float)
"$bin/tests/tools/gen_tsbs" "${args[@]}" >"$dir/rows.lp"
rows=$((hosts * hours * 3600 / step))
bytes=$(stat -c %s "$dir/rows.lp")
cat "$dir/rows.lp" >/dev/null # from the page cache, so that the disk is not what is measured
line "rows" "$rows ($kind, $(per "$bytes" "$rows") bytes of text a row)"

# The log of the first rows, while nothing has left it yet.
sample=$((rows < 100000 ? rows : 100000))
mount_up "$dir/sample"
mkdir "$dir/mnt/d" "$dir/mnt/d/cpu"
echo 36500d >"$dir/mnt/d/cpu/retention/memory"
head -n "$sample" "$dir/rows.lp" >"$dir/mnt/d/cpu/ingest"
wal=$(value "$dir/mnt/d/status" wal_bytes)
mount_down
rm -rf "$dir/sample"

mount_up "$dir/data"
mkdir "$dir/mnt/d" "$dir/mnt/d/cpu"
begin=$(now)
cat "$dir/rows.lp" >>"$dir/mnt/d/cpu/ingest"
loaded=$(now)
line "loaded in" "$(seconds $((loaded - begin))) s"
line "rows/s" "$(per "$rows" $(((loaded - begin) / 1000000)) | awk '{ printf "%d", $1 * 1000 }')"
line "values/s" "$(per $((rows * 10)) $(((loaded - begin) / 1000000)) | awk '{ printf "%d", $1 * 1000 }')"
until [ "$(value "$dir/mnt/d/cpu/stats" pending_rows)" = 0 ]; do
	[ $(($(now) - loaded)) -lt 300000000000 ] || { echo "tiles are not finished after 300 s" >&2; exit 1; }
	sleep 0.1
done
line "all in tiles after" "$(seconds $(($(now) - loaded))) s more"
line "peak memory of the daemon" "$(($(peak) / 1024)) MiB"
line "log, bytes a row" "$(per "$wal" "$sample")"

size=0 files=0
while read -r s; do
	size=$((size + s))
	files=$((files + 1))
done < <(find "$dir/mnt/d/cpu/magnetic" -name '*.parquet' -printf '%s\n')
line "tiles" "$files files, $size bytes"
line "tile bytes a value" "$(per "$size" $((rows * 10)))"
line "text : tiles" "$(per "$bytes" "$size") : 1"
got=$(tail -n 1 "$dir/mnt/q/SELECT count(*) FROM d.cpu")
line "rows by SQL" "$got"
[ "$got" = "$rows" ] || { echo "expected $rows rows" >&2; exit 1; }
mount_down
