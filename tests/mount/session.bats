# Starting and stopping.

setup() {
	load helper
	tide_setup
}
teardown() {
	fusermount3 -u -q "$MNT" 2>/dev/null || true
	tide_teardown
}

# fails_saying TEXT ARG...
fails_saying() {
	local text=$1 out
	shift
	if out=$("$TIDEFS" "$@" 2>&1); then
		echo "worked: $*"
		return 1
	fi
	[[ $out == *"$text"* ]] || {
		echo "said: $out"
		return 1
	}
}

# The pid of the daemon that mounted in the background: whoever holds the data directory.
daemon_gone() { "$TIDEFS" sql "$DATA" 'SELECT 1' >/dev/null 2>&1; }

@test "wrong command lines get a sentence" {
	fails_saying "did you mean memory" "$DATA" "$MNT" -o memry=1G
	fails_saying "a size such as" "$DATA" "$MNT" -o memory=lots
	fails_saying "needs a value" "$DATA" "$MNT" -o spool
	fails_saying "takes no value" "$DATA" "$MNT" -o allow_other=1
	fails_saying "a duration" "$DATA" "$MNT" -o sync_interval=x
	fails_saying "no such option" "$DATA" "$MNT" --frob
	fails_saying "MOUNTPOINT is missing" "$DATA"
	fails_saying "one argument too many" "$DATA" "$MNT" x
	fails_saying "DATA_DIR is empty" "" "$MNT"
	fails_saying "MOUNTPOINT is empty" "$DATA" ""
	run "$TIDEFS" "$DATA"
	[ "$status" -eq 2 ]
	"$TIDEFS" --help | grep -q sync_interval
	"$TIDEFS" version | grep -q tidefs
	"$TIDEFS" --version | grep -q tidefs
}

@test "mount points that cannot be one get a sentence" {
	fails_saying "No such file" "$DATA" "$DIR/nowhere"
	touch "$DIR/file"
	fails_saying "no directory" "$DATA" "$DIR/file"
	mkdir -p "$DIR/full/x" "$DATA/m"
	fails_saying "not empty" "$DATA" "$DIR/full"
	fails_saying "inside the data directory" "$DATA" "$DATA/m"
	mkdir "$DIR/outer"
	fails_saying "inside the mount point" "$DIR/outer/data" "$DIR/outer"
	[ ! -e "$DIR/outer/data" ]
}

@test "data directories that cannot be one get a sentence" {
	mkdir "$DIR/foreign"
	echo hello >"$DIR/foreign/letter.txt"
	fails_saying "foreign" "$DIR/foreign" "$MNT"
	touch "$DIR/file"
	fails_saying "file" "$DIR/file" "$MNT"
	tide_mount
	mkdir "$DIR/second"
	fails_saying "$DATA" "$DATA" "$DIR/second"
	run mountpoint -q "$DIR/second"
	[ "$status" -ne 0 ]
	fails_saying "mounted on '$MNT' already" "$DIR/other" "$MNT"
	[ ! -e "$DIR/other" ]
}

@test "a data directory whose making was cut short is made the next time" {
	mkdir -p "$DATA/db"
	: >"$DATA/tidefs.format.tmp"
	tide_mount
	tide_umount
	mkdir -p "$DIR/foreign/db/theirs"
	fails_saying "not a tidefs data directory" "$DIR/foreign" "$MNT"
}

@test "in the background: returns when the mount is usable" {
	"$TIDEFS" "$DATA" "$MNT"
	[ -e "$MNT/README" ]
	mkdir "$MNT/iot"
	grep -q 'info mount' "$DATA/tidefs.log"
	fusermount3 -u "$MNT"
	wait_for 10 daemon_gone
	run grep -E ' (warn|error) ' "$DATA/tidefs.log"
	[ "$status" -eq 1 ]
}

@test "remounting at once works: the new daemon waits for the old one" {
	for i in 1 2 3; do
		"$TIDEFS" "$DATA" "$MNT"
		[ -e "$MNT/README" ]
		fusermount3 -u "$MNT"
	done
	wait_for 10 daemon_gone
}

@test "SIGTERM unmounts and ends with 0" {
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	echo 'w v=1 1000000000' >>"$MNT/iot/w/ingest"
	kill -TERM "$TIDE_PID"
	tide_wait_end
	[ "$(mountpoint "$MNT")" = "$MNT is not a mountpoint" ]
	tide_mount
	expect 1 "$(stat_of "$MNT/iot/w/stats" memtable_rows)$(:)" || expect 1 "$(stat_of "$MNT/iot/w/stats" run_rows)"
}

@test "SIGINT with the mount in use: detached, and ends with 0" {
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	exec 5>>"$MNT/iot/w/ingest"
	kill -INT "$TIDE_PID"
	# What is open still works for a moment.
	wait_for 5 eval '! mountpoint -q "$MNT"'
	echo 'w v=1 1000000000' >&5
	exec 5>&-
	tide_wait_end
}

@test "SIGTERM while a file stays open: ends all the same" {
	tide_mount
	exec 5<"$MNT/README"
	kill -TERM "$TIDE_PID"
	tide_wait_end
	exec 5<&-
}

@test "the mount helper takes what mount(8) gives it" {
	run "$ROOT/mount-scripts/mount.tidefs" "$DATA" "$MNT" -v -o rw,noauto,nofail,_netdev,x-systemd.automount,memory=64M
	expect "" "$output"
	[ -e "$MNT/README" ]
	fusermount3 -u "$MNT"
	wait_for 10 daemon_gone
}

@test "-o ro: nothing can be written" {
	"$TIDEFS" "$DATA" "$MNT" -o ro
	run mkdir "$MNT/iot"
	[[ $output == *"Read-only"* ]]
	fusermount3 -u "$MNT"
	wait_for 10 daemon_gone
}

@test "sql without a mount" {
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	echo 'w v=1.5 1000000000' >>"$MNT/iot/w/ingest"
	tide_umount
	expect "$(printf 'v\n1.5')" "$("$TIDEFS" sql "$DATA" 'SELECT v FROM iot.w')"
	expect '{"v":1.5}' "$("$TIDEFS" sql "$DATA" 'SELECT v FROM iot.w' jsonl)"
	fails_saying "line 1:8" sql "$DATA" 'SELECT nothing FROM iot.w'
	fails_saying "changes" sql "$DATA" 'DROP TABLE iot.w'
	fails_saying "no format" sql "$DATA" 'SELECT 1' xml
	fails_saying "nowhere" sql "$DIR/nowhere" 'SELECT 1'
}

# insert NAME LIMIT: joins rows for a while, more of it the larger the limit.
insert() {
	timeout 60 bash -c 'printf "%s" "$1" 1<>"$2"' - "INSERT INTO iot.o SELECT now() AS time, '$1' AS s, count(*) AS n
		FROM iot.t AS a CROSS JOIN iot.t AS b CROSS JOIN (SELECT v FROM iot.t ORDER BY v LIMIT $2) AS c;" "$MNT/query" &
}

@test "all threads at long statements: the first that is done serves the others again" {
	tide_mount -o threads=4
	mkdir "$MNT/iot" "$MNT/iot/t" "$MNT/iot/o"
	for i in $(seq 2000); do echo "t,s=$i v=$i 1000000000"; done >>"$MNT/iot/t/ingest"
	insert short 100
	local a=$!
	insert short 100
	local b=$!
	sleep 0.1
	insert long 2000
	local c=$!
	sleep 0.1
	insert long 2000
	local d=$!
	wait "$a" "$b"
	timeout 5 stat "$MNT/README" >/dev/null
	kill -0 "$c" "$d"
	kill "$c" "$d"
	wait "$c" "$d" || true
}
