#!/usr/bin/env bats
# Recordings as they come: gaps, duplicate timestamps, long float tails, large integers. The files are
# made here (seeded), converted by the script that docs/real-data.md prints, and the answers compared
# with an independent calculation, before and after everything has moved to tiles.

setup() {
	load helper
	need python3
	tide_setup
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t" "$DIR/csv"
	python3 - "$ROOT/docs/real-data.md" "$DIR/csv2lp.py" <<'PY'
import re, sys
blocks = re.findall(r"```python\n(.*?)```", open(sys.argv[1], encoding="utf-8").read(), re.S)
open(sys.argv[2], "w").write(blocks[0])
PY
}

teardown() {
	tide_teardown
}

make_csv() {
	python3 - "$DIR/csv" <<'PY'
import random, sys, time
def save(name, rows):
    with open(f"{sys.argv[1]}/{name}.csv", "w") as f:
        f.write("timestamp,value\n")
        for t, v in rows:
            f.write(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(t)) + f",{v}\n")
r = random.Random(20140214)
t0 = 1392388200
# every 5 minutes, one decimal to full precision
save("cpu_a", [(t0 + i * 300, f"{r.uniform(0, 100):.3f}") for i in range(4032)])
save("cpu_b", [(t0 + i * 300, repr(r.uniform(0, 1))) for i in range(4032)])
# gaps of hours to weeks
t, rows = t0, []
for i in range(3000):
    t += 300 if r.random() < 0.98 else r.randrange(3600, 14 * 86400)
    rows.append((t, repr(r.gauss(70, 15))))
save("temperature with, odd=name", rows)
# duplicate timestamps: the later line wins
rows = [(t0 + i * 1800, str(r.randrange(0, 40000))) for i in range(5000)]
for i in (17, 18, 400, 401, 402, 2500, 4000, 4001, 4002, 4003, 4999):
    rows.insert(i, (rows[i][0], str(r.randrange(0, 40000))))
save("taxi", rows)
# large integers as doubles, from 0 to far past 2**53, and tiny and negative numbers
save("bytes", [(t0 + i * 300, f"{r.randrange(0, 10**r.randrange(1, 18))}.0") for i in range(4730)])
save("mixed", [(t0 + i * 60, repr(r.uniform(-1, 1) * 10.0 ** r.randrange(-300, 15))) for i in range(2000)])
# written newest first
save("backwards", [(t0 + i * 300, f"{r.uniform(0, 10):.2f}") for i in range(2500)][::-1])
PY
}

# expected FILE: series,count,sum,min,max by Python's exact summation; the last of a time counts.
expected() {
	python3 - "$DIR"/csv/*.csv <<'PY'
import csv, math, pathlib, sys
for p in map(pathlib.Path, sys.argv[1:]):
    rows = {r["timestamp"]: float(r["value"]) for r in csv.DictReader(p.open(newline=""))}
    v = list(rows.values())
    print(p.stem, len(v), repr(math.fsum(v)), repr(min(v)), repr(max(v)), sep="\t")
PY
}

# compare GOT: the tab-separated answer against expected(). Sums may differ in the last place.
compare() {
	expected >"$DIR/expected"
	python3 - "$DIR/expected" "$1" <<'PY'
import math, sys
def load(path, skip):
    return {l.split("\t")[0]: l.rstrip("\n").split("\t")[1:] for l in open(path).readlines()[skip:]}
want, got = load(sys.argv[1], 0), load(sys.argv[2], 1)
assert want.keys() == got.keys(), (want.keys(), got.keys())
exact = 0
for k, (n, total, low, high) in want.items():
    g = got[k]
    assert int(g[0]) == int(n), (k, n, g)
    assert float(g[2]) == float(low) and float(g[3]) == float(high), (k, low, high, g)
    a, b = float(total), float(g[1])
    assert abs(a - b) <= math.ulp(a), (k, total, g)
    exact += a == b
print(f"{len(want)} series agree, {exact} sums to the last bit")
PY
}

QUERY='SELECT series, count(*) AS n, sum(value) AS total, min(value) AS low, max(value) AS high
FROM d.t GROUP BY series ORDER BY series'

@test "a folder of CSV files: the same answers as exact arithmetic, in memory and in tiles" {
	make_csv
	echo 36500d >"$MNT/d/t/retention/memory"
	python3 "$DIR/csv2lp.py" "$DIR"/csv/*.csv >"$DIR/lp"
	cp "$DIR/lp" "$MNT/d/t/ingest"
	expect 0 "$(wc -c <"$MNT/d/t/rejected")"
	cat "$MNT/q/$QUERY.tsv" >"$DIR/memory.tsv"
	compare "$DIR/memory.tsv"
	expect 0 "$(stat_of "$MNT/d/t/stats" tile_rows)"

	tide_kill9
	tide_mount
	cat "$MNT/q/$QUERY.tsv" | diff "$DIR/memory.tsv" -

	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 60 eval "[ \"\$(stat_of '$MNT/d/t/stats' pending_rows)\" = 0 ]"
	expect 0 "$(stat_of "$MNT/d/t/stats" memtable_rows)"
	expect 0 "$(stat_of "$MNT/d/t/stats" run_rows)"
	[ "$(stat_of "$MNT/d/t/stats" tile_files)" -gt 10 ]
	cat "$MNT/q/$QUERY.tsv" >"$DIR/tiles.tsv"
	diff "$DIR/memory.tsv" "$DIR/tiles.tsv"

	tide_remount
	cat "$MNT/q/$QUERY.tsv" | diff "$DIR/memory.tsv" -
}

@test "loaded with the usual retention, and loaded twice" {
	make_csv
	python3 "$DIR/csv2lp.py" "$DIR"/csv/*.csv >"$DIR/lp"
	cat "$DIR/lp" >>"$MNT/d/t/ingest"
	cat "$MNT/q/$QUERY.tsv" >"$DIR/first.tsv"
	compare "$DIR/first.tsv"
	cat "$DIR/lp" >>"$MNT/d/t/ingest"
	cat "$MNT/q/$QUERY.tsv" | diff "$DIR/first.tsv" -
	wait_for 60 eval "[ \"\$(stat_of '$MNT/d/t/stats' pending_rows)\" = 0 ]"
	cat "$MNT/q/$QUERY.tsv" | diff "$DIR/first.tsv" -
	[ "$(stat_of "$MNT/d/t/stats" tile_files)" -gt 10 ]
}

@test "integers stay exact past 2^53" {
	local t=1700000000
	printf 'm,s=a n=9007199254740993i %d000000000\nm,s=a n=9223372036854775807i %d000000000\nm,s=a n=-9223372036854775808i %d000000000\n' \
		$t $((t + 1)) $((t + 2)) >>"$MNT/d/t/ingest"
	expect '-9223372036854775808 9007199254740993 9223372036854775807' "$(sql 'SELECT n FROM d.t ORDER BY n' | paste -sd' ')"
	expect 9007199254740992 "$(sql 'SELECT sum(n) FROM d.t')"
	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 20 eval "[ \"\$(stat_of '$MNT/d/t/stats' tile_rows)\" = 3 ]"
	expect '-9223372036854775808 9007199254740993 9223372036854775807' "$(sql 'SELECT n FROM d.t ORDER BY n' | paste -sd' ')"
}

@test "docs/real-data.md: its commands run as printed" {
	make_csv
	cd "$DIR"
	mkdir mnt/cloud mnt/cloud/recordings
	python3 csv2lp.py csv/*.csv >mnt/cloud/recordings/ingest
	cat mnt/cloud/recordings/stats >/dev/null
	expect 0 "$(wc -c <mnt/cloud/recordings/rejected)"
	cat 'mnt/q/SELECT series, count(*) AS n, sum(value) AS total, min(value) AS low, max(value) AS high
    FROM cloud.recordings GROUP BY series ORDER BY series.txt' | grep -q cpu_a
	expect 5000 "$(sql "SELECT count(*) FROM cloud.recordings WHERE series = 'taxi'")"
	cd /
}
