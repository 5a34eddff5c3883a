#!/usr/bin/env bash
# Does a question about one series' hour cost more where the table is larger? TSBS's rows go in day by day;
# at each size the same questions. Prints a table, judges nothing.
#
#	make bench-grow                         1,000 hosts, up to 100 M rows (needs 1 GB, two minutes)
#	SIZES="1 10" tests/bench/grow.sh        million rows at which to look
#
# Each question is about another host and another hour, all over the table (single-groupby-1-1-1 by `query`,
# one client). `warm` is asked a second time round, so that its pages are decoded; `first` once after a
# start, the kernel's copies of files dropped where that is permitted, and what it read of files, in bytes.
#
# Environment: HOSTS SIZES SEED QUESTIONS MEMORY BENCH_DIR
set -eu
cd "$(dirname "$0")/../.."
name=grow
. tests/bench/daemon.sh
hosts=${HOSTS:-1000} seed=${SEED:-123} questions=${QUESTIONS:-200} memory=${MEMORY:-512M}
start=1451606400

make -s all "$bin/tests/tools/gen_tsbs" "$bin/tests/tools/clients"
mkdir -p "$dir"


# statements HOURS: one a line, always the same ones for the same number of hours.
statements() {
	awk -v n="$questions" -v hosts="$hosts" -v hours="$1" -v start="$start" 'BEGIN {
		srand(7)
		for (i = 0; i < n; i++) {
			from = start + int(rand() * (hours - 1) * 3600)
			printf "SELECT bin(time, 1m) AS minute, max(usage_user) FROM tsbs.cpu WHERE hostname = '\''host_%d'\'' AND time >= from_unixtime(%d) AND time < from_unixtime(%d) GROUP BY 1 ORDER BY 1\n", int(rand() * hosts), from, from + 3600
		}
	}'
}
median() { sort -n | awk '{ v[NR] = $1 } END { printf "%.0f", v[int((NR + 1) / 2)] }'; }

mount_up "$dir/data" -o memory="$memory"
mkdir "$dir/mnt/tsbs"
t=$dir/mnt/tsbs/cpu
done_hours=0
printf '%12s %10s %10s %10s %12s %14s %10s %10s\n' rows 'bytes' 'warm, us' 'p99, us' 'first, us' 'first reads' 'start, ms' 'peak, MiB'
for size in ${SIZES:-1 10 100}; do
	hours=$(((size * 1000000 + hosts * 360 - 1) / (hosts * 360)))
	[ "$hours" -gt "$done_hours" ] || continue
	"$bin/tests/tools/gen_tsbs" --hosts "$hosts" --hours $((hours - done_hours)) --start $((start + done_hours * 3600)) --seed "$seed" >>"$dir/mnt/tsbs/ingest"
	done_hours=$hours
	# A hundredth may wait for more of its kind.
	until [ "$(value "$t/stats" memory_rows)" -le $((size * 10000)) ]; do sleep 0.2; done
	sleep 2
	rows=$(value "$t/stats" rows) bytes=$(value "$t/stats" tile_bytes) top=$(peak)
	statements "$hours" >"$dir/statements"
	"$bin/tests/tools/clients" ask "$dir/mnt/query" 1 2 <"$dir/statements" >/dev/null
	read -r _ _ p50 p99 _ <<<"$("$bin/tests/tools/clients" ask "$dir/mnt/query" 1 3 <"$dir/statements")"

	mount_down
	sync
	begin=$(now)
	mount_up "$dir/data" -o memory="$memory"
	started=$((($(now) - begin) / 1000000))
	: >"$dir/first"
	: >"$dir/reads"
	# Cold: a start before each, for a page that was read is there the next time.
	while read -r sql; do
		mount_down
		sync
		echo 3 2>/dev/null >/proc/sys/vm/drop_caches || true
		mount_up "$dir/data" -o memory="$memory"
		stat "$dir/mnt/query" >/dev/null
		b=$(read_bytes)
		python3 - "$dir/mnt/query" "$sql" <<'PY' >>"$dir/first"
import os, sys, time
begin = time.perf_counter()
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, sys.argv[2].encode() + b';')
while os.read(fd, 1 << 16):
    pass
os.close(fd)
print(round((time.perf_counter() - begin) * 1e6))
PY
		echo $(($(read_bytes) - b)) >>"$dir/reads"
	done < <(head -n 9 "$dir/statements")
	printf '%12s %10s %10.0f %10.0f %12s %14s %10s %10s\n' "$rows" "$bytes" "$p50" "$p99" "$(median <"$dir/first")" \
		"$(median <"$dir/reads")" "$started" $((top / 1024))
done
mount_down
