#!/usr/bin/env bats
# Tiles that are copied back into magnetic/, by the tools that people copy with.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t"
}

teardown() {
	local rc=0
	if mountpoint -q "$DIR/disk" 2>/dev/null; then
		[ -z "$TIDE_PID" ] || tide_kill9
		umount "$DIR/disk"
	fi
	tide_teardown || rc=1
	return "$rc"
}

# Two days of rows in tiles, a copy of them in $DIR/backup, and what SQL says of them in $DIR/rows.
make_backup() {
	local i
	RANDOM=5
	for ((i = 0; i < 3000; i++)); do
		echo "m,host=h$((i % 5)),zone=z v=${RANDOM}${RANDOM}i,s=\"text $RANDOM\" $((1699920000 + i * 50))000000000"
	done >"$DIR/lines"
	cp "$DIR/lines" "$MNT/d/t/ingest"
	wait_for 20 settled t
	cp -rp "$MNT/d/t/magnetic" "$DIR/backup"
	all_rows t >"$DIR/rows"
	TILES=$(find "$DIR/backup" -name '*.parquet' | wc -l)
	[ "$TILES" -ge 2 ]
	[ "$(find "$DIR/backup" -name '*.parquet' -size -7k | wc -l)" = 0 ]
}

settled() {
	[ "$(stat_of "$MNT/d/$1/stats" pending_rows)" = 0 ] && [ "$(stat_of "$MNT/d/$1/stats" memtable_rows)" = 0 ]
}

all_rows() {
	cat "$MNT/q/SELECT host, zone, measure_name, time, v, s FROM d.$1 ORDER BY host, time"
}

tiles_of() {
	find "$1" -name '*.parquet' | sort
}

# Tiles by rm, what is in no tile yet by SQL.
remove_all() {
	find "$MNT/d/t/magnetic" -name '*.parquet' -delete
	echo 'DELETE FROM d.t;' >"$MNT/query"
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
}

# The rows are there, at once, and soon as tiles again; no file that was copied shows beside them.
check_restored() {
	all_rows t | diff "$DIR/rows" -
	wait_for 20 settled t
	all_rows t | diff "$DIR/rows" -
	wait_for 5 eval "[ \$(find '$MNT/d/t/magnetic' -name '*.parquet' | wc -l) = $TILES ]"
	[ ! -s "$MNT/d/t/rejected" ]
}

one_tile() {
	tiles_of "$DIR/backup" | head -n 1
}

@test "cp -r of the whole tree brings everything back" {
	make_backup
	remove_all
	cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	check_restored
	tide_remount
	all_rows t | diff "$DIR/rows" -
}

@test "cp of single files, into directories that mkdir made, or straight into magnetic" {
	make_backup
	remove_all
	local i=0 f
	for f in $(tiles_of "$DIR/backup"); do
		case $((i++)) in
		0) cp "$f" "$MNT/d/t/magnetic/" ;;
		1) mkdir "$MNT/d/t/magnetic/ts_date=2020-01-01" && cp "$f" "$MNT/d/t/magnetic/ts_date=2020-01-01/any name.parquet" ;;
		2) mkdir -p "$MNT/d/t/magnetic/ts_date=2020-01-02/ts_part=07" && cp "$f" "$MNT/d/t/magnetic/ts_date=2020-01-02/ts_part=07" ;;
		esac
	done
	check_restored
}

@test "cp -p, cp -a, install, mv, dd, tar, Python: each brings the tile back" {
	need python3
	make_backup
	local f name
	f=$(one_tile)
	name=$(basename "$f")
	local to=$MNT/d/t/magnetic/$name
	try() {
		remove_all
		cp -r "$DIR/backup" "$DIR/copy"
		"$@"
		rm -rf "$DIR/copy"
		expect "$want" "$(sql 'SELECT count(*) FROM d.t')"
	}
	remove_all
	cp "$f" "$to"
	local want
	want=$(sql 'SELECT count(*) FROM d.t')
	[ "$want" -gt 0 ]
	try cp -p "$f" "$to"
	try cp -a "$f" "$to"
	try install -m 0644 "$f" "$to"
	try install -p "$f" "$to"
	try mv "$DIR/copy/${f#"$DIR/backup/"}" "$to"
	try dd if="$f" of="$to" bs=4096 status=none
	try dd if="$f" of="$to" bs=1000 conv=fsync status=none
	try sh -c "cat '$f' >'$to'"
	try bash -c "{ head -c 1000 '$f'; tail -c +1001 '$f'; } >'$to'"
	try tar -C "$MNT/d/t/magnetic" -xpf <(tar -C "$(dirname "$f")" -cf - "$name")
	try tar -C "$MNT/d/t/magnetic" -xf <(tar -C "$(dirname "$f")" -cf - "$name")
	try python3 -c "import shutil, sys; shutil.copyfile(sys.argv[1], sys.argv[2])" "$f" "$to"
	try python3 -c "import shutil, sys; shutil.copy2(sys.argv[1], sys.argv[2])" "$f" "$to"
	try python3 - "$f" "$to" <<'PY'
import os, subprocess, sys
data = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'wb') as f:
    f.write(data[:1000])
    f.flush()
    subprocess.run(['true'], close_fds=False, pass_fds=[f.fileno()])  # closes its copy of the descriptor
    f.truncate(0)
    f.seek(0)
    f.write(data)
    f.flush()
    os.fsync(f.fileno())
PY
	[ ! -s "$MNT/d/t/rejected" ]
}

@test "rsync -a, twice" {
	need rsync
	make_backup
	remove_all
	rsync -a "$DIR/backup/" "$MNT/d/t/magnetic/"
	all_rows t | diff "$DIR/rows" -
	rsync -a "$DIR/backup/" "$MNT/d/t/magnetic/"
	check_restored
	# And when its own names are long forgotten.
	wait_for 20 eval "! [ -e '$MNT/d/t/magnetic/$(cd "$DIR/backup" && find . -name '*.parquet' | head -n 1)' ]"
	rsync -a "$DIR/backup/" "$MNT/d/t/magnetic/"
	check_restored
}

@test "rsync --inplace, rsync without times, tar of the tree as it was" {
	need rsync
	make_backup
	remove_all
	rsync -r --inplace "$DIR/backup/" "$MNT/d/t/magnetic/"
	check_restored
	remove_all
	tar -C "$DIR/backup" -cf - . | tar -C "$MNT/d/t/magnetic" -xpf -
	check_restored
}

@test "a tile over itself, while it is there, is accepted and harmless" {
	make_backup
	local f
	for f in $(cd "$DIR/backup" && find . -name '*.parquet'); do
		[ -e "$MNT/d/t/magnetic/$f" ]
		cp "$DIR/backup/$f" "$MNT/d/t/magnetic/$f"
		cp -p "$DIR/backup/$f" "$MNT/d/t/magnetic/$f"
	done
	check_restored
	cp -rp "$DIR/backup/." "$MNT/d/t/magnetic"
	check_restored
	# A tile is not for writing otherwise.
	f=$(tiles_of "$MNT/d/t/magnetic" | head -n 1)
	run bash -c "echo x >>'$f'"
	[ "$status" -ne 0 ]
	run truncate -s 0 "$f"
	[ "$status" -ne 0 ]
	all_rows t | diff "$DIR/rows" -
}

@test "a reader of the tile that is copied over goes on reading it" {
	make_backup
	local f fd
	f=$(cd "$DIR/backup" && find . -name '*.parquet' | head -n 1)
	exec {fd}<"$MNT/d/t/magnetic/$f"
	head -c 1000 "$DIR/backup/$f" >"$DIR/cut"
	run cp "$DIR/cut" "$MNT/d/t/magnetic/$f"
	[ "$status" -ne 0 ]
	cmp "$DIR/backup/$f" - <&"$fd"
	exec {fd}<&-
	cmp "$DIR/backup/$f" "$MNT/d/t/magnetic/$f"
	all_rows t | diff "$DIR/rows" -
}

@test "what is cut, damaged, empty of rows or no tile is refused by close, with a reason" {
	make_backup
	local f to
	f=$(one_tile)
	to=$MNT/d/t/magnetic
	head -c 5000 "$f" >"$DIR/cut.parquet"
	run cp "$DIR/cut.parquet" "$to/"
	[ "$status" -ne 0 ]
	[[ $output == *"Invalid argument"* ]]
	grep -q '"file":"d/t/magnetic/cut.parquet".*does not end with PAR1' "$MNT/d/t/rejected"
	grep -q 'last_refusal: d/t/magnetic: cut.parquet: no whole Parquet file' "$MNT/d/status"
	expect "" "$(ls "$to" | grep -v '^ts_date' || true)"
	[ ! -e "$to/cut.parquet" ]
	# One bit, in the middle.
	cp "$f" "$DIR/flip.parquet"
	chmod u+w "$DIR/flip.parquet"
	printf '\377' | dd of="$DIR/flip.parquet" bs=1 seek=2000 conv=notrunc status=none
	if cmp -s "$f" "$DIR/flip.parquet"; then
		printf '\0' | dd of="$DIR/flip.parquet" bs=1 seek=2000 conv=notrunc status=none
	fi
	run cp "$DIR/flip.parquet" "$to/"
	[ "$status" -ne 0 ]
	grep -q 'flip.parquet: the page at offset' "$MNT/d/t/rejected"
	echo 'hello, world' >"$DIR/text.parquet"
	run cp "$DIR/text.parquet" "$to/"
	[ "$status" -ne 0 ]
	grep -q 'text.parquet: no Parquet file' "$MNT/d/t/rejected"
	expect 3 "$(wc -l <"$MNT/d/t/rejected")"
	all_rows t | diff "$DIR/rows" -
	# Nothing stays on the disk.
	expect "" "$(find "$DATA" -path '*incoming/*')"
}

@test "a Parquet file of somebody else is refused" {
	need node
	[ -d "$ROOT/tests/readers/node_modules/@duckdb/node-api" ] || skip "DuckDB is not installed"
	node "$ROOT/tests/readers/duck.mjs" "COPY (SELECT 1 AS v, now() AS time) TO '$DIR/duck.parquet' (FORMAT parquet)" >/dev/null
	[ -s "$DIR/duck.parquet" ]
	run cp "$DIR/duck.parquet" "$MNT/d/t/magnetic/"
	[ "$status" -ne 0 ]
	[[ $output == *"Invalid argument"* ]]
	grep -q 'a Parquet file but no tile' "$MNT/d/t/rejected"
}

@test "temporary names wait for their renaming, and go when nothing comes" {
	make_backup
	remove_all
	local f to
	f=$(one_tile)
	to=$MNT/d/t/magnetic
	cp -p "$f" "$to/.half.tmp"
	cmp "$f" "$to/.half.tmp"
	expect "$(stat -c '%s %Y' "$f")" "$(stat -c '%s %Y' "$to/.half.tmp")"
	expect .half.tmp "$(ls -A "$to")"
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
	mv "$to/.half.tmp" "$to/whole.parquet"
	[ "$(sql 'SELECT count(*) FROM d.t')" -gt 0 ]
	# Not whole: the renaming fails, the file is still there, and can be made whole.
	head -c 3000 "$f" >"$to/.cut.tmp"
	run mv "$to/.cut.tmp" "$to/cut.parquet"
	[ "$status" -ne 0 ]
	[ -e "$to/.cut.tmp" ]
	tail -c +3001 "$f" >>"$to/.cut.tmp"
	mv "$to/.cut.tmp" "$to/cut.parquet"
	# Thrown away.
	cp "$f" "$to/.other.tmp"
	rm "$to/.other.tmp"
	[ ! -e "$to/.other.tmp" ]
	cp "$f" "$to/.left.tmp"
	tide_remount
	expect "" "$(ls -A "$to" | grep -v '^ts_date' || true)"
	expect "" "$(find "$DATA" -path '*incoming/*')"
}

@test "a child that closes its copy of the descriptor decides nothing" {
	make_backup
	remove_all
	local f to fd
	f=$(one_tile)
	to=$MNT/d/t/magnetic/x.parquet
	exec {fd}>"$to"
	head -c 4000 "$f" >&"$fd"
	(true)
	/bin/true
	tail -c +4001 "$f" >&"$fd"
	exec {fd}>&-
	[ "$(sql 'SELECT count(*) FROM d.t')" -gt 0 ]
	[ ! -s "$MNT/d/t/rejected" ]
}

@test "a writer that is killed leaves nothing, and says so in rejected" {
	make_backup
	remove_all
	local to=$MNT/d/t/magnetic
	head -c 4000 "$(one_tile)" >"$DIR/cut"
	bash -c 'exec >"$1"; cat "$2"; exec sleep 100' _ "$to/x.parquet" "$DIR/cut" &
	wait_for 5 eval "[ \$(stat -c %s '$to/x.parquet' 2>/dev/null || echo 0) = 4000 ]"
	kill -9 $!
	wait $! || true
	wait_for 5 eval "! [ -e '$to/x.parquet' ]"
	expect 1 "$(grep -c 'x.parquet: no whole Parquet file' "$MNT/d/t/rejected")"
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
}

@test "what has expired is refused, and the reason names the edge" {
	make_backup
	mkdir "$MNT/d/young"
	echo 1d >"$MNT/d/young/retention/magnetic"
	run cp "$(one_tile)" "$MNT/d/young/magnetic/"
	[ "$status" -ne 0 ]
	grep -q 'all rows are older than the table keeps.*expired; see retention/' "$MNT/d/young/rejected"
}

@test "directories: made before there is a tile, removed, and only of the names that tiles have" {
	local to=$MNT/d/t/magnetic
	mkdir "$to/ts_date=2024-02-03" "$to/ts_date=2024-02-03/ts_part=00"
	[ -d "$to/ts_date=2024-02-03/ts_part=00" ]
	expect ts_date=2024-02-03 "$(ls "$to")"
	expect ts_part=00 "$(ls "$to/ts_date=2024-02-03")"
	run mkdir "$to/ts_date=2024-02-03"
	[[ $output == *"File exists"* ]]
	run rmdir "$to/ts_date=2024-02-03"
	[[ $output == *"not empty"* ]]
	chmod 700 "$to/ts_date=2024-02-03"
	touch -d 2020-01-01 "$to/ts_date=2024-02-03"
	rmdir "$to/ts_date=2024-02-03/ts_part=00" "$to/ts_date=2024-02-03"
	expect "" "$(ls "$to")"
	run mkdir "$to/other"
	[[ $output == *"not permitted"* ]]
	run mkdir "$to/ts_part=00"
	[ "$status" -ne 0 ]
}

@test "another table, another database, and a conflict" {
	make_backup
	mkdir "$MNT/e" "$MNT/e/u" "$MNT/d/v"
	echo 'k,zone=q,other=1 s="x",extra=1i' >>"$MNT/e/u/ingest"
	cp -r "$DIR/backup/." "$MNT/e/u/magnetic"
	cat "$MNT/q/SELECT host, zone, measure_name, time, v, s FROM e.u WHERE measure_name = 'm' ORDER BY host, time" | diff "$DIR/rows" -
	echo 'm,host=h1 v="text"' >>"$MNT/d/v/ingest"
	run cp -r "$DIR/backup/." "$MNT/d/v/magnetic"
	[ "$status" -ne 0 ]
	grep -q "does not fit this table: column 'v'" "$MNT/d/v/rejected"
	expect 1 "$(sql 'SELECT count(*) FROM d.v')"
}

@test "beside rows that come, none is lost and none is doubled" {
	make_backup
	remove_all
	(
		for ((i = 0; i < 400; i++)); do
			echo "w,host=x n=${i}i $((1600000000 + i))000000000" >>"$MNT/d/t/ingest"
		done
	) &
	local writer=$!
	for _ in 1 2 3; do
		cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	done
	wait "$writer"
	expect 3400 "$(sql 'SELECT count(*) FROM d.t')"
	expect 400 "$(sql "SELECT count(*) FROM d.t WHERE measure_name = 'w'")"
	echo 5h >"$MNT/d/t/retention/memory" # few late rows would wait
	wait_for 20 settled t
	expect 3400 "$(sql 'SELECT count(*) FROM d.t')"
}

@test "kill -9 right after cp returned: the rows are there; in the midst of it: nothing is" {
	make_backup
	remove_all
	cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	tide_kill9
	tide_mount
	all_rows t | diff "$DIR/rows" -
	remove_all
	local fd
	exec {fd}>"$MNT/d/t/magnetic/x.parquet"
	head -c 4000 "$(one_tile)" >&"$fd"
	tide_kill9
	exec {fd}>&-
	tide_mount
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
	expect "" "$(find "$DATA" -path '*incoming/*')"
}

@test "a full disk: ENOSPC, nothing stays, and with room again it works" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	make_backup
	tide_umount
	mkdir "$DIR/disk"
	mount -t tmpfs -o size=24m tmpfs "$DIR/disk" || skip "no tmpfs here"
	cp -r "$DATA" "$DIR/disk/data"
	DATA=$DIR/disk/data
	tide_mount
	remove_all
	head -c 100m /dev/zero >"$DIR/disk/filler" 2>/dev/null || true
	run cp "$(one_tile)" "$MNT/d/t/magnetic/x.parquet"
	[ "$status" -ne 0 ]
	[[ $output == *"No space left"* ]]
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
	# Room for the bytes of it, but not for the rows.
	truncate -s -20000 "$DIR/disk/filler"
	run cp "$(one_tile)" "$MNT/d/t/magnetic/x.parquet"
	[ "$status" -ne 0 ]
	[[ $output == *"No space left"* ]]
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
	expect "" "$(find "$DATA" -path '*incoming/*')"
	rm "$DIR/disk/filler"
	cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	all_rows t | diff "$DIR/rows" -
	tide_umount
	umount "$DIR/disk"
}

@test "who may not write to the table may not restore into it" {
	[ "$(id -u)" = 0 ] || skip "needs root"
	need setpriv
	make_backup
	tide_umount
	tide_mount -o allow_other
	chmod 755 "$DIR"
	local as="setpriv --reuid=1234 --regid=1234 --clear-groups"
	run $as cp "$(one_tile)" "$MNT/d/t/magnetic/x.parquet"
	[[ $output == *"Permission denied"* ]]
	chown 1234 "$MNT/d/t/magnetic"
	$as cp -p "$(one_tile)" "$MNT/d/t/magnetic/x.parquet"
	$as cp -p "$(one_tile)" "$MNT/d/t/magnetic/x.parquet"
	$as cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	# A copy under way is its owner's.
	$as cp "$(one_tile)" "$MNT/d/t/magnetic/.x.tmp"
	run setpriv --reuid=4321 --regid=4321 --clear-groups cat "$MNT/d/t/magnetic/.x.tmp"
	[[ $output == *"Permission denied"* ]]
	check_restored
}

@test "what was removed at once can be copied in again at once" {
	make_backup
	remove_all
	cp -r "$DIR/backup/." "$MNT/d/t/magnetic"
	remove_all
	# cp makes the directories, so it expects no files there; rsync passes over what it finds.
	cp -rp "$DIR/backup/." "$MNT/d/t/magnetic"
	all_rows t | diff "$DIR/rows" -
	remove_all
	if command -v rsync >/dev/null; then
		rsync -a "$DIR/backup/" "$MNT/d/t/magnetic"
		all_rows t | diff "$DIR/rows" -
		rm "$MNT"/d/t/magnetic/*/*/*.parquet
		rsync -a "$DIR/backup/" "$MNT/d/t/magnetic"
		all_rows t | diff "$DIR/rows" -
	fi
}

@test "directories of dates that there are not cannot be made" {
	local name
	for name in ts_date=2023-02-29 ts_date=2023-13-01 ts_date=2023-00-10 ts_date=2023-01-00 ts_date=23-1-1; do
		run mkdir "$MNT/d/t/magnetic/$name"
		[ "$status" -ne 0 ]
	done
	mkdir "$MNT/d/t/magnetic/ts_date=2024-02-29"
	rmdir "$MNT/d/t/magnetic/ts_date=2024-02-29"
}

@test "a refused file is in rejected, and is no record of a request" {
	run cp /etc/passwd "$MNT/d/t/magnetic/x.parquet"
	[ "$status" -ne 0 ]
	grep -q '"reason":"x.parquet: no Parquet file' "$MNT/d/t/rejected"
	! grep -q record_index "$MNT/d/t/rejected"
}
