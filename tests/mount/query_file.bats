# query: SQL in, rows out, by one handle or by two commands of one session.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	printf 'w,s=a v=1 1000000000\nw,s=b v=2 2000000000\n' >"$MNT/iot/w/ingest"
	Q=$MNT/query
}
teardown() { tide_teardown; }

# many ROWS: that many rows, so that statements take a while.
many() {
	seq "$1" | awk '{ printf "w,s=%d v=%d %d000000\n", $1 % 100, $1 % 977, $1 + 5000 }' >"$MNT/iot/w/ingest"
}

# slow [PARTS]: a statement of one row that takes seconds over many rows.
slow() {
	local i one='SELECT sum(sqrt(v) * v + v / 3.0) AS x FROM iot.w WHERE v > 0.5'
	printf 'SELECT sum(x) FROM (%s' "$one"
	for i in $(seq "${1:-80}"); do printf ' UNION ALL %s' "$one"; done
	printf ') AS u'
}

@test "echo then cat, in every format" {
	echo 'SELECT s, v FROM iot.w ORDER BY v' >"$Q"
	expect $'s,v\na,1.0\nb,2.0' "$(cat "$Q")"
	expect $'s,v\na,1.0\nb,2.0' "$(cat "$Q.csv")"
	expect $'s\tv\na\t1.0\nb\t2.0' "$(cat "$Q.tsv")"
	expect $'{"s":"a","v":1.0}\n{"s":"b","v":2.0}' "$(cat "$Q.jsonl")"
	cat "$Q.json" | grep -q '{"s":"a","v":1.0}'
	cat "$Q.txt" | grep -q '^a  *1.0'
	# Each reader runs it again.
	echo 'w,s=c v=3 3000000000' >>"$MNT/iot/w/ingest"
	expect 4 "$(cat "$Q" | wc -l)"
}

@test "a database's query file knows its tables by bare names" {
	echo 'SELECT count(*) AS n FROM w' >"$MNT/iot/query"
	expect $'n\n2' "$(cat "$MNT/iot/query")"
	# It is another slot than the root's.
	echo 'SELECT 7 AS seven' >"$Q"
	expect $'n\n2' "$(cat "$MNT/iot/query")"
	expect $'seven\n7' "$(cat "$Q")"
}

@test "statements of many lines: echo, here-document, pieces; and >> goes on" {
	echo 'SELECT
  count(*) AS n
FROM iot.w' >"$Q"
	expect $'n\n2' "$(cat "$Q")"
	cat >"$Q" <<-END
		SELECT
		  7
		  AS seven
	END
	expect $'seven\n7' "$(cat "$Q")"
	echo 'SELECT' >"$Q"
	echo '1 AS one' >>"$Q"
	expect $'one\n1' "$(cat "$Q")"
	printf 'SELECT 12 AS n' | dd of="$Q" bs=3 2>/dev/null
	expect $'n\n12' "$(cat "$Q")"
}

@test "one handle: bash, dash, python, node, perl" {
	exec 7<>"$Q"
	echo 'SELECT 1 AS a;' >&7
	expect $'a\n1' "$(cat <&7)"
	echo 'SELECT 2 AS b' >&7
	expect $'b\n2' "$(cat <&7)"
	exec 7>&-
	expect $'a\n1' "$(dash -c "exec 3<>'$Q'; echo 'SELECT 1 AS a' >&3; cat <&3")"
	need python3 node perl
	python3 - "$Q" <<'PY'
import sys
f = open(sys.argv[1], "r+b", buffering=0)
f.write(b"SELECT 1 AS a")
assert f.read() == b"a\n1\n"
f.write(b"SELECT 2 AS b;")
assert f.read() == b"b\n2\n"
f.write(b"SELECT 3 AS c;")
f.seek(0)
assert f.read() == b"c\n3\n"
try:
    f.write(b"SELECT nothing;")
    assert False
except OSError as e:
    assert e.errno == 22
f.write(b"SELECT 4 AS d;")
assert f.read() == b"d\n4\n"
t = open(sys.argv[1], "r+")
t.write("SELECT 5 AS e"); t.flush()
assert t.read() == "e\n5\n"
PY
	expect $'a\n1' "$(node -e "
const fs = require('fs'), f = fs.openSync('$Q', 'r+')
fs.writeSync(f, 'SELECT 1 AS a'); process.stdout.write(fs.readFileSync(f))")"
	expect $'a\n1' "$(perl -e "open F, '+<', '$Q' or die; syswrite F, 'SELECT 1 AS a'; local \$/; print <F>")"
}

@test "nothing asked: a hint, and the end" {
	cat "$Q" | grep -q "echo 'SELECT 1' > query"
	: >"$Q"
	cat "$Q" | grep -q "echo 'SELECT 1' > query"
}

@test "what cannot become a statement is refused by the write; the reader sees why" {
	run bash -c "echo 'FROM SELECT' > '$Q'"
	[[ $output == *"Invalid argument"* ]]
	run cat "$Q"
	[ "$status" -eq 1 ]
	[[ $output == "line 1:1: "*"Invalid argument"* ]]
	expect 0 "$(stat -c %s "$Q")"
}

@test "names and types: refused by the write that brings the ;, else by the read" {
	run bash -c "echo 'SELECT nothing FROM iot.w;' > '$Q'"
	[ "$status" -ne 0 ]
	run cat "$Q"
	[[ $output == *"line 1:8"*"nothing"* ]]
	echo 'SELECT nothing FROM iot.w' >"$Q"
	run cat "$Q"
	[ "$status" -eq 1 ]
	[[ $output == *"line 1:8"*"nothing"* ]]
	# For good: the end never comes.
	need python3
	python3 - "$Q" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_RDONLY)
assert b"line 1:8" in os.read(f, 4096)
for i in range(3):
    try:
        os.read(f, 4096)
        assert False
    except OSError as e:
        assert e.errno == 22
PY
	# A right one after it works.
	echo 'SELECT 1 AS a' >"$Q"
	expect $'a\n1' "$(cat "$Q")"
}

@test "a wrong line of a text takes the rest of it with it" {
	run bash -c "printf 'SELEC 1;\n' > '$Q'"
	[ "$status" -ne 0 ]
	need python3
	python3 - "$Q" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY)
for part in (b"FROM x\n", b"CREATE TABLE iot.never;\n"):
    try:
        os.write(f, part)
        assert False
    except OSError as e:
        assert e.errno == 22
PY
	[ ! -e "$MNT/iot/never" ]
}

@test "changing statements run once, in the write that brings the ;, with its errno" {
	echo 'CREATE TABLE iot.t;' >"$Q"
	[ -d "$MNT/iot/t" ]
	run bash -c "echo 'CREATE TABLE iot.t;' > '$Q'"
	[[ $output == *"File exists"* ]]
	run cat "$Q"
	[[ $output == *"'t'"* ]]
	echo 'DROP TABLE iot.t' >"$Q"
	[ -d "$MNT/iot/t" ]
	run cat "$Q"
	[ "$status" -eq 1 ]
	[[ $output == *"';'"* ]]
	[ -d "$MNT/iot/t" ]
	echo 'DROP TABLE iot.t; CREATE TABLE iot.u; SELECT 1 AS a;' >"$Q"
	[ ! -e "$MNT/iot/t" ]
	[ -d "$MNT/iot/u" ]
	expect $'a\n1' "$(cat "$Q")"
	echo 'DROP TABLE iot.w;' >"$Q"
	[ ! -e "$MNT/iot/w" ]
}

@test "a later statement that fails does not make an earlier one run twice" {
	need python3
	python3 - "$Q" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_WRONLY)
text = b"CREATE TABLE iot.one; CREATE TABLE iot.w;"
n = os.write(f, text)
assert text[:n] == b"CREATE TABLE iot.one;", n
try:
    os.write(f, text[n:])
    assert False
except OSError as e:
    assert e.errno == 17
PY
	[ -d "$MNT/iot/one" ]
}

@test "sessions do not meet" {
	echo 'SELECT 1 AS mine' >"$Q"
	setsid -w bash -c "cat '$Q' | grep -q 'Nothing was asked'"
	setsid -w bash -c "echo 'SELECT 2 AS other' > '$Q'; cat '$Q' | grep -q other"
	expect $'mine\n1' "$(cat "$Q")"
}

@test "long results stream whole, and readers may stop early" {
	many 200000
	echo 'SELECT v, s, time FROM iot.w' >"$Q"
	expect 200003 "$(cat "$Q" | wc -l)"
	expect 200003 "$(dd if="$Q" bs=1000 2>/dev/null | wc -l)"
	cat "$Q" | head -1 | grep -q 'v,s,time'
	(sleep 1; cat) <"$Q" | wc -l | grep -qx 200003
}

@test "beside a slow statement everything else goes on" {
	many 500000
	slow >"$MNT/query.json"
	cat "$MNT/query.json" >"$DIR/out" &
	reader=$!
	sleep 0.2
	begin=$(date +%s%N)
	ls -R "$MNT" >/dev/null
	run touch "$MNT/q/x"
	cat "$MNT/status" >/dev/null
	echo 'w,s=z v=1 9000000000' >>"$MNT/iot/w/ingest"
	cat "$MNT/q/SELECT 1 AS a" >/dev/null
	took=$((($(date +%s%N) - begin) / 1000000))
	kill -0 "$reader" || skip "the machine is too fast for this statement"
	wait "$reader"
	[ "$took" -lt 1500 ] || { echo "took $took ms"; false; }
	grep -q '"_col0":' "$DIR/out"
}

@test "a signal interrupts a waiting reader at once, and a retry gets the rows" {
	need python3
	many 500000
	slow >"$Q"
	python3 - "$Q" <<'PY'
import os, signal, sys, time
class Stop(Exception): pass
def stop(*a): raise Stop()
signal.signal(signal.SIGALRM, stop)
f = os.open(sys.argv[1], os.O_RDONLY)
signal.setitimer(signal.ITIMER_REAL, 0.2)
begin = time.time()
try:
    os.read(f, 65536)
    sys.exit(0)  # too fast to be interrupted
except Stop:
    late = time.time() - begin - 0.2
assert late < 0.3, late
rows = b""
while True:
    part = os.read(f, 65536)
    if not part:
        break
    rows += part
assert rows.count(b"\n") == 2, rows
PY
}

@test "closing a reader ends its statement" {
	# Rows of today: nothing is to be moved to tiles in the background, which would look busy, too.
	seq 300000 | awk -v t="$(date +%s)" '{ printf "w,s=%d v=%d %d%06d000\n", $1 % 100, $1 % 977, t - 60, $1 }' \
		>"$MNT/iot/w/ingest"
	cpu() { awk '{ print $14 + $15 }' "/proc/$TIDE_PID/stat"; }
	idle() {
		local a b
		a=$(cpu)
		sleep 0.5
		b=$(cpu)
		[ $((b - a)) -lt 10 ]
	}
	wait_for 60 idle
	# Half a minute of work, were it not ended.
	local x=v
	for i in $(seq 100); do x="sqrt($x + 1.5)"; done
	slow 200 | sed "s|sqrt(v) \\* v|$x|g" >"$Q"
	timeout 0.5 cat "$Q" || true
	wait_for 12 idle
}

@test "jobs of one session write at the same time: one statement or another, never a mixture" {
	need python3
	python3 - "$Q" <<'PY'
import os, sys
# As two shells do: both open with >, then both write.
a = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
b = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(a, b"SELECT 1 AS a\n")
os.write(b, b"SELECT 2 AS a\n")
os.close(a)
os.close(b)
assert open(sys.argv[1]).read() == "a\n2\n"
PY
}

@test "fcntl locks of query belong to the open file" {
	need python3
	python3 - "$MNT/query" <<'PY'
import errno, fcntl, os, sys, time
path = sys.argv[1]

def free(fd):
    try:
        fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as e:
        assert e.errno in (errno.EAGAIN, errno.EACCES), e
        return False
    fcntl.lockf(fd, fcntl.LOCK_UN)
    return True

a, b = os.open(path, os.O_RDWR), os.open(path, os.O_RDWR)
fcntl.lockf(a, fcntl.LOCK_EX)
assert not free(b)
os.close(os.dup(a))
assert not free(b)
if os.fork() == 0: # shares what it inherits
    fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os._exit(0 if not free(b) else 1)
assert os.wait()[1] == 0
assert not free(b)
fcntl.lockf(a, fcntl.LOCK_UN)
assert free(b)
fcntl.lockf(a, fcntl.LOCK_EX)
os.close(a)
end = time.time() + 5
while not free(b): # the kernel tells of the last close behind its back
    assert time.time() < end
    time.sleep(0.01)
PY
}
