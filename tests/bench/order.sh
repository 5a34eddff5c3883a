#!/usr/bin/env bash
# SELECT * ... ORDER BY time over more than memory holds, as a stream: how soon the first row is there, how long all
# of it takes, and the most memory that the daemon had. Small budgets on purpose.
#
#	HOSTS=400 HOURS=540 tests/bench/order.sh       77.8 M rows, 10 GB of CSV (long)
#	HOURS=24 tests/bench/order.sh                  a quick look
set -eu
cd "$(dirname "$0")/../.."
dir=$(mktemp -d "${BENCH_DIR:-${TMPDIR:-/tmp}}/tidefs-order.XXXXXX")
mnt=$dir/mnt
end() {
	fusermount3 -u "$mnt" 2>/dev/null || true
	rm -rf "$dir"
}
trap end EXIT
mkdir "$mnt"
mount() {
	build/tidefs "$dir/data" "$mnt" -o memory=96M,query_memory=128M
}

mount
mkdir "$mnt/tsbs"
build/release/tests/tools/gen_tsbs --hosts "${HOSTS:-400}" --hours "${HOURS:-540}" >"$mnt/tsbs/ingest"
for _ in $(seq 600); do # until all of it lies in tiles
	grep -q '^pending_rows: 0' "$mnt/tsbs/cpu/stats" && grep -q '^memory_rows: 0' "$mnt/tsbs/cpu/stats" && break
	sleep 1
done
grep -E '^(rows|tile_bytes|tile_files):' "$mnt/tsbs/cpu/stats"
fusermount3 -u "$mnt"
for _ in $(seq 100); do # the daemon lets go of the directory
	mount 2>/dev/null && break
	sleep 0.1
done
pid=$(pgrep -f "tidefs $dir/data" | head -n 1)
python3 - "$mnt/query" <<'PY'
import sys, time
path, rows, size = sys.argv[1], 0, 0
begin = time.monotonic()
with open(path, "r+b", buffering=0) as f:
    f.write(b"SELECT * FROM tsbs.cpu ORDER BY time;")
    first = None
    while piece := f.read(1 << 20):
        first = first or time.monotonic() - begin
        rows += piece.count(b"\n")
        size += len(piece)
took = time.monotonic() - begin
print(f"rows {rows - 1}, bytes {size}, first row after {first:.3f} s, all after {took:.1f} s")
PY
grep VmHWM "/proc/$pid/status"
