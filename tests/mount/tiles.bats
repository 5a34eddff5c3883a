#!/usr/bin/env bats
# Rows that age become Parquet files which others can read: same rows, also in copies of the tree.
# The other readers come from npm (tests/readers): hyparquet and DuckDB.

setup() {
	load helper
	tide_setup
	tide_mount
	READERS=$ROOT/tests/readers
}

teardown() {
	tide_teardown
}

tiles_of() {
	find "$1" -name '*.parquet' | sort
}

all_moved() {
	[ "$(stat_of "$1/stats" pending_rows)" = 0 ] && [ "$(stat_of "$1/stats" memtable_rows)" = "${2:-0}" ]
}

# Rows of every type, with gaps, over three days, several series, odd strings and nanoseconds.
make_rows() {
	python3 - <<'PY'
import random
r = random.Random(11)
base = 1700000000 * 10**9
for i in range(6000):
    t = base + i * 43 * 10**9 + (r.randrange(1000) if i % 5 == 0 else 0)
    fields = [f"v={r.uniform(-1e6, 1e6)!r}"]
    if i % 3: fields.append(f"n={r.randrange(-2**62, 2**62)}i")
    if i % 4: fields.append(f"ok={'t' if r.random() < .5 else 'f'}")
    if i % 7 == 0: fields.append('note="%s"' % r.choice(["", "x", "ÄÖ ß", 'say \\"hi\\"', "a,b", "€ 5"]))
    print(f"m{i % 2},host=h{i % 11},{'rack=r' + str(i % 3) + ',' if i % 2 else ''}zone=z {','.join(fields)} {t}")
PY
}

need_readers() {
	need node python3
	[ -d "$READERS/node_modules/hyparquet" ] || skip "tests/readers: hyparquet is not installed (npm ci)"
}

@test "retention/memory 1m moves all but the last minute into tiles" {
	mkdir "$MNT/d" "$MNT/d/t"
	local now i
	now=$(date +%s)
	for ((i = now - 3600; i < now; i++)); do echo "m,s=a v=1 ${i}000000000"; done >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	expect "" "$(tiles_of "$MNT/d/t/magnetic")"
	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 10 eval "[ -n \"\$(find '$MNT/d/t/magnetic' -name '*.parquet')\" ]"
	expect 3600,3600.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	local rows
	rows=$(stat_of "$MNT/d/t/stats" tile_rows)
	echo "rows in tiles: $rows"
	[ "$rows" -ge 3530 ] && [ "$rows" -lt 3600 ]
	(cd "$MNT/d/t/magnetic" && find . -name '*.parquet') | while read -r path; do
		[[ $path =~ ^\./ts_date=[0-9]{4}-[0-9]{2}-[0-9]{2}/ts_part=[0-9]{2}/[0-9]{8}T[0-9]{6}Z_[0-9]{8}T[0-9]{6}Z_[0-9]+\.parquet$ ]]
	done
	expect PAR1 "$(tiles_of "$MNT/d/t/magnetic" | head -n 1 | xargs head -c 4)"
}

@test "tiles are the same files after a remount: inode, size, time, bytes" {
	mkdir "$MNT/d" "$MNT/d/t"
	make_rows >"$DIR/f"
	echo 1m >"$MNT/d/t/retention/memory"
	cp "$DIR/f" "$MNT/d/t/ingest"
	wait_for 20 all_moved "$MNT/d/t"
	(cd "$MNT/d/t/magnetic" && find . -name '*.parquet' -exec stat -c '%n %i %s %Y' {} + | sort) >"$DIR/before"
	(cd "$MNT/d/t/magnetic" && find . -name '*.parquet' -exec md5sum {} + | sort) >"$DIR/sums"
	[ -s "$DIR/before" ]
	tide_remount
	(cd "$MNT/d/t/magnetic" && find . -name '*.parquet' -exec stat -c '%n %i %s %Y' {} + | sort) | diff "$DIR/before" -
	(cd "$MNT/d/t/magnetic" && md5sum --quiet -c "$DIR/sums")
}

@test "hyparquet and DuckDB agree with SQL on every row" {
	need_readers
	mkdir "$MNT/d" "$MNT/d/t"
	make_rows >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 20 all_moved "$MNT/d/t"
	expect 6000 "$(sql 'SELECT count(*) FROM d.t')"
	cat "$MNT/q/SELECT * FROM d.t.jsonl" >"$DIR/sql.jsonl"
	tiles_of "$MNT/d/t/magnetic" >"$DIR/tiles"
	[ "$(wc -l <"$DIR/tiles")" -ge 3 ]
	xargs -d '\n' node "$READERS/dump.mjs" <"$DIR/tiles" >"$DIR/hyparquet.jsonl"
	python3 "$ROOT/tests/mount/same_rows.py" "$DIR/sql.jsonl" "$DIR/hyparquet.jsonl"
	[ -d "$READERS/node_modules/@duckdb/node-api" ] || skip "DuckDB is not installed; hyparquet agreed"
	node "$READERS/duck.mjs" "SELECT * EXCLUDE (ts_date, ts_part) FROM read_parquet('$MNT/d/t/magnetic/*/*/*.parquet', hive_partitioning = true, union_by_name = true)" \
		>"$DIR/duckdb.jsonl"
	python3 "$ROOT/tests/mount/same_rows.py" "$DIR/sql.jsonl" "$DIR/duckdb.jsonl"
}

@test "settings/encoding compact: decimals take less, are the same, and what was written before stays" {
	local t size
	mkdir "$MNT/d"
	python3 - >"$DIR/f" <<'PY'
import random
r = random.Random(5)
x = [5000, 700000]
for i in range(9000):
    x = [v + r.randrange(-100, 101) for v in x]
    none = ',b=0' if i % 97 == 0 else f',b={x[1] / 1000}' if i % 5 else ''
    print(f"m,s=a a={x[0] / 100}{none} {1700000000 + i}000000000")
PY
	for t in open compact; do
		mkdir "$MNT/d/$t"
		echo "$t" >"$MNT/d/$t/settings/encoding"
		cp "$DIR/f" "$MNT/d/$t/ingest"
		echo 1m >"$MNT/d/$t/retention/memory"
	done
	for t in open compact; do wait_for 20 all_moved "$MNT/d/$t"; done
	expect 0 "$(sql 'SELECT count(*) FROM d.open o FULL JOIN d.compact c ON o.time = c.time WHERE o.a IS DISTINCT FROM c.a OR o.b IS DISTINCT FROM c.b')"
	expect "$(sql 'SELECT sum(a), min(b), max(b), count(b) FROM d.open')" "$(sql 'SELECT sum(a), min(b), max(b), count(b) FROM d.compact')"
	for t in open compact; do size+="$(tiles_of "$MNT/d/$t/magnetic" | xargs -d '\n' cat | wc -c) "; done
	echo "bytes: $size"
	# shellcheck disable=SC2086
	set -- $size
	[ "$2" -lt $(($1 * 9 / 10)) ]
	# Back to open: what is there stays as it is and is read.
	echo open >"$MNT/d/compact/settings/encoding"
	echo 'm,s=a a=1.25 1600000000000000000' >>"$MNT/d/compact/ingest"
	wait_for 20 all_moved "$MNT/d/compact"
	tide_remount
	expect 9001 "$(sql 'SELECT count(a) FROM d.compact')"
	# A copy brings its encoding along.
	mkdir "$MNT/d/third"
	cp -r "$MNT/d/compact/magnetic/." "$MNT/d/third/magnetic/"
	expect "$(sql 'SELECT sum(a), sum(b), count(*) FROM d.compact')" "$(sql 'SELECT sum(a), sum(b), count(*) FROM d.third')"
}

@test "rsync and tar copies of the tree are the same files, and open as well" {
	need_readers
	need rsync
	mkdir "$MNT/d" "$MNT/d/t"
	make_rows >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 20 all_moved "$MNT/d/t"
	rsync -a "$MNT/d/t/magnetic/" "$DIR/rsync/"
	mkdir "$DIR/tar"
	tar -C "$MNT/d/t/magnetic" -cf - . | tar -C "$DIR/tar" -xf -
	diff -r "$MNT/d/t/magnetic" "$DIR/rsync"
	diff -r "$MNT/d/t/magnetic" "$DIR/tar"
	# A second rsync has nothing to do: sizes and times are stable.
	expect "" "$(rsync -ai "$MNT/d/t/magnetic/" "$DIR/rsync/")"
	cat "$MNT/q/SELECT * FROM d.t.jsonl" >"$DIR/sql.jsonl"
	tide_umount
	local copy
	for copy in rsync tar; do
		tiles_of "$DIR/$copy" | xargs -d '\n' node "$READERS/dump.mjs" >"$DIR/rows.jsonl"
		python3 "$ROOT/tests/mount/same_rows.py" "$DIR/sql.jsonl" "$DIR/rows.jsonl"
	done
}

@test "rm of a tile deletes its rows, for good" {
	mkdir "$MNT/d" "$MNT/d/t"
	for day in 1 2 3; do
		for i in $(seq 100); do echo "m,s=a v=$day $((1700000000 + day * 86400 + i))000000000"; done
	done >"$DIR/f"
	echo 1m >"$MNT/d/t/retention/memory"
	cp "$DIR/f" "$MNT/d/t/ingest"
	wait_for 20 all_moved "$MNT/d/t"
	expect 300,600.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	rm "$MNT"/d/t/magnetic/ts_date=2023-11-16/*/*.parquet
	expect 200,400.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	tide_kill9
	tide_mount
	expect 200,400.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	expect 2 "$(tiles_of "$MNT/d/t/magnetic" | wc -l)"
}

@test "retention/magnetic hides old rows at once, and their files go" {
	mkdir "$MNT/d" "$MNT/d/t"
	local now
	now=$(date +%s)
	for day in 1 5 9; do echo "m,s=a v=$day $((now - day * 86400))000000000"; done >"$DIR/f"
	echo 1m >"$MNT/d/t/retention/memory"
	cp "$DIR/f" "$MNT/d/t/ingest"
	wait_for 20 all_moved "$MNT/d/t"
	expect 3 "$(tiles_of "$MNT/d/t/magnetic" | wc -l)"
	echo 7d >"$MNT/d/t/retention/magnetic"
	wait_for 10 eval "[ \"\$(tiles_of '$MNT/d/t/magnetic' | wc -l)\" = 2 ]"
	expect 2,6.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	echo 100d >"$MNT/d/t/retention/magnetic"
	expect 2,6.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
}

@test "a flipped bit in a tile is an error with file and place, not a number" {
	need python3
	mkdir "$MNT/d" "$MNT/d/t"
	make_rows >"$DIR/f"
	echo 1m >"$MNT/d/t/retention/memory"
	cp "$DIR/f" "$MNT/d/t/ingest"
	wait_for 20 all_moved "$MNT/d/t"
	tide_umount
	local tile
	tile=$(find "$DATA" -name '*.parquet' | sort | head -n 1)
	python3 - "$tile" <<'PY'
import sys
b = bytearray(open(sys.argv[1], "rb").read())
b[len(b) // 5] ^= 0x10
open(sys.argv[1], "wb").write(b)
PY
	tide_mount
	run cat "$MNT/q/SELECT count(*), sum(v), sum(n), count(note), count(ok) FROM d.t"
	[ "$status" -ne 0 ]
	[[ $output == *parquet* ]]
	# What does not touch the damage is still answered.
	expect 1 "$(sql 'SELECT 1')"
}

@test "late rows join their date without doubling it" {
	mkdir "$MNT/d" "$MNT/d/t"
	echo 1m >"$MNT/d/t/retention/memory"
	for i in $(seq 1000); do echo "m,s=a v=1 $((1700000000 + i))000000000"; done >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	wait_for 20 all_moved "$MNT/d/t"
	for i in $(seq 500 1500); do echo "m,s=a v=2 $((1700000000 + i))000000000"; done >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	expect 1500,2501.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	wait_for 20 all_moved "$MNT/d/t"
	expect 1500,2501.0 "$(sql 'SELECT count(*), sum(v) FROM d.t')"
	expect 1500 "$(stat_of "$MNT/d/t/stats" tile_rows)"
}
