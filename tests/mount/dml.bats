# DELETE and INSERT: run once, inside the write that brings their `;`, with its errno.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	printf 'w,s=a v=1 1000000000\nw,s=a v=2 2000000000\nw,s=b v=3 3000000000\n' >"$MNT/iot/w/ingest"
	Q=$MNT/query
}
teardown() {
	unset TIDE_FAULT
	tide_teardown
}

n_rows() {
	sql 'SELECT count(*) FROM iot.w'
}

# as UID [GID...] -- COMMAND...: run it as that user.
as() {
	local uid=$1
	shift 2
	setpriv --reuid="$uid" --regid="$uid" --clear-groups "$@"
}

@test "what was deleted is gone when echo returns; the reader gets the number of rows, in any format" {
	echo "DELETE FROM iot.w WHERE s = 'a' AND v < 2;" >"$Q"
	expect 2 "$(n_rows)"
	expect $'rows\n1' "$(cat "$Q")"
	expect $'rows\n1' "$(cat "$Q")" # to read again is not to delete again
	expect '{"rows":1}' "$(cat "$Q.jsonl")"
	expect 2 "$(n_rows)"
	echo 'DELETE FROM iot.w WHERE v > 100;' >"$Q"
	expect $'rows\n0' "$(cat "$Q")"
	echo 'DELETE FROM w;' >"$MNT/iot/query"
	expect $'rows\n2' "$(cat "$MNT/iot/query")"
	expect 0 "$(n_rows)"
}

@test "INSERT: rows of a query, visible at once; repeated, the same rows" {
	for _ in 1 2; do
		echo "INSERT INTO iot.w (time, s, v) VALUES ('2001-01-01', 'c', 4), ('2001-01-02', 'c', 5);" >"$Q"
		expect $'rows\n2' "$(cat "$Q")"
		expect 5 "$(n_rows)"
	done
	mkdir "$MNT/iot/copy"
	echo 'INSERT INTO iot.copy SELECT * FROM iot.w;' >"$Q"
	expect $'rows\n5' "$(cat "$Q")"
	expect "$(cat "$MNT/q/SELECT * FROM iot.w ORDER BY time")" "$(cat "$MNT/q/SELECT * FROM iot.copy ORDER BY time")"
}

@test "several statements: each once, in order; the last may give rows" {
	echo "INSERT INTO iot.w (time, s, v) VALUES ('2001-01-01', 'c', 4); DELETE FROM iot.w WHERE s = 'a'; SELECT s, v FROM iot.w ORDER BY s" >"$Q"
	expect $'s,v\nb,3.0\nc,4.0' "$(cat "$Q")"
	cat >"$Q" <<-END
		DELETE FROM iot.w
		  WHERE s = 'c'
		;
		SELECT count(*) AS n
		  FROM iot.w;
	END
	expect $'n\n1' "$(cat "$Q")"
	# A line each: the number belongs to the last one.
	printf "INSERT INTO iot.w (time, v) VALUES ('2001-01-01', 1);\nDELETE FROM iot.w;\n" >"$Q"
	expect $'rows\n2' "$(cat "$Q")"
	# What ran has run, and a writer that sends the rest again is told what is wrong with it.
	run bash -c "echo \"INSERT INTO iot.w (time, v) VALUES ('2001-01-01', 1); DELETE FROM iot.nothing;\" > '$Q'"
	[ "$status" -ne 0 ]
	expect 1 "$(n_rows)"
	run cat "$Q"
	[[ $output == *"table 'nothing' does not exist"* ]]
}

@test "one handle: bash and Python" {
	exec 7<>"$Q"
	echo "DELETE FROM iot.w WHERE s = 'b';" >&7
	expect $'rows\n1' "$(cat <&7)"
	echo 'SELECT count(*) AS n FROM iot.w' >&7
	expect $'n\n2' "$(cat <&7)"
	exec 7>&-
	need python3
	python3 - "$Q" <<'PY'
import errno, sys
f = open(sys.argv[1], "r+b", buffering=0)
f.write(b"DELETE FROM iot.w WHERE v = 1;")
assert f.read() == b"rows\n1\n"
f.write(b"INSERT INTO iot.w (time, s, v) SELECT TIMESTAMP '2001-01-01', 'p', 9;\n")
assert f.read() == b"rows\n1\n"
for bad, no in [(b"DELETE FROM iot.w WHERE nothing = 1;", errno.EINVAL),
		(b"INSERT INTO iot.w (time, v) VALUES (NULL, 1);", errno.EINVAL),
		(b"INSERT INTO iot.w (time, v) VALUES (now() + 1d, 1);", errno.EINVAL),
		(b"DELETE FORM iot.w;", errno.EINVAL)]:
    try:
        f.write(bad)
        assert False, bad
    except OSError as e:
        assert e.errno == no, (bad, e)
    try:
        sentence = f.read(4096)
        f.read(4096)
        assert False, bad
    except OSError as e:
        assert e.errno == no and sentence.startswith(b"line 1:"), (bad, sentence)
f.write(b"SELECT count(*) AS n FROM iot.w")
assert f.read() == b"n\n2\n"
PY
}

@test "nothing happens before the ;, nor in q/" {
	echo 'DELETE FROM iot.w' >"$Q"
	run cat "$Q"
	[ "$status" -ne 0 ]
	[[ $output == *"runs once, when a ';' ends it"* ]]
	run cat "$MNT/q/DELETE FROM iot.w"
	[ "$status" -ne 0 ]
	[[ $output == *"Operation not permitted"* ]]
	run cat "$MNT/q/INSERT INTO iot.w (time, v) SELECT now(), 1"
	[[ $output == *"write this one to query"* ]]
	expect 3 "$(n_rows)"
	cat "$MNT/q/EXPLAIN DELETE FROM iot.w" | grep -q 'DELETE iot.w by series and time'
	cat "$MNT/q/EXPLAIN INSERT INTO iot.w SELECT * FROM iot.w" | grep -q 'INSERT iot.w (s, measure_name, time, v)'
	expect 3 "$(n_rows)"
	# Over two writes it runs when the second brings the ;
	exec 7>"$Q"
	echo 'DELETE FROM iot.w' >&7
	expect 3 "$(n_rows)"
	echo ' ;' >&7
	exec 7>&-
	expect 0 "$(n_rows)"
}

@test "the delete survives kill -9 right behind it; so does the insert" {
	echo "DELETE FROM iot.w WHERE s = 'a';" >"$Q"
	tide_kill9
	tide_mount
	expect 1 "$(n_rows)"
	echo "INSERT INTO iot.w (time, s, v) VALUES ('2001-01-01', 'c', 4);" >"$Q"
	tide_kill9
	tide_mount
	expect $'b,3.0\nc,4.0' "$(sql 'SELECT s, v FROM iot.w ORDER BY s')"
	tide_remount
	echo 'DELETE FROM iot.w;' >"$Q"
	tide_kill9
	tide_mount
	expect 0 "$(n_rows)"
}

@test "deleted rows leave the tiles, and stay away" {
	for _ in 1 2; do
		echo 1s >"$MNT/iot/w/retention/memory"
		wait_for 20 in_tiles 3
		echo "DELETE FROM iot.w WHERE v = 2;" >"$Q"
		expect 2 "$(n_rows)"
		tide_remount
		expect $'1.0\n3.0' "$(sql 'SELECT v FROM iot.w ORDER BY v')"
		echo 'w,s=a v=2 2000000000' >"$MNT/iot/w/ingest"
		expect 3 "$(n_rows)"
	done
}

in_tiles() {
	[ "$(stat_of "$MNT/iot/w/stats" tile_rows)" -ge "$1" ]
}

@test "rights: DELETE wants write on the table and the right to read, INSERT what its ingest wants" {
	[ "$(id -u)" -eq 0 ] || skip "needs root"
	tide_umount
	chmod 0755 "$DIR"
	tide_mount -o allow_other
	chmod 0666 "$Q"
	run as 1234 -- bash -c "echo 'DELETE FROM iot.w;' >'$Q'"
	[[ $output == *"Permission denied"* ]]
	run as 1234 -- bash -c "echo 'INSERT INTO iot.w (time, v) SELECT now(), 1;' >'$Q'"
	[[ $output == *"Permission denied"* ]]
	run as 1234 -- cat "$Q"
	[[ $output == *"line 1:17: you may not insert into table 'w'"* ]]
	expect 3 "$(n_rows)"
	chmod 0222 "$MNT/iot/w/ingest" # a sensor's: writes and does not read
	as 1234 -- bash -c "echo \"INSERT INTO iot.w (time, v) SELECT TIMESTAMP '2001-01-01', 1;\" >'$Q'"
	run as 1234 -- bash -c "echo 'INSERT INTO iot.w SELECT * FROM iot.w;' >'$Q'"
	[[ $output == *"Permission denied"* ]]
	chmod 0777 "$MNT/iot/w"
	run as 1234 -- bash -c "echo 'DELETE FROM iot.w;' >'$Q'"
	[[ $output == *"Permission denied"* ]]
	chmod 0666 "$MNT/iot/w/ingest"
	as 1234 -- bash -c "echo 'DELETE FROM iot.w;' >'$Q'"
	expect 0 "$(n_rows)"
	# Not more than that: the table is not this user's to drop.
	run as 1234 -- bash -c "echo 'DROP TABLE iot.w;' >'$Q'"
	[[ $output == *"Permission denied"* ]]
}

# long PARTS: a statement that takes some 30 ms a part, without its end.
long() {
	local i one='SELECT sum(sin(v) * ln(v) + cos(v) * exp(v / 1e3) + tan(v)) AS x FROM iot.many WHERE v > 0.5'
	printf "INSERT INTO iot.w SELECT TIMESTAMP '2001-01-01' AS time, sum(x) AS v FROM (%s" "$one"
	for i in $(seq "$1"); do printf ' UNION ALL %s' "$one"; done
	printf ') AS u'
}

@test "^C ends a statement, and nothing was done; a timer does not" {
	need python3
	mkdir "$MNT/iot/many"
	seq 300000 | awk '{ printf "w,s=%d v=%d %d000000\n", $1 % 100, $1 % 977, $1 + 5000 }' >"$MNT/iot/many/ingest"
	# Far longer than the second after which it is ended, also where a machine is fast and idle.
	{ long 900; echo ';'; } >"$DIR/long"
	{ long 20; echo ';'; } >"$DIR/short"
	local from=$SECONDS
	run timeout -s INT 1 dd if="$DIR/long" of="$Q" bs=128k
	expect 124 "$status"
	[ $((SECONDS - from)) -lt 4 ]
	expect 3 "$(n_rows)"
	python3 - "$Q" "$DIR/long" "$DIR/short" <<'PY'
import os, signal, sys, time
class Stop(Exception):
    pass
def stop(*_):
    raise Stop()
beats = 0
def beat(*_):
    global beats
    beats += 1
signal.signal(signal.SIGTERM, stop)
signal.signal(signal.SIGALRM, beat)
text = open(sys.argv[2], "rb").read()
f = os.open(sys.argv[1], os.O_RDWR)
# A timer that beats all the while ends nothing: it runs once, and to its end.
short = open(sys.argv[3], "rb").read()
signal.setitimer(signal.ITIMER_REAL, 0.02, 0.02)
assert os.write(f, short) == len(short)
assert os.read(f, 100) == b"rows\n1\n"
assert beats > 0
# A handled signal that is meant to end the program does, also when timers came before it.
child = os.fork()
if child == 0:
    time.sleep(1)
    os.kill(os.getppid(), signal.SIGTERM)
    os._exit(0)
before = time.monotonic()
try:
    os.write(f, text)
    assert False, "not interrupted"
except Stop:
    pass
assert time.monotonic() - before < 5
os.waitpid(child, 0)
# The handle goes on as if nothing had been written.
os.write(f, b"SELECT count(*) AS n FROM iot.w;")
assert os.read(f, 100) == b"n\n4\n"
signal.setitimer(signal.ITIMER_REAL, 0)
PY
	expect 4 "$(n_rows)"
}

@test "a database that refuses writes: EROFS, and queries go on" {
	for i in $(seq 10); do echo "w,s=c v=$i ${i}000000000" >>"$MNT/iot/w/ingest"; done
	tide_kill9
	# A hole in the log, with valid batches behind it.
	local log
	log=$(find "$DATA" -path "*iot/wal/*" -type f | head -n 1)
	printf '\377\377\377\377' | dd of="$log" bs=1 seek=$(($(stat -c %s "$log") / 2)) conv=notrunc 2>/dev/null
	tide_mount
	grep -q damaged "$MNT/iot/status"
	run bash -c "echo 'DELETE FROM iot.w;' >'$Q'"
	[[ $output == *"Read-only file system"* ]]
	run bash -c "echo 'INSERT INTO iot.w (time, v) SELECT now(), 1;' >'$Q'"
	[[ $output == *"Read-only file system"* ]]
	run cat "$Q"
	[[ $output == *"line 1:17: "*"refuses writes"* ]]
	[ "$(n_rows)" -ge 3 ]
}

@test "CREATE and DROP have no rows, and reading says no more than that" {
	echo 'CREATE TABLE iot.made;' >"$Q"
	expect "" "$(cat "$Q")"
	echo 'DROP TABLE iot.made;' >"$Q.json"
	expect "" "$(cat "$Q.json")"
	exec 9<>"$Q"
	echo 'CREATE TABLE iot.made;' >&9
	expect "" "$(cat <&9)"
	exec 9>&-
	echo 'SELECT 1 AS x' >"$Q"
	expect $'x\n1' "$(cat "$Q")"
}

@test "DROP and CREATE name what is missing, as ENOENT" {
	run bash -c "echo 'DROP TABLE iot.nope;' >'$Q'"
	[[ $output == *"No such file or directory"* ]]
	run bash -c "echo 'DROP DATABASE nope;' >'$Q'"
	[[ $output == *"No such file or directory"* ]]
	run bash -c "echo 'CREATE TABLE nope.t;' >'$Q'"
	[[ $output == *"No such file or directory"* ]]
	run cat "$Q"
	expect "line 1:14: database 'nope' does not exist" "${lines[0]}"
}

@test "the place of a mistake counts in all that was written" {
	# Not by the shell's own printf, which writes each line by itself.
	printf 'SELECT 1;\nSELECT 2; SELECT 3 AS "é", tmp;\n' >"$DIR/sql"
	run bash -c "cat '$DIR/sql' >'$Q'"
	run cat "$Q"
	[[ $output == "line 2:28: "* ]]
	printf 'SELECT 1; SELECT 2;\nSELECT\n tmp;\n' >"$DIR/sql"
	run bash -c "cat '$DIR/sql' >'$Q'"
	run cat "$Q"
	[[ $output == "line 3:2: "* ]]
}

@test "tidefs sql only reads, and says where to write what changes" {
	tide_umount
	run "$TIDEFS" sql "$DATA" 'DELETE FROM iot.w;'
	expect 1 "$status"
	[[ $output == *"line 1:1: "*"only read; write it to"*"query"* ]]
	expect 3 "$("$TIDEFS" sql "$DATA" 'SELECT count(*) FROM iot.w' | tail -n 1)"
	tide_mount
}
