# helper.bash: a mount of its own for each test. Loaded by every .bats file here:
#
#	setup()    { load helper; tide_setup; tide_mount; }
#	teardown() { tide_teardown; }
#
# The daemon runs in the foreground as a child of the test, so that its pid and exit code are known.
# tide_mount returns when the mount answers, tide_umount when the daemon has ended; nothing here
# sleeps for a guessed time. A test that fails leaves the daemon's messages in its output.
# shellcheck shell=bash

# tide_setup: $DIR (private, removed by teardown), $DATA and $MNT below it.
tide_setup() {
	ROOT=$(cd "$BATS_TEST_DIRNAME/../.." && pwd)
	TIDEFS=${TIDEFS:-$ROOT/build/tidefs}
	TIDE_BIN=${TIDE_BIN:-$ROOT/build/release}
	DIR=$(mktemp -d "${TMPDIR:-/tmp}/tidefs-test.XXXXXX")
	DATA=$DIR/data
	MNT=$DIR/mnt
	LOG=$DIR/log
	TIDE_PID=
	mkdir "$MNT"
	: >"$LOG"
}

# tide_mount [OPTION...]: starts the daemon over $DATA and waits until it serves $MNT.
tide_mount() {
	"$TIDEFS" "$DATA" "$MNT" -f "$@" >>"$LOG" 2>&1 3>&- &
	TIDE_PID=$!
	wait_for 30 tide_answers || {
		echo "the mount did not come up; the daemon said:"
		cat "$LOG"
		return 1
	}
}

# The mount is there, or the daemon is gone (then waiting on is of no use).
tide_answers() {
	if ! kill -0 "$TIDE_PID" 2>/dev/null; then
		echo "the daemon ended"
		return 2
	fi
	[ -e "$MNT/README" ]
}

# wait_for SECONDS COMMAND...: until the command succeeds; 1 when time is up, or when it returned 2.
wait_for() {
	local end=$((SECONDS + $1)) rc
	shift
	while :; do
		rc=0
		"$@" || rc=$?
		[ "$rc" -eq 0 ] && return 0
		[ "$rc" -eq 2 ] && return 1
		[ "$SECONDS" -ge "$end" ] && return 1
		sleep 0.05
	done
}

# tide_umount: as `fusermount3 -u` does; fails unless the daemon then ends with 0.
tide_umount() {
	fusermount3 -u "$MNT" && tide_wait_end
}

# tide_wait_end: the daemon's exit code becomes this function's.
tide_wait_end() {
	local pid=$TIDE_PID rc=0
	TIDE_PID=
	wait "$pid" || rc=$?
	return "$rc"
}

# tide_kill9: the daemon is gone at once, as in a crash; the dead mount is cleared away.
tide_kill9() {
	kill -9 "$TIDE_PID" 2>/dev/null || true # it may have died by itself
	wait "$TIDE_PID" 2>/dev/null || true
	TIDE_PID=
	fusermount3 -u -z "$MNT" 2>/dev/null || true
}

tide_remount() {
	tide_umount && tide_mount "$@"
}

tide_teardown() {
	if mountpoint -q "$MNT" 2>/dev/null || [ -n "$TIDE_PID" ]; then
		fusermount3 -u "$MNT" 2>/dev/null || fusermount3 -u -z "$MNT" 2>/dev/null || true
	fi
	if [ -n "$TIDE_PID" ]; then
		wait_for 10 tide_is_gone || kill -9 "$TIDE_PID" 2>/dev/null || true
		wait "$TIDE_PID" 2>/dev/null || true
	fi
	if [ -z "${BATS_TEST_COMPLETED:-}" ] && [ -s "$LOG" ]; then
		echo "the daemon said:"
		tail -n 30 "$LOG"
	fi
	# A sanitizer's report is a failure, however well the test went.
	local rc=0
	if grep -qE 'ThreadSanitizer|AddressSanitizer|LeakSanitizer|runtime error:' "$LOG"; then
		cat "$LOG"
		rc=1
	fi
	# What a test's user may not list is still the test's to remove.
	[ -z "$DIR" ] || rm -rf "$DIR"
	return "$rc"
}

tide_is_gone() {
	! kill -0 "$TIDE_PID" 2>/dev/null
}

# sql STATEMENT: its rows as CSV without the header, by the file name form.
sql() {
	# A name may be too long for a path component: then the query file does.
	if [ "${#1}" -lt 240 ] && [[ $1 != */* ]]; then
		cat "$MNT/q/$1" | tail -n +2
	else
		ask "$1" | tail -n +2
	fi
}

# ask STATEMENT [FORMAT]: through one handle of the query file; with the header.
ask() {
	local fd rc=0
	exec {fd}<>"$MNT/query.${2:-csv}"
	printf '%s' "$1" >&"$fd"
	cat <&"$fd" || rc=$?
	exec {fd}>&-
	return "$rc"
}

# expect WHAT GOT: both shown when they differ.
expect() {
	[ "$1" = "$2" ] && return 0
	printf 'expected: %s\ngot:      %s\n' "$1" "$2"
	return 1
}

# need COMMAND...: skips the test where a program is not there, and says which.
need() {
	local c
	for c in "$@"; do
		command -v "$c" >/dev/null 2>&1 || skip "$c is not installed"
	done
}

# stat_of FILE NAME: the value of a `name: value` line.
stat_of() {
	sed -n "s/^$2: *//p" "$1"
}
