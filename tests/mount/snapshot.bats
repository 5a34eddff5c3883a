#!/usr/bin/env bats
# snapshots/: mkdir copies a database as of one moment, rmdir drops the copy, and a copy of the copy in a new
# database is that database. Rows are compared as sorted CSV.

setup() {
	load helper
	tide_setup
	tide_mount
	READERS=$ROOT/tests/readers
	S=$MNT/iot/snapshots
}

teardown() {
	[ -z "${DIR:-}" ] || tide_teardown
}

as() {
	local uid=$1
	shift
	setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}

# Rows of a database, of all its tables, into a file.
rows_of() {
	local t
	for t in "$MNT/$1"/*/; do
		t=$(basename "$t")
		[ -e "$MNT/$1/$t/schema" ] || continue
		echo "== $t"
		[ -s "$MNT/$1/$t/schema" ] && cat "$MNT/q/SELECT * FROM \"$1\".\"$t\"" | head -n 1
		[ -s "$MNT/$1/$t/schema" ] && cat "$MNT/q/SELECT * FROM \"$1\".\"$t\"" | tail -n +2 | LC_ALL=C sort
	done
	true
}

settings_of() {
	(cd "$MNT/$1" && grep -H . */retention/* */settings/* */schema)
}

# Three tables: old rows in tiles, late ones over them, a deletion that is pending, rows in memory, one table empty.
fill() {
	mkdir "$MNT/iot" "$MNT/iot/empty" "$MNT/iot/weather" "$MNT/iot/power"
	echo 1m >"$MNT/iot/weather/retention/memory"
	echo 10000d >"$MNT/iot/power/retention/memory"
	python3 - >"$DIR/lines" <<'PY'
import random
r = random.Random(7)
for i in range(4000):
    t = (1700000000 + i * 61) * 10**9 + (r.randrange(1000) if i % 9 == 0 else 0)
    print(f"weather,station=s{i % 13},zone=z temp={r.uniform(-20, 40)!r}" + (f",n={i}i" if i % 3 else "") + f" {t}")
for i in range(300):
    print(f"power,meter=m{i % 5} kwh={i / 8},ok={'t' if i % 2 else 'f'},note=\"a \\\"{i % 4}\\\", b\" {1700000000 + i}000000000")
PY
	cp "$DIR/lines" "$MNT/iot/ingest"
	wait_for 20 eval "[ \"\$(stat_of '$MNT/iot/weather/stats' pending_rows)\" = 0 ]"
	head -n 50 "$DIR/lines" | sed 's/temp=[^, ]*/temp=1/' >"$DIR/late"
	cp "$DIR/late" "$MNT/iot/ingest"
	echo "DELETE FROM iot.weather WHERE station = 's3' AND time < timestamp '2023-11-15 00:00:00';" >"$MNT/query"
	echo "weather,station=fresh temp=21" >"$MNT/iot/ingest"
	echo ms >"$MNT/iot/power/settings/precision"
	echo 'meter required' >"$MNT/iot/power/settings/partition_key"
}

@test "mkdir makes a tree of real files that stays what it was" {
	need python3
	fill
	rows_of iot >"$DIR/then"
	mkdir "$S/s1"
	expect "snapshot.json empty power weather" "$(cd "$S/s1" && ls -f | grep -v '^\.' | xargs)"
	# True sizes, stable numbers and times; cat, find and ls see the same.
	(cd "$S" && find . -printf '%p %i %s %T@\n') >"$DIR/before"
	(cd "$S" && find . -type f -exec md5sum {} +) >"$DIR/sums"
	expect "$(stat -c %s "$S/s1/snapshot.json")" "$(cat "$S/s1/snapshot.json" | wc -c)"
	python3 - "$S/s1" "$MNT/iot" <<'PY'
import json, os, sys
d = json.load(open(sys.argv[1] + "/snapshot.json"))
assert d["format"] == "tidefs snapshot" and d["version"] == 1 and d["database"] == "iot", d
for t in d["tables"]:
    tiles = [os.path.relpath(os.path.join(p, f), f"{sys.argv[1]}/{t['name']}/magnetic")
             for p, _, fs in os.walk(f"{sys.argv[1]}/{t['name']}/magnetic") for f in fs]
    assert sorted(tiles) == [x["path"] for x in t["tiles"]], (tiles, t["tiles"])
    assert sum(x["rows"] for x in t["tiles"]) == t["rows"]
    assert all(os.path.getsize(f"{sys.argv[1]}/{t['name']}/magnetic/{x['path']}") == x["bytes"] for x in t["tiles"])
assert [t["name"] for t in d["tables"]] == ["empty", "power", "weather"]
PY
	# The smallest inode number is that of snapshot.json: cp goes by them.
	expect snapshot.json "$(cd "$S/s1" && stat -c '%i %n' ./* | sort -n | head -n 1 | sed 's|.*/||')"
	# Everything that takes rows from the tables takes none from here.
	echo 'DELETE FROM iot.weather;' >"$MNT/query"
	rm "$MNT"/iot/weather/magnetic/*/*/*.parquet 2>/dev/null || true
	echo 'DROP TABLE iot.power;' >"$MNT/query"
	(cd "$S" && md5sum --quiet -c "$DIR/sums")
	tide_remount
	(cd "$S" && find . -printf '%p %i %s %T@\n') | diff "$DIR/before" -
	(cd "$S" && md5sum --quiet -c "$DIR/sums")
	tide_kill9
	tide_mount
	(cd "$S" && md5sum --quiet -c "$DIR/sums")
	rmdir "$S/s1"
	expect "" "$(ls -A "$S")"
	run rmdir "$S/s1"
	[ "$status" -ne 0 ]
	tide_umount
	expect "" "$(ls -A "$DATA/db/iot/snapshots")"
}

@test "other programs read the rows that SQL showed" {
	need node python3
	[ -d "$READERS/node_modules/hyparquet" ] || skip "tests/readers: hyparquet is not installed (npm ci)"
	fill
	cat "$MNT/q/SELECT * FROM iot.weather.jsonl" >"$DIR/sql.jsonl"
	mkdir "$S/s1"
	echo 'DROP TABLE iot.weather;' >"$MNT/query"
	find "$S/s1/weather" -name '*.parquet' | sort >"$DIR/tiles"
	xargs -d '\n' node "$READERS/dump.mjs" <"$DIR/tiles" >"$DIR/hyparquet.jsonl"
	python3 "$ROOT/tests/mount/same_rows.py" "$DIR/sql.jsonl" "$DIR/hyparquet.jsonl"
	[ -d "$READERS/node_modules/@duckdb/node-api" ] || skip "DuckDB is not installed; hyparquet agreed"
	node "$READERS/duck.mjs" "SELECT * EXCLUDE (ts_date, ts_part) FROM read_parquet('$S/s1/weather/magnetic/*/*/*.parquet', hive_partitioning = true, union_by_name = true)" \
		>"$DIR/duckdb.jsonl"
	python3 "$ROOT/tests/mount/same_rows.py" "$DIR/sql.jsonl" "$DIR/duckdb.jsonl"
}

@test "cp, rsync and tar of a snapshot are the database of that moment" {
	need python3 rsync
	fill
	rows_of iot >"$DIR/then"
	settings_of iot >"$DIR/settings"
	mkdir "$S/s1"
	echo 'DELETE FROM iot.weather;' >"$MNT/query"
	echo 'power,meter=m9 kwh=77' >"$MNT/iot/ingest"
	cp -r "$S/s1" "$MNT/by_cp" # makes the database
	mkdir "$MNT/by_dot" "$MNT/by_tar" "$MNT/by_rsync"
	cp -r "$S/s1/." "$MNT/by_dot/"
	cp -a "$S/s1" "$MNT/by_cpa"
	rsync -a "$S/s1/" "$MNT/by_rsync/"
	tar -C "$S/s1" -cf - . | tar -C "$MNT/by_tar" -xf -
	# From a copy elsewhere, as a backup is; with its files in another order.
	cp -r "$S/s1" "$DIR/backup"
	mkdir "$MNT/by_hand"
	cp -r "$DIR/backup/weather" "$DIR/backup/power" "$DIR/backup/empty" "$MNT/by_hand/"
	wait_for 10 eval "[ -n \"\$(find '$MNT/by_hand/power/magnetic' -name '*.parquet')\" ]"
	cp "$DIR/backup/snapshot.json" "$MNT/by_hand/"
	local db
	for db in by_cp by_dot by_cpa by_rsync by_tar by_hand; do
		echo "$db"
		rows_of "$db" | diff "$DIR/then" -
		if [ "$db" = by_hand ]; then # tiles came first: columns are in their order
			settings_of "$db" | grep -v /schema: | diff <(grep -v /schema: "$DIR/settings") -
		else
			settings_of "$db" | diff "$DIR/settings" -
		fi
		expect "" "$(cat "$MNT/$db"/*/rejected)"
	done
	tide_remount
	for db in by_cp by_dot by_cpa by_rsync by_tar; do
		rows_of "$db" | diff "$DIR/then" -
		settings_of "$db" | diff "$DIR/settings" -
	done
}

@test "one process makes tables, looks at them, and copies trees" {
	need python3
	fill
	rows_of iot >"$DIR/then"
	mkdir "$S/s1"
	python3 - "$MNT" <<'PY'
import os, shutil, sys
mnt = sys.argv[1]
# What a process made is there for itself as for others, from the first look on.
os.mkdir(mnt + "/mine")
for t in "abc":
    os.mkdir(f"{mnt}/mine/{t}")
    assert t != "a" or os.path.isdir(f"{mnt}/mine/{t}/magnetic")
    assert t != "b" or os.listdir(f"{mnt}/mine/{t}/magnetic") == []
    assert all(os.path.exists(f"{mnt}/mine/{t}/{name}") for name in os.listdir(f"{mnt}/mine/{t}"))
os.mkdir(mnt + "/schemas")
shutil.copyfile(mnt + "/iot/snapshots/s1/snapshot.json", mnt + "/schemas/snapshot.json")
assert os.path.exists(mnt + "/schemas/weather/schema")
# And what makes each directory of a tree finds none that it has yet to make.
shutil.copytree(mnt + "/iot/snapshots/s1", mnt + "/by_copytree", copy_function=shutil.copyfile)
PY
	rows_of by_copytree | diff "$DIR/then" -
}

@test "a snapshot of a restored database is the same again" {
	need python3
	fill
	mkdir "$S/s1"
	cp -r "$S/s1" "$MNT/one"
	mkdir "$MNT/one/snapshots/s2"
	cp -r "$MNT/one/snapshots/s2" "$MNT/two"
	rows_of one >"$DIR/one"
	rows_of two | diff "$DIR/one" -
	rows_of iot | diff "$DIR/one" -
}

@test "one moment of all tables, while others write to them" {
	mkdir "$MNT/iot"
	echo 'a,x=y n=0i 1000000000
b,x=y n=0i 1000000000' >"$MNT/iot/ingest"
	(
		i=1
		while [ ! -e "$DIR/stop" ]; do
			printf 'a,x=y n=%di %d000000000\nb,x=y n=%di %d000000000\n' $i $i $i $i || exit 1
			i=$((i + 1))
		done
	) >"$DIR/pairs" &
	local maker=$! i
	(while [ ! -e "$DIR/stop" ]; do cp "$DIR/pairs" "$DIR/part" && cat "$DIR/part"; sleep 0.02; done >"$MNT/iot/ingest") &
	local writer=$!
	for i in 1 2 3 4; do
		sleep 0.2
		mkdir "$S/s$i"
	done
	: >"$DIR/stop"
	wait "$maker" "$writer" || true
	for i in 1 2 3 4; do
		cp -r "$S/s$i" "$MNT/r$i"
		local a b
		a=$(sql "SELECT count(*) FROM r$i.a")
		b=$(sql "SELECT count(*) FROM r$i.b")
		expect "$a,$a" "$(sql "SELECT count(*), max(n) FROM r$i.a")"
		expect "$b,$b" "$(sql "SELECT count(*), max(n) FROM r$i.b")"
		# A write(2) of cat may end between the two lines of a pair, and nowhere else.
		[ "$a" -eq "$b" ] || [ "$a" -eq $((b + 1)) ]
	done
	[ "$(sql 'SELECT count(*) FROM r4.a')" -gt "$(sql 'SELECT count(*) FROM r1.a')" ]
}

@test "nothing below a snapshot can be changed, by root neither" {
	need python3
	fill
	mkdir "$S/s1"
	local tile
	tile=$(find "$S/s1/weather" -name '*.parquet' | head -n 1)
	for cmd in "touch $S/s1/x" "mkdir $S/s1/x" "rm $tile" "rm -rf $S/s1" "mv $tile $tile.x" "chmod 600 $tile" \
		"chmod 700 $S/s1/weather" "truncate -s 0 $tile" "ln $tile $S/s1/l" "rmdir $S/s1/empty" "mv $S/s1 $S/s2" \
		"touch $S/x" "touch -d yesterday $tile"; do
		run $cmd
		echo "$cmd: $output"
		[ "$status" -ne 0 ]
	done
	run sh -c "echo x >> '$tile'"
	[[ $output == *"Read-only file system"* ]]
	expect "s1" "$(ls "$S")"
	rows_of iot >"$DIR/then"
	cp -r "$S/s1" "$MNT/new"
	rows_of new | diff "$DIR/then" -
}

@test "names, and databases that have snapshots" {
	mkdir "$MNT/iot" "$S/status" "$S/s1"
	run mkdir "$S/s1"
	[[ $output == *"File exists"* ]]
	run mkdir "$S/.x"
	[[ $output == *"Invalid argument"* ]]
	run mkdir "$S/a b"
	[ "$status" -ne 0 ]
	[[ $(stat_of "$MNT/iot/status" last_refusal) == *"is not a name"* ]]
	run rmdir "$MNT/iot"
	[[ $output == *"not empty"* ]]
	[[ $(stat_of "$MNT/status" last_refusal) == *"has snapshots"* ]]
	rmdir "$S/status" "$S/s1" "$MNT/iot"
	mkdir "$MNT/iot" "$S/s1"
	expect "s1" "$(ls "$S")"
}

@test "whom a table is closed to, its snapshots are closed to" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to be several users"
	need setpriv python3
	fill
	chmod 755 "$DIR"
	mkdir "$S/s1"
	as 1234 cat "$S/s1/snapshot.json" >/dev/null
	as 1234 find "$S/s1" -type f -exec cat {} + >/dev/null
	run as 1234 mkdir "$S/mine"
	[[ $output == *"Permission denied"* ]]
	run as 1234 rmdir "$S/s1"
	[[ $output == *"Permission denied"* ]]
	# Closed later than it was copied.
	chmod 0750 "$MNT/iot/weather"
	run as 1234 ls "$S/s1/weather"
	[[ $output == *"Permission denied"* ]]
	run as 1234 cat "$S/s1/snapshot.json"
	[[ $output == *"Permission denied"* ]]
	as 1234 ls "$S/s1/power" >/dev/null
	expect "750" "$(stat -c %a "$S/s1/weather")"
	mkdir "$S/s2"
	# Another table of that name opens nothing, nor does its absence.
	echo 'DROP TABLE iot.weather;' >"$MNT/query"
	run as 1234 ls "$S/s2/weather"
	[[ $output == *"Permission denied"* ]]
	mkdir "$MNT/iot/weather"
	run as 1234 ls "$S/s2/weather"
	[[ $output == *"Permission denied"* ]]
	ls "$S/s2/weather" >/dev/null
	# The database's own bits, and those of snapshots/.
	chmod 0700 "$S"
	run as 1234 ls "$S/s1"
	[[ $output == *"Permission denied"* ]]
	chmod 0755 "$S"
	chmod 0700 "$MNT/iot"
	run as 1234 ls "$S/s1"
	[[ $output == *"Permission denied"* ]]
}

@test "who restores owns, and changes no table of others" {
	[ "$(id -u)" -eq 0 ] || skip "needs root to be several users"
	need setpriv python3
	fill
	chmod 755 "$DIR"
	rows_of iot >"$DIR/then"
	mkdir "$S/s1"
	chmod 0777 "$MNT"
	as 1234 cp -r "$S/s1" "$MNT/theirs"
	expect 1234 "$(stat -c %u "$MNT/theirs/weather")"
	rows_of theirs | diff "$DIR/then" -
	# In a database where others may make tables, too.
	mkdir "$MNT/shared" "$MNT/shared/power"
	chmod 0777 "$MNT/shared"
	echo 5d >"$MNT/shared/power/retention/memory"
	run as 1234 cp "$S/s1/snapshot.json" "$MNT/shared/"
	[[ $output == *"Permission denied"* ]]
	expect 5d "$(cat "$MNT/shared/power/retention/memory")"
	[ ! -e "$MNT/shared/weather" ]
}

@test "a wrong snapshot.json is an error of close(2), and makes nothing" {
	need python3
	fill
	mkdir "$S/s1" "$MNT/new"
	head -c 700 "$S/s1/snapshot.json" >"$DIR/snapshot.json"
	run cp "$DIR/snapshot.json" "$MNT/new/"
	[[ $output == *"Invalid argument"* ]]
	[[ $(stat_of "$MNT/new/status" last_refusal) == *"snapshot.json line"* ]]
	expect "" "$(cd "$MNT/new" && ls -d */ | grep -v 'q/\|snapshots/')"
	sed 's/"double"/"float"/' "$S/s1/snapshot.json" >"$DIR/snapshot.json"
	run cp "$DIR/snapshot.json" "$MNT/new/"
	[ "$status" -ne 0 ]
	[[ $(stat_of "$MNT/new/status" last_refusal) == *"'float' is not a type"* ]]
	if command -v rsync >/dev/null; then
		run rsync -a "$DIR/snapshot.json" "$MNT/new/"
		[ "$status" -ne 0 ]
	fi
	cp "$S/s1/snapshot.json" "$MNT/new/"
	[ -d "$MNT/new/weather" ]
	# It is read back, is not listed, and goes without taking anything along.
	cmp "$S/s1/snapshot.json" "$MNT/new/snapshot.json"
	[[ $(ls -a "$MNT/new") != *snapshot.json* ]]
	rm "$MNT/new/snapshot.json"
	[ -d "$MNT/new/weather" ]
	run touch "$MNT/new/other"
	[ "$status" -ne 0 ]
}

@test "a signal ends it, and then nothing of it is there" {
	need python3
	fill
	local i made
	for i in $(seq 20); do
		timeout -s INT "0.00$i" mkdir "$S/s$i" || true
	done
	for i in $(seq 20); do
		[ -e "$S/s$i" ] || continue
		made=1
		[ -s "$S/s$i/snapshot.json" ]
	done
	echo "made: $made"
	tide_umount
	expect "" "$(ls -A "$DATA/db/iot/snapshots" | grep '^\.' || true)"
	"$TIDEFS" fsck "$DATA"
}

@test "killed on the way: all of it or nothing, and no row is lost" {
	need python3
	fill
	rows_of iot >"$DIR/then"
	local at
	for at in snapshot.pinned snapshot.link snapshot.merge snapshot.json snapshot.rename snapshot.published; do
		tide_umount
		TIDE_FAULT=$at tide_mount
		run mkdir "$S/s"
		[ "$status" -ne 0 ]
		tide_kill9
		tide_mount
		rows_of iot | diff "$DIR/then" -
		if [ "$at" = snapshot.published ]; then
			expect s "$(ls "$S")"
			cp -r "$S/s" "$MNT/restored"
			rows_of restored | diff "$DIR/then" -
		else
			expect "" "$(ls "$S")"
		fi
	done
	tide_umount
	"$TIDEFS" fsck "$DATA"
}
