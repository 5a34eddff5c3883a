# The tree: what is where, what can be made and removed, and what cannot.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
}
teardown() { tide_teardown; }

# refused ERRNO-TEXT COMMAND...: fails, and says so.
refused() {
	local text=$1 out
	shift
	if out=$("$@" 2>&1); then
		echo "worked: $*"
		return 1
	fi
	[[ $out == *"$text"* ]] || {
		echo "$* said: $out"
		return 1
	}
}

@test "docs/files.md is what the program prints" {
	"$TIDEFS" --print-files | diff - "$ROOT/docs/files.md"
}

@test "every file of the table is listed, and README names it" {
	for f in README status query query.csv query.json q iot; do [ -e "$MNT/$f" ]; done
	for f in ingest query q status w; do [ -e "$MNT/iot/$f" ]; done
	for f in ingest rejected schema stats retention settings magnetic; do [ -e "$MNT/iot/w/$f" ]; done
	expect "magnetic memory" "$(ls "$MNT/iot/w/retention" | xargs)"
	for f in $(ls "$MNT/iot/w/settings"); do grep -q " $f " "$MNT/README"; done
	expect "" "$(ls "$MNT/q")"
}

@test "names: st_ino is the same for every lookup and after a remount" {
	a=$(stat -c %i "$MNT/iot/w/ingest" "$MNT/iot/w" "$MNT/iot/w/stats" "$MNT/iot" | xargs)
	expect "$a" "$(stat -c %i "$MNT/iot/w/ingest" "$MNT/iot/w" "$MNT/iot/w/stats" "$MNT/iot" | xargs)"
	tide_remount
	expect "$a" "$(stat -c %i "$MNT/iot/w/ingest" "$MNT/iot/w" "$MNT/iot/w/stats" "$MNT/iot" | xargs)"
	rmdir "$MNT/iot/w"
	mkdir "$MNT/iot/w"
	[ "$a" != "$(stat -c %i "$MNT/iot/w/ingest" "$MNT/iot/w" "$MNT/iot/w/stats" "$MNT/iot" | xargs)" ]
}

@test "readdir tells the inode numbers that stat tells" {
	for d in "$MNT" "$MNT/iot" "$MNT/iot/w" "$MNT/iot/w/retention"; do
		ls -i "$d" | while read -r ino name; do
			expect "$ino" "$(stat -c %i "$d/$name")"
		done
	done
}

@test "mkdir refuses names: bad, reserved, taken" {
	refused "Invalid argument" mkdir "$MNT/iot/a:b"
	refused "Invalid argument" mkdir "$MNT/iot/latest"
	refused "Invalid argument" mkdir "$MNT/snapshots"
	refused "File exists" mkdir "$MNT/iot/ingest"
	refused "File exists" mkdir "$MNT/iot"
	refused "File exists" mkdir "$MNT/iot/w"
	refused "not permitted" mkdir "$MNT/iot/w/x"
	grep -q 'last_refusal: iot' "$MNT/iot/status"
}

@test "what is not possible is EPERM, for root too" {
	t=$MNT/iot/w
	for p in "$MNT/x" "$MNT/iot/x" "$t/x"; do
		refused "not permitted" touch "$p"
	done
	# q/ is closed to writers; root finds that out one step later.
	refused "$([ "$(id -u)" -eq 0 ] && echo 'not permitted' || echo 'denied')" touch "$MNT/q/x"
	refused "not permitted" rm "$t/ingest"
	refused "not permitted" rm -f "$t/retention/memory" "$MNT/status"
	refused "not permitted" rmdir "$t/retention"
	refused "not permitted" mv "$t" "$MNT/iot/v"
	refused "not permitted" mv "$t/ingest" "$t/i"
	refused "not permitted" ln "$t/ingest" "$t/i"
	refused "not permitted" ln -s a "$t/i"
	refused "not permitted" mkfifo "$t/i"
	refused "not permitted" sh -c ": > $MNT/README"
	refused "not permitted" truncate -s 0 "$t/stats"
	refused "not permitted" mkdir "$t/magnetic/x"
	refused "not permitted" ln -s a "$t/magnetic/x"
	refused "not permitted" mkfifo "$t/magnetic/x"
}

@test "rmdir: not while there is something in it" {
	refused "not empty" rmdir "$MNT/iot"
	echo 'w v=1' >>"$MNT/iot/w/ingest"
	refused "not empty" rmdir "$MNT/iot/w"
	mkdir "$MNT/iot/empty"
	rmdir "$MNT/iot/empty"
	[ ! -e "$MNT/iot/empty" ]
	mkdir "$MNT/two"
	rmdir "$MNT/two"
	[ ! -e "$MNT/two" ]
}

@test "what was dropped is stale for who has it open, and its name is free" {
	mkdir "$MNT/iot/gone"
	exec 5>>"$MNT/iot/gone/ingest"
	rmdir "$MNT/iot/gone"
	run bash -c 'echo "gone v=1" >&5'
	[ "$status" -ne 0 ]
	[[ $output == *"Stale"* ]]
	exec 5>&-
	mkdir "$MNT/iot/gone"
	echo 'gone v=1' >>"$MNT/iot/gone/ingest"
}

@test "sizes are true: cat, cp, tar, dd and wc agree, and nothing changes while it is read" {
	for f in README status iot/status iot/w/stats iot/w/schema iot/w/retention/memory; do
		n=$(stat -c %s "$MNT/$f")
		[ "$n" -gt 0 ]
		expect "$n" "$(cat "$MNT/$f" | wc -c)"
		cp -f "$MNT/$f" "$DIR/copy" # the copy before may be read-only
		expect "$n" "$(stat -c %s "$DIR/copy")"
		expect "$n" "$(dd if="$MNT/$f" bs=7 2>/dev/null | wc -c)"
	done
	run tar -C "$MNT" -cf "$DIR/t.tar" README status iot/w/stats iot/w/schema iot/w/retention
	expect "" "$output"
	tar -xOf "$DIR/t.tar" README | cmp - "$MNT/README"
}

@test "walks end: grep -r, cp -r, find -exec cat, rsync" {
	echo 'w v=1' >>"$MNT/iot/w/ingest"
	timeout 30 grep -rc nothing "$MNT" >/dev/null || [ $? -eq 1 ]
	timeout 30 cp -r "$MNT" "$DIR/copy"
	timeout 30 find "$MNT" -type f -exec cat {} + >/dev/null
	expect "$(ls -R "$MNT" | wc -l)" "$(cd "$DIR/copy" && ls -R . | wc -l)"
	if command -v rsync >/dev/null; then timeout 30 rsync -a "$MNT/iot/w/" "$DIR/r/"; fi
	find "$MNT" -type d | sort | head -3 | grep -q iot
}

@test "df tells the disk below" {
	expect "$(df --output=size "$DATA" | tail -1)" "$(df --output=size "$MNT" | tail -1)"
}

@test "directories made by another process are there at once" {
	mkdir "$MNT/iot/t2" && [ -d "$MNT/iot/t2/settings" ]
	echo 'fresh,a=b v=1' >>"$MNT/iot/ingest"
	[ -d "$MNT/iot/fresh" ]
	ls "$MNT/iot" | grep -qx fresh
}
