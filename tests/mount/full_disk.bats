#!/usr/bin/env bats
# A disk that is really full: a small ext4 in a file holds the data directory. Writes are refused with
# ENOSPC and stored in no part, reads go on, and when there is room again ingest resumes by itself.

setup() {
	load helper
	tide_setup
	[ "$(id -u)" = 0 ] || skip "mounting an image needs root"
	need mkfs.ext4 losetup
	DISK=$DIR/disk
	mkdir "$DISK"
	truncate -s "${DISK_MB:-48}M" "$DIR/image"
	# Small blocks of metadata, no reserve for root: full means full.
	mkfs.ext4 -q -m 0 -O ^has_journal "$DIR/image"
	mount -o loop "$DIR/image" "$DISK" 2>"$DIR/why" || skip "no loop device here: $(head -n 1 "$DIR/why")"
	DATA=$DISK/data
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t"
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

@test "ENOSPC, reads go on, and with room ingest resumes" {
	ROWS=0
	echo 36500d >"$MNT/d/t/retention/memory"
	# Something else holds a part of the disk, as it would.
	dd if=/dev/zero of="$DISK/ballast" bs=1M count=36 2>/dev/null
	fill a
	echo "full after $ROWS rows"
	[ "$ROWS" -gt 2000 ]
	counts
	# Again and again: still refused or taken as a whole, still readable.
	accepts || grep -q 'No space left' "$DIR/dd"
	counts
	grep -q . "$MNT/d/status"
	rm "$DISK/ballast"
	wait_for 30 accepts
	counts
	tide_remount
	counts
}

@test "full while rows become tiles: nothing is lost, and it goes on with room" {
	ROWS=0
	echo 36500d >"$MNT/d/t/retention/memory"
	dd if=/dev/zero of="$DISK/ballast" bs=1M count=36 2>/dev/null
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
	ROWS=0
	echo 36500d >"$MNT/d/t/retention/memory"
	dd if=/dev/zero of="$DISK/ballast" bs=1M count=36 2>/dev/null
	fill a
	tide_umount
	# To the last byte.
	dd if=/dev/zero of="$DISK/more" bs=4k 2>/dev/null || true
	tide_mount
	counts
	rm "$DISK/more" "$DISK/ballast"
	wait_for 30 accepts
	counts
}
