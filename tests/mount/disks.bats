#!/usr/bin/env bats
# Two databases on two disks of their own (loop devices), and one of the disks is destroyed, hangs or is not
# there: the other database goes on, and the first one says what is wrong. LOAD_S: seconds of load before and
# after that.

setup() {
	load helper
	tide_setup
	S=${LOAD_S:-2}
	need python3 mkfs.ext4 losetup
	[ "$(id -u)" = 0 ] || skip "mounting an image needs root"
	# In memory where that is possible: the real disk's pauses are not what is tested.
	IMAGES=$(mktemp -d /dev/shm/tidefs-test.XXXXXX 2>/dev/null) || IMAGES=$DIR
	local d
	for d in a b; do
		mkdir "$DIR/$d"
		truncate -s 128M "$IMAGES/$d.img"
		mkfs.ext4 -q -m 0 "$IMAGES/$d.img"
		mount -o loop "$IMAGES/$d.img" "$DIR/$d" 2>"$DIR/why" || skip "no loop device here: $(head -n 1 "$DIR/why")"
		mkdir "$DIR/$d/cell"
	done
	tide_mount
	tide_umount
	ln -s "$DIR/a/cell" "$DATA/db/a"
	ln -s "$DIR/b/cell" "$DATA/db/b"
}

teardown() {
	fsfreeze -u "$DIR/a" 2>/dev/null || true
	if [ -n "$TIDE_PID" ]; then
		fusermount3 -u "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT" 2>/dev/null || true
		wait_for 20 tide_is_gone || kill -9 "$TIDE_PID" 2>/dev/null || true
		wait "$TIDE_PID" 2>/dev/null || true
		TIDE_PID=
	fi
	local d
	for d in a b; do
		umount "$DIR/$d" 2>/dev/null || umount -l "$DIR/$d" 2>/dev/null || true
	done
	[ "$IMAGES" = "$DIR" ] || rm -rf "$IMAGES"
	tide_teardown
}

# shut_down DIR: the file system there answers every call with EIO from now on (EXT4_IOC_SHUTDOWN).
shut_down() {
	python3 -c 'import fcntl, os, struct, sys
fcntl.ioctl(os.open(sys.argv[1], os.O_RDONLY), 0x8004587d, struct.pack("I", 2))' "$1"
}
export -f shut_down

# load BEFORE AFTER COMMAND: see two_disks.py; of NAME prints one of its figures.
run_load() {
	mkdir -p "$MNT/a/t" "$MNT/b/t"
	timeout 120 python3 "$BATS_TEST_DIRNAME/two_disks.py" "$MNT" "$@" >"$DIR/figures"
	cat "$DIR/figures"
}
of() { sed -n "s/^$1=//p" "$DIR/figures"; }

# What b did in AFTER seconds against BEFORE seconds: at least a quarter of the rate, no error, no wrong answer.
b_went_on() {
	awk -v before="$(of b.acked_before)" -v after="$(of b.acked_after)" -v tb="$1" -v ta="$2" 'BEGIN {
		ratio = (after / ta) / (before / tb); printf "acknowledged by b, after : before = %.2f\n", ratio
		exit !(ratio > 0.25) }'
	expect "0 0 0" "$(of b.errors_before) $(of b.errors_after) $(of b.wrong)"
	[ "$(of b.queries_after)" -gt 10 ]
	awk -v w="$(of b.wait_after)" 'BEGIN { exit !(w < 5) }'
}

state_of() { sed -n "s/^database $1: //p" "$MNT/status"; }
rows_of() { timeout 10 cat "$MNT/q/SELECT count(*) FROM $1.t" | tail -n 1; }

# _a_ fails at all it should: an error and no hang, nothing that looks like an answer.
a_is_failed() {
	local out
	[[ "$(state_of a)" == failed:* ]]
	out=$(timeout 5 cat "$MNT/q/SELECT count(*) FROM a.t" 2>/dev/null) && return 1
	[[ $out == *"could not be opened"* ]]
	timeout 5 ls -la "$MNT/a" >/dev/null
	grep -q '^state: failed' "$MNT/a/status"
	grep -q '^reason: ' "$MNT/a/status"
	! grep -q '^rows' "$MNT/a/status"
	run timeout 5 mkdir "$MNT/a/x"
	[[ $status -eq 1 && $output == *"Input/output error"* ]]
	run timeout 5 rmdir "$MNT/a"
	[[ $status -eq 1 && $output == *"Input/output error"* ]]
	run timeout 5 mkdir "$MNT/a"
	[[ $status -eq 1 && $output == *"File exists"* ]]
	run timeout 5 bash -c "echo 'm v=1' >'$MNT/a/ingest'"
	[[ $status -eq 1 && $output == *"Input/output error"* ]]
	timeout 20 grep -r nothing "$MNT/a" && return 1
	timeout 20 cp -r "$MNT/a" "$DIR/copy"
	stat "$MNT/a" >/dev/null
	df "$MNT" "$MNT/b" >/dev/null
}

@test "a disk is destroyed under load: the other database goes on" {
	tide_mount
	run_load "$S" "$S" "shut_down $DIR/a"
	b_went_on "$S" "$S"
	[ "$(of a.errors_after)" -gt 0 ]
	expect "0 0" "$(of a.errors_before) $(of a.wrong)"
	[[ "$(state_of a)" == read-only:*"error"* ]]
	[[ "$(state_of b)" == ok ]]
	grep -q '^reason: .*error' "$MNT/a/status"
	run timeout 10 bash -c "echo 'm v=1' >'$MNT/a/ingest'"
	[ "$status" -ne 0 ]
	expect "$(of b.acked)" "$(rows_of b)"
	# What a still knows is right, or it says that it cannot.
	out=$(rows_of a) && [ "$out" -ge "$(of a.acked)" ]
	timeout 60 fusermount3 -u "$MNT"
	tide_wait_end
	tide_mount
	a_is_failed
	expect "$(of b.acked)" "$(rows_of b)"
	# The disk comes back, with what it had: all but the last seconds.
	tide_umount
	umount "$DIR/a"
	mount -o loop "$IMAGES/a.img" "$DIR/a"
	tide_mount
	expect ok "$(state_of a)"
	n=$(rows_of a)
	echo "a: $n of $(of a.acked) rows"
	[ "$n" -ge "$(of a.acked_early)" ]
	[ "$n" -le "$(of a.acked)" ]
	echo 'm v=1i' >"$MNT/a/t/ingest"
}

@test "the same in little memory, which the destroyed one fills" {
	tide_mount -o memory=8M
	run_load "$S" "$S" "shut_down $DIR/a"
	b_went_on "$S" "$S"
	expect "$(of b.acked)" "$(rows_of b)"
	timeout 60 fusermount3 -u "$MNT"
	tide_wait_end
	tide_mount
	[[ "$(state_of a)" == failed:* ]]
	expect "$(of b.acked)" "$(rows_of b)"
}

@test "a disk hangs: status says so, its rows in memory are read, the other database goes on" {
	need fsfreeze
	tide_mount
	( sleep 5; fsfreeze -u "$DIR/a" ) 3>&- &
	run_load 2 2.5 "fsfreeze -f $DIR/a; sleep 1; timeout 3 cat $MNT/status >$DIR/status; timeout 3 ls $MNT $MNT/a $MNT/a/t >/dev/null"
	wait $!
	cat "$DIR/status"
	grep -q '^database a: stalled: ' "$DIR/status"
	grep -q '^database b: ok' "$DIR/status"
	b_went_on 2 3.5
	expect "0 0 0" "$(of a.errors_before) $(of a.errors_after) $(of a.wrong)"
	[ "$(of a.queries_after)" -gt 10 ]
	wait_for 10 eval '[ "$(state_of a)" = ok ]'
	echo 'm v=1i' >"$MNT/a/t/ingest"
	expect "$(($(of a.acked) + 1))" "$(rows_of a)"
	tide_umount
}

@test "a disk is overwritten with other bytes" {
	tide_mount
	run_load 2 1 true
	tide_umount
	umount "$DIR/a"
	mount -o loop "$IMAGES/a.img" "$DIR/a"
	# All of what the files hold, but not what says where they lie.
	find "$DIR/a/cell" -type f | while read -r f; do
		dd if=/dev/urandom of="$f" bs=4096 count=$((($(stat -c %s "$f") + 4095) / 4096)) conv=notrunc 2>/dev/null
	done
	tide_mount
	a_is_failed
	expect "$(of b.acked)" "$(rows_of b)"
	tide_umount
	umount "$DIR/a"
	dd if=/dev/zero of="$IMAGES/a.img" bs=1M count=128 conv=notrunc 2>/dev/null
	tide_mount
	a_is_failed
	grep -q "^reason: .*db/a" "$MNT/a/status"
	expect "$(of b.acked)" "$(rows_of b)"
}

@test "a disk is not there at the start" {
	tide_mount
	run_load 1 1 true
	tide_umount
	# Not mounted: the link leads nowhere.
	umount "$DIR/a"
	tide_mount
	a_is_failed
	grep -q "^reason: .*a link to '$DIR/a/cell'" "$MNT/a/status"
	expect "$(of b.acked)" "$(rows_of b)"
	tide_umount
	# Not mounted, and the directory is there: no new database may begin in it.
	mkdir "$DIR/a/cell"
	tide_mount
	a_is_failed
	grep -q "not mounted" "$MNT/a/status"
	expect "" "$(ls "$DIR/a/cell")"
	tide_umount
	rmdir "$DIR/a/cell"
	mount -o loop "$IMAGES/a.img" "$DIR/a"
	tide_mount
	expect "$(of a.acked)" "$(rows_of a)"
}
