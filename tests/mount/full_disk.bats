#!/usr/bin/env bats
# A disk that is really full: a small ext4 in a file holds the data directory. Writes are refused with
# ENOSPC and stored in no part, reads go on, and when there is room again ingest resumes by itself.

setup() {
	load helper
	tide_setup
	[ "$(id -u)" = 0 ] || skip "mounting an image needs root"
	DISK=$DIR/disk
	mkdir "$DISK"
}

# on_disk KIND: a mount over a small disk, ext4 or tmpfs, with a table.
on_disk() {
	if [ "$1" = ext4 ]; then
		need mkfs.ext4 losetup
		truncate -s "${DISK_MB:-48}M" "$DIR/image"
		# Small blocks of metadata, no reserve for root: full means full.
		mkfs.ext4 -q -m 0 -O ^has_journal "$DIR/image"
		mount -o loop "$DIR/image" "$DISK" 2>"$DIR/why" || skip "no loop device here: $(head -n 1 "$DIR/why")"
	else
		mount -t tmpfs -o size="${DISK_MB:-48}m" tmpfs "$DISK" 2>"$DIR/why" || skip "no tmpfs: $(head -n 1 "$DIR/why")"
	fi
	DATA=$DISK/data
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t"
	echo 36500d >"$MNT/d/t/retention/memory"
	ROWS=0
}

# Something else holds a part of the disk, as it would.
ballast() {
	dd if=/dev/zero of="$DISK/ballast" bs=1M count=36 2>/dev/null
}

# To the last byte.
to_the_brim() {
	dd if=/dev/zero of="$DISK/more" bs=4k 2>/dev/null || true
	dd if=/dev/zero of="$DISK/more" bs=1 oflag=append conv=notrunc 2>/dev/null || true
}

teardown() {
	tide_teardown_mount
	mountpoint -q "${DISK:-/nonexistent}" && umount "$DISK"
	tide_teardown
}

# The daemon first: the image cannot be unmounted under it.
tide_teardown_mount() {
	[ -n "$TIDE_PID" ] || return 0
	fusermount3 -u "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT" 2>/dev/null || true
	wait_for 20 tide_is_gone || kill -9 "$TIDE_PID" 2>/dev/null || true
	wait "$TIDE_PID" 2>/dev/null || true
	TIDE_PID=
}

# lines FROM N SERIES: rows that do not compress away.
lines() {
	awk -v a="$1" -v n="$2" -v s="$3" 'BEGIN { srand(a); for (i = a; i < a + n; i++)
		printf "m,s=%s v=%di,r=%.15f,x=\"%d%d\" %d000000000\n", s, i, rand(), rand() * 1e9, rand() * 1e9,
			1700000000 + i }'
}

# fill SERIES: whole files of 2000 rows until one is refused; $ROWS is what was taken.
fill() {
	local k
	for k in $(seq 0 2000); do
		lines $((ROWS)) 2000 "$1" >"$DIR/part"
		# One write(2) a file, so that it is taken as a whole or not at all.
		dd if="$DIR/part" of="$MNT/d/t/ingest" bs=1M oflag=append conv=notrunc 2>"$DIR/dd" || {
			grep -q 'No space left' "$DIR/dd"
			return
		}
		ROWS=$((ROWS + 2000))
	done
	echo "the disk does not fill"
	return 1
}

counts() {
	expect "$ROWS,$((ROWS * (ROWS - 1) / 2))" "$(sql 'SELECT count(*), sum(v) FROM d.t')"
}

accepts() {
	lines "$ROWS" 2000 a >"$DIR/part"
	dd if="$DIR/part" of="$MNT/d/t/ingest" bs=1M oflag=append conv=notrunc 2>"$DIR/dd" || return 1
	ROWS=$((ROWS + 2000))
}

goes_on_with_room() {
	ballast
	fill a
	echo "full after $ROWS rows"
	[ "$ROWS" -gt 2000 ]
	expect failing "$(stat_of "$MNT/d/status" state)"
	[[ $(stat_of "$MNT/d/status" reason) == *"No space left on device" ]]
	grep -q '^database d: failing: .*No space left on device' "$MNT/status"
	counts
	# Again and again: still refused or taken as a whole, still readable.
	accepts || grep -q 'No space left' "$DIR/dd"
	counts
	rm "$DISK/ballast"
	wait_for 30 accepts
	wait_for 10 grep -q '^state: ok' "$MNT/d/status"
	counts
	tide_remount
	counts
}

@test "ENOSPC, reads go on, and with room ingest resumes" {
	on_disk ext4
	goes_on_with_room
}

@test "the same on tmpfs" {
	on_disk tmpfs
	goes_on_with_room
}

@test "full while rows become tiles: nothing is lost, and it goes on with room" {
	on_disk ext4
	ballast
	fill a
	echo 1m >"$MNT/d/t/retention/memory"
	# Sealing and migrating have no room; what is there stays readable meanwhile.
	sleep 2
	counts
	rm "$DISK/ballast"
	wait_for 60 eval "[ \"\$(stat_of '$MNT/d/t/stats' pending_rows)\" = 0 ]" || {
		cat "$MNT/d/status" "$MNT/d/t/stats"
		df "$DISK"
		return 1
	}
	counts
	wait_for 30 accepts
	counts
	tide_kill9
	tide_mount
	counts
}

@test "mounting a full disk serves what is there, and takes rows when there is room" {
	on_disk ext4
	ballast
	fill a
	tide_umount
	to_the_brim
	tide_mount
	counts
	rm "$DISK/more" "$DISK/ballast"
	wait_for 30 accepts
	counts
}

@test "kill -9 on a disk full to the last byte, and a mount of it: every row that was acknowledged" {
	on_disk ext4
	ballast
	fill a
	to_the_brim
	# Refused writes all the time, and killed among them.
	local k
	for k in 1 2 3; do
		( for i in $(seq 20); do
			lines 900000000 500 refused | dd of="$MNT/d/t/ingest" bs=1M oflag=append conv=notrunc
		done ) >/dev/null 2>"$DIR/refused" 3>&- &
		sleep 0.3
		tide_kill9
		wait $! || true
		tide_mount
		counts
	done
	rm "$DISK/more" "$DISK/ballast"
	wait_for 30 accepts
	counts
}

# writer N: batches of 200 rows until it is told to stop; says how many were taken.
writer() {
	local taken=0
	while [ -d "$DIR" ] && [ ! -e "$DIR/stop" ]; do
		if lines "$taken" 200 "w$1" | dd of="$MNT/d/t/ingest" bs=1M iflag=fullblock oflag=append conv=notrunc 2>"$DIR/dd.$1"; then
			taken=$((taken + 200))
		else
			grep -q 'No space left' "$DIR/dd.$1" && touch "$DIR/refused.$1"
		fi
	done
	echo "$taken" >"$DIR/taken.$1"
}

@test "four writers over the edge and back: what was acknowledged is there, row by row" {
	on_disk ext4
	ballast
	local k pids=
	for k in 1 2 3 4; do
		writer "$k" 3>&- &
		pids="$pids $!"
	done
	# Full, room, full, room.
	for k in 1 2; do
		wait_for 60 eval '[ "$(df --output=avail "$DISK" | tail -n 1)" -lt 600 ]'
		wait_for 60 eval 'compgen -G "$DIR/refused.*" >/dev/null'
		sleep 1
		rm -f "$DISK/ballast" "$DISK/ballast2"
		sleep 1
		[ "$k" = 2 ] || dd if=/dev/zero of="$DISK/ballast2" bs=1M count=$(($(df --output=avail -m "$DISK" | tail -n 1) - 2)) 2>/dev/null || true
	done
	touch "$DIR/stop"
	wait $pids
	ls "$DIR"/refused.*
	for k in 1 2 3 4; do
		n=$(cat "$DIR/taken.$k")
		echo "writer $k: $n rows"
		expect "$n,$((n * (n - 1) / 2))" "$(sql "SELECT count(*), sum(v) FROM d.t WHERE s = 'w$k'")"
	done
	tide_remount
	for k in 1 2 3 4; do
		n=$(cat "$DIR/taken.$k")
		expect "$n,$((n * (n - 1) / 2))" "$(sql "SELECT count(*), sum(v) FROM d.t WHERE s = 'w$k'")"
	done
}

delete() {
	local rc=0
	exec 5<>"$MNT/query"
	printf "DELETE FROM d.t WHERE s = 'a';" 2>"$DIR/refused" >&5 || rc=1
	exec 5>&-
	return $rc
}

free_kib() { df --output=avail "$DISK" | tail -n 1; }

@test "rm of a tile and DELETE make room on a full disk" {
	on_disk ext4
	# Tiles of several days, and then full of something else.
	local day
	for day in 1 2 3 4; do
		lines $((day * 86400)) 20000 a | awk '{ print }' >>"$MNT/d/t/ingest"
	done
	ROWS=80000
	echo 1m >"$MNT/d/t/retention/memory"
	wait_for 60 eval '[ "$(stat_of "$MNT/d/t/stats" tile_rows)" = 80000 ]'
	wait_for 20 eval '[ "$(stat_of "$MNT/d/status" pending_rows)" = 0 ]'
	tile=$(find "$MNT/d/t/magnetic" -name '*.parquet' | sort | head -n 1)
	size=$(($(stat -c %s "$tile") / 1024))
	to_the_brim
	before=$(free_kib)
	rm "$tile"
	wait_for 10 eval '[ "$(free_kib)" -ge $((before + size - 8)) ]'
	gone=$((80000 - $(sql 'SELECT count(*) FROM d.t')))
	echo "$gone rows in $size KiB are gone"
	[ "$gone" -gt 0 ]
	# A write that fits into that is taken.
	wait_for 20 eval 'echo "m,s=new v=1i $(date +%s)000000000" >>"$MNT/d/t/ingest"'
	expect 1 "$(sql "SELECT count(*) FROM d.t WHERE s = 'new'")"
	# DELETE of what is left: without room it is refused as a whole or done as a whole.
	to_the_brim
	before=$(free_kib)
	left=$(sql "SELECT count(*) FROM d.t WHERE s = 'a'")
	delete || expect "$left" "$(sql "SELECT count(*) FROM d.t WHERE s = 'a'")"
	# With a little of it the files go, once they are rewritten to nothing.
	truncate -s -200K "$DISK/more"
	wait_for 20 delete
	expect "0" "$(sql "SELECT count(*) FROM d.t WHERE s = 'a'")"
	wait_for 60 eval '[ "$(free_kib)" -ge $((before + size)) ]' || {
		cat "$MNT/d/status" "$MNT/d/t/stats"
		df "$DISK"
		return 1
	}
	tide_remount
	expect "0" "$(sql "SELECT count(*) FROM d.t WHERE s = 'a'")"
	expect 1 "$(sql "SELECT count(*) FROM d.t WHERE s = 'new'")"
}
