#!/usr/bin/env bats
# What everyday tools see: every way of appending a line, of asking a question, of editing a setting,
# and every refusal as the errno and the sentence that a person or a script gets.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/d"
}

teardown() {
	tide_teardown
}

# lines N: N rows of one series, a millisecond apart, ending about now.
lines() {
	local i base=$(($(date +%s) - 60))
	for ((i = 1; i <= $1; i++)); do
		printf 'm,s=a v=%d %d%09d\n' "$i" $((base + i / 1000)) $((i % 1000 * 1000000))
	done
}

# holds N: the table has the rows 1..N, by count and by sum.
holds() {
	expect "$1,$(($1 * ($1 + 1) / 2)).0" "$(sql 'SELECT count(*), sum(v) FROM d.t')"
}

# Something that takes a second to compute, for tests of what goes on beside it.
make_slow_query() {
	mkdir -p "$MNT/d/t"
	python3 - >"$DIR/lp" <<'PY'
for i in range(400000):
    print(f"m,s=s{i % 50} v={i % 9973}.5 {1700000000000000000 + i * 1000000}")
PY
	cp "$DIR/lp" "$MNT/d/t/ingest"
	local nested=v i
	for i in $(seq 160); do nested="tan($nested)"; done
	SLOW="SELECT sum($nested) AS slow FROM d.t"
}

# ---- writing ------------------------------------------------------------------------------------------

@test "bash echo, a line at a time" {
	mkdir "$MNT/d/t"
	for i in $(seq 1000); do echo "m,s=a v=$i" >>"$MNT/d/t/ingest"; done
	expect "1000,500500.0" "$(cat "$MNT/q/SELECT count(*), sum(v) FROM d.t" | tail -n 1)"
}

@test "dash echo, a line at a time" {
	need dash
	mkdir "$MNT/d/t"
	dash -c 'i=1; while [ $i -le 200 ]; do echo "m,s=a v=$i" >> "$1"; i=$((i + 1)); done' - "$MNT/d/t/ingest"
	holds 200
}

@test "cp of a file, > and >> and cat" {
	mkdir "$MNT/d/t"
	lines 1000 >"$DIR/f"
	head -n 250 "$DIR/f" >"$DIR/f1"
	cp "$DIR/f1" "$MNT/d/t/ingest"
	holds 250
	sed -n 251,500p "$DIR/f" >"$MNT/d/t/ingest"
	holds 500
	sed -n 501,750p "$DIR/f" | cat >>"$MNT/d/t/ingest"
	holds 750
	sed -n 751,1000p "$DIR/f" >"$DIR/f4"
	cp -p "$DIR/f4" "$MNT/d/t/ingest"
	holds 1000
}

@test "the same file again changes nothing" {
	mkdir "$MNT/d/t"
	lines 300 >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	cp "$DIR/f" "$MNT/d/t/ingest"
	holds 300
}

@test "tee -a" {
	mkdir "$MNT/d/t"
	lines 1000 | tee -a "$MNT/d/t/ingest" >"$DIR/copy"
	holds 1000
	expect 1000 "$(wc -l <"$DIR/copy")"
}

@test "dd with blocks of 7 bytes" {
	mkdir "$MNT/d/t"
	lines 300 | dd bs=7 of="$MNT/d/t/ingest" conv=notrunc oflag=append 2>/dev/null
	holds 300
}

@test "awk, which cuts lines anywhere" {
	mkdir "$MNT/d/t"
	lines 3000 >"$DIR/f"
	awk -v to="$MNT/d/t/ingest" '{ print >> to }' "$DIR/f"
	holds 3000
}

@test "the last line needs no newline" {
	mkdir "$MNT/d/t"
	printf 'm,s=a v=1 1700000000000000000\nm,s=a v=2 1700000000000000001' >>"$MNT/d/t/ingest"
	wait_for 5 holds 2
}

@test "python writes" {
	need python3
	mkdir "$MNT/d/t"
	python3 - "$MNT/d/t/ingest" <<'PY'
import sys, os
path = sys.argv[1]
base = 1700000000000000000
with open(path, "a") as f:
    for i in range(1, 501):
        f.write(f"m,s=a v={i} {base + i}\n")
fd = os.open(path, os.O_WRONLY | os.O_APPEND)
for i in range(501, 601):
    line = f"m,s=a v={i} {base + i}\n".encode()
    assert os.write(fd, line) == len(line)
os.fsync(fd)
os.close(fd)
PY
	holds 600
}

@test "node writes" {
	need node
	mkdir "$MNT/d/t"
	node -e '
const fs = require("fs"), path = process.argv[1]
for (let i = 1; i <= 100; i++) fs.appendFileSync(path, `m,s=a v=${i} ${1700000000000000000n + BigInt(i)}\n`)
const s = fs.createWriteStream(path, {flags: "a"})
for (let i = 101; i <= 400; i++) s.write(`m,s=a v=${i} ${1700000000000000000n + BigInt(i)}\n`)
s.end()' "$MNT/d/t/ingest"
	holds 400
}

@test "perl writes" {
	need perl
	mkdir "$MNT/d/t"
	perl -e 'open my $f, ">>", $ARGV[0] or die $!;
print $f "m,s=a v=$_ ", 1700000000000000000 + $_, "\n" or die $! for 1 .. 500;
close $f or die $!' "$MNT/d/t/ingest"
	holds 500
}

@test "8 writers in parallel, each acknowledged line once" {
	mkdir "$MNT/d/t"
	for w in 1 2 3 4 5 6 7 8; do
		(for i in $(seq $((w * 100 - 99)) $((w * 100))); do
			echo "m,s=w$w v=$i" >>"$MNT/d/t/ingest"
		done) &
	done
	wait $(jobs -p | grep -vx "$TIDE_PID")
	holds 800
	expect 8 "$(sql 'SELECT count(DISTINCT s) FROM d.t')"
}

@test "8 writers of one series, times by the server" {
	mkdir "$MNT/d/t"
	for w in 1 2 3 4 5 6 7 8; do
		(for i in $(seq $((w * 50 - 49)) $((w * 50))); do echo "m,s=a v=$i" >>"$MNT/d/t/ingest"; done) &
	done
	wait $(jobs -p | grep -vx "$TIDE_PID")
	holds 400
}

@test "many lines of one series without times in one write" {
	mkdir "$MNT/d/t"
	for i in $(seq 500); do echo "m,s=a v=$i"; done >"$DIR/f"
	cp "$DIR/f" "$MNT/d/t/ingest"
	holds 500
}

@test "the database's ingest makes the table" {
	printf 'cpu,host=a load=1.5\nroom,name=x temp=20\n' >>"$MNT/d/ingest"
	expect "1.5" "$(sql 'SELECT load FROM d.cpu')"
	expect "20.0" "$(sql 'SELECT temp FROM d.room')"
	[ -d "$MNT/d/room/magnetic" ]
}

# ---- what is refused on the way in ------------------------------------------------------------------------

@test "a bad line: EINVAL from write, and rejected says why" {
	need python3
	mkdir "$MNT/d/t"
	run bash -c "echo 'm,s=a v=' >> '$MNT/d/t/ingest'"
	[ "$status" -ne 0 ]
	[[ $output == *"Invalid argument"* ]]
	python3 - "$MNT/d/t" <<'PY'
import errno, json, os, sys
t = sys.argv[1]
entry = [json.loads(l) for l in open(t + "/rejected")]
assert len(entry) == 1, entry
assert entry[0]["text"] == "m,s=a v=", entry
assert entry[0]["line"] == 1 and "ingest" in entry[0]["file"] and len(entry[0]["reason"]) > 8, entry
fd = os.open(t + "/ingest", os.O_WRONLY | os.O_APPEND)
for i in range(3):  # stdio tries the same bytes again: rejected gets them once
    try:
        os.write(fd, b"nonsense\n")
        raise SystemExit("the write should have failed")
    except OSError as e:
        assert e.errno == errno.EINVAL, e
# Good lines among bad ones are stored.
assert os.write(fd, b"m,s=a v=1\nbad\nm,s=b v=2\n") == 24
try:
    os.close(fd)
    raise SystemExit("close should report the rejected lines")
except OSError as e:
    assert e.errno == errno.EINVAL, e
entry = [json.loads(l) for l in open(t + "/rejected")]
assert [e["text"] for e in entry] == ["m,s=a v=", "nonsense", "bad"], entry
PY
	holds 2
	: >"$MNT/d/t/rejected"
	expect 0 "$(wc -c <"$MNT/d/t/rejected")"
}

@test "a type that does not fit is refused with a reason" {
	mkdir "$MNT/d/t"
	echo 'm,s=a v=1.5' >>"$MNT/d/t/ingest"
	run bash -c "echo 'm,s=a v=\"warm\"' >> '$MNT/d/t/ingest'"
	[ "$status" -ne 0 ]
	grep -q '"reason":".*v' "$MNT/d/t/rejected"
	# An integer into a DOUBLE column is taken.
	echo 'm,s=b v=2i' >>"$MNT/d/t/ingest"
	expect "2,3.5" "$(sql 'SELECT count(*), sum(v) FROM d.t')"
}

@test "times out of range are refused with a reason" {
	mkdir "$MNT/d/t"
	run bash -c "echo 'm,s=a v=1 $(($(date +%s) + 864000))000000000' >> '$MNT/d/t/ingest'"
	[ "$status" -ne 0 ]
	echo 7d >"$MNT/d/t/retention/magnetic"
	run bash -c "echo 'm,s=a v=1 $(($(date +%s) - 864000))000000000' >> '$MNT/d/t/ingest'"
	[ "$status" -ne 0 ]
	expect 2 "$(wc -l <"$MNT/d/t/rejected")"
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
}

# ---- asking -------------------------------------------------------------------------------------------------

# few: two rows to ask about.
few() {
	mkdir -p "$MNT/d/t"
	printf 'm,s=a v=1.5,k=7i 1700000000000000000\nm,s=b v=2.5 1700000001000000000\n' >>"$MNT/d/t/ingest"
}

@test "each format by its extension" {
	need python3
	few
	expect $'s,v,k\na,1.5,7\nb,2.5,' "$(cat "$MNT/q/SELECT s, v, k FROM d.t ORDER BY s.csv")"
	expect $'s\tv\na\t1.5\nb\t2.5' "$(cat "$MNT/q/SELECT s, v FROM d.t ORDER BY s.tsv")"
	cat "$MNT/q/SELECT s, v, k FROM d.t ORDER BY s.json" | python3 -c '
import json, sys
assert json.load(sys.stdin) == [{"s": "a", "v": 1.5, "k": 7}, {"s": "b", "v": 2.5, "k": None}]'
	expect 2 "$(cat "$MNT/q/SELECT * FROM d.t.jsonl" | python3 -c '
import json, sys
print(len([json.loads(l) for l in sys.stdin]))')"
	grep -q '2.5' "$MNT/q/SELECT * FROM d.t ORDER BY s.txt"
}

@test "echo SQL > query; cat query" {
	few
	echo 'SELECT count(*) FROM d.t' >"$MNT/query"
	expect 2 "$(cat "$MNT/query" | tail -n 1)"
	# The database's own: a bare table name resolves there.
	echo 'SELECT count(*) AS n FROM t' >"$MNT/d/query.json"
	expect '[{"n":2}]' "$(tr -d ' \n' <"$MNT/d/query.json")"
}

@test "a statement of several lines: echo and a here-document" {
	few
	echo 'SELECT
  count(*) AS n
FROM
  d.t
WHERE v > 2' >"$MNT/query"
	expect $'n\n1' "$(cat "$MNT/query")"
	cat >"$MNT/query" <<'SQL'
-- the larger ones
SELECT s,
       v
FROM d.t
WHERE v > 2
ORDER BY s;
SQL
	expect $'s,v\nb,2.5' "$(cat "$MNT/query")"
}

@test "one r+ handle: python write, then readline" {
	need python3
	few
	python3 - "$MNT/query" <<'PY'
import sys
with open(sys.argv[1], "r+") as f:
    f.write("SELECT s, v FROM d.t ORDER BY s")
    f.flush()
    assert f.readline() == "s,v\n"
    assert f.readline() == "a,1.5\n"
    assert f.read() == "b,2.5\n"
with open(sys.argv[1], "r+b", buffering=0) as f:
    for want in (b"_col0\n2\n", b"_col0\n2\n"):
        f.write(b"SELECT count(*) FROM d.t;")
        assert f.read() == want
PY
}

@test "one r+ handle: perl, node, bash" {
	need perl node
	few
	expect "s,v a,1.5 b,2.5" "$(perl -e 'open my $f, "+<", $ARGV[0] or die $!;
syswrite $f, "SELECT s, v FROM d.t ORDER BY s" or die $!;
my @l = <$f>; chomp @l; print "@l"' "$MNT/query")"
	expect $'s,v\na,1.5\nb,2.5' "$(node -e '
const fs = require("fs"), fd = fs.openSync(process.argv[1], "r+")
fs.writeSync(fd, "SELECT s, v FROM d.t ORDER BY s")
process.stdout.write(fs.readFileSync(fd))' "$MNT/query")"
	expect $'s,v\na,1.5\nb,2.5' "$(ask 'SELECT s, v FROM d.t ORDER BY s')"
}

@test "dd, head, cp and tail of a result" {
	few
	local f="$MNT/q/SELECT s, v FROM d.t ORDER BY s"
	expect $'s,v\na,1.5\nb,2.5' "$(dd if="$f" bs=3 2>/dev/null)"
	expect 's,v' "$(head -n 1 "$f")"
	expect 'b,2.5' "$(tail -n 1 "$f")"
	cp "$f" "$DIR/out.csv"
	expect $'s,v\na,1.5\nb,2.5' "$(cat "$DIR/out.csv")"
	expect "$(stat -c %s "$f")" "$(stat -c %s "$DIR/out.csv")"
	cp "$f" "$DIR/out2.csv" --reflink=auto --sparse=always
	cmp "$DIR/out.csv" "$DIR/out2.csv"
}

@test "node readFile and sendfile read a result whole" {
	need node python3
	few
	expect $'s,v\na,1.5\nb,2.5' "$(node -e '
require("fs").promises.readFile(process.argv[1], "utf8").then(t => process.stdout.write(t))' \
		"$MNT/q/SELECT s, v FROM d.t ORDER BY s")"
	python3 - "$MNT/q/SELECT s, v FROM d.t ORDER BY s" "$DIR/out" <<'PY'
import os, shutil, sys
shutil.copyfile(sys.argv[1], sys.argv[2])  # sendfile or copy_file_range
assert open(sys.argv[2]).read() == "s,v\na,1.5\nb,2.5\n"
PY
}

@test "tar takes a result along, and fails for a statement that is wrong" {
	few
	tar -C "$MNT/q" -cf "$DIR/ok.tar" 'SELECT s, v FROM d.t ORDER BY s'
	expect $'s,v\na,1.5\nb,2.5' "$(tar -xOf "$DIR/ok.tar")"
	run tar -C "$MNT/q" -cf "$DIR/bad.tar" 'SELECT nope FROM d.t'
	[ "$status" -ne 0 ]
}

@test "a wrong statement: the sentence, then an error, in every program" {
	need node python3 perl
	few
	local f="$MNT/q/SELECT nope FROM d.t"
	run cat "$f"
	[ "$status" -ne 0 ]
	[[ $output == *"line 1:8"* && $output == *"nope"* && $output == *"Invalid argument"* ]]
	run cp "$f" "$DIR/x"
	[ "$status" -ne 0 ]
	# Node before 20 takes a short read of a file of unknown size for its end, and never sees the error.
	if node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 20)'; then
		run node -e 'require("fs").promises.readFile(process.argv[1]).then(() => {}, e => { console.log(e.code); process.exit(7) })' "$f"
		expect "7 EINVAL" "$status $output"
	fi
	run python3 -c 'import sys; open(sys.argv[1]).read()' "$f"
	[ "$status" -ne 0 ]
	[[ $output == *"Invalid argument"* ]]
	run awk '{ print }' "$f"
	[ "$status" -ne 0 ]
	run bash -c "echo 'SELECT nope FROM d.t' > '$MNT/query'; cat '$MNT/query'"
	[ "$status" -ne 0 ]
	[[ $output == *"nope"* ]]
}

@test "a name that is no statement is no file" {
	run cat "$MNT/q/nonsense"
	[ "$status" -ne 0 ]
	[[ $output == *"No such file"* ]]
	run cat "$MNT/nothing" "$MNT/d/t/nothing"
	[[ $output == *"No such file"* ]]
	expect "" "$(ls "$MNT/q")"
}

@test "slashes in a file name: %2F" {
	few
	expect "2.0" "$(cat "$MNT/q/SELECT sum(v) %2F 2 FROM d.t" | tail -n 1)"
}

@test "a write in between is seen by the next read" {
	few
	local q='SELECT count(*) FROM d.t'
	for i in 3 4 5 6; do
		echo "m,s=x$i v=1" >>"$MNT/d/t/ingest"
		expect "$i" "$(sql "$q")"
	done
}

@test "CREATE, DROP and SHOW through the query file" {
	few
	ask 'CREATE DATABASE e;' >/dev/null
	[ -d "$MNT/e" ]
	run bash -c "echo 'DROP TABLE d.t;' > '$MNT/query'"
	expect 0 "$status"
	# The kernel believes what it knows of directories for a second.
	wait_for 3 eval "[ ! -e '$MNT/d/t' ]"
	[[ $(ask 'SHOW DATABASES') == *e* ]]
}

# ---- beside a slow query ------------------------------------------------------------------------------------

@test "a program with timer signals reads a slow query to its end" {
	need python3
	make_slow_query
	local want
	want=$(ask "$SLOW" | md5sum)
	python3 - "$MNT/query" "$SLOW" >"$DIR/out" <<'PY'
import os, signal, sys
ticks = 0
def tick(*a):
    global ticks
    ticks += 1
signal.signal(signal.SIGALRM, tick)
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, sys.argv[2].encode())
signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)
data = b""
while True:
    piece = os.read(fd, 65536)  # PEP 475: tried again after EINTR
    if not piece:
        break
    data += piece
signal.setitimer(signal.ITIMER_REAL, 0)
sys.stdout.buffer.write(data)
assert ticks > 3, ticks
PY
	expect "$want" "$(md5sum <"$DIR/out")"
}

@test "touch q/x and ls beside a slow query do not wait" {
	need python3
	make_slow_query
	cat "$MNT/q/$SLOW" >"$DIR/slow.out" &
	local reader=$!
	for i in 1 2 3 4 5; do
		run touch "$MNT/q/x"
		[ "$status" -ne 0 ]
		ls "$MNT" "$MNT/q" "$MNT/d/t" >/dev/null
		[ -e "$MNT/q/SELECT 1" ]
	done
	expect 1 "$(sql 'SELECT 1')"
	kill -0 "$reader" # all of that, and it is still at work
	[ ! -s "$DIR/slow.out" ]
	wait "$reader"
	expect 2 "$(wc -l <"$DIR/slow.out")"
}

@test "killing the reader ends a slow query at once" {
	need python3
	make_slow_query
	cat "$MNT/q/$SLOW" >/dev/null 2>&1 &
	local reader=$!
	sleep 0.2
	kill -9 "$reader"
	wait_for 5 eval "! kill -0 $reader 2>/dev/null"
	tide_umount
}

# ---- settings ------------------------------------------------------------------------------------------------

@test "retention is a file: echo, cp, sed -i, vim, mv" {
	need vim
	mkdir "$MNT/d/t"
	local f=$MNT/d/t/retention/memory
	expect 6h "$(cat "$f")"
	echo 12h >"$f"
	expect 12h "$(cat "$f")"
	echo 9h >"$DIR/value"
	cp "$DIR/value" "$f"
	expect 9h "$(cat "$f")"
	sed -i s/9h/8h/ "$f"
	expect 8h "$(cat "$f")"
	vim -u NONE -es -c '%s/8h/7h/' -c wq "$f" </dev/null
	expect 7h "$(cat "$f")"
	echo 5h >"$MNT/d/t/retention/new"
	mv "$MNT/d/t/retention/new" "$f"
	expect 5h "$(cat "$f")"
	printf 4h >"$f"
	expect 4h "$(cat "$f")"
	expect $'magnetic\nmemory' "$(ls "$MNT/d/t/retention")"
	tide_remount
	expect 4h "$(cat "$f")"
}

@test "a bad retention is EINVAL and changes nothing" {
	need python3
	mkdir "$MNT/d/t"
	local f=$MNT/d/t/retention/memory bad
	for bad in 'soon' '-1h' '0s' '1' '10 parsecs' '99999999999999y'; do
		run bash -c "echo '$bad' > '$f'"
		[ "$status" -ne 0 ]
		[[ $output == *"Invalid argument"* ]]
		expect 6h "$(cat "$f")"
	done
	: >"$f"
	expect 6h "$(cat "$f")"
	run python3 -c '
import sys
with open(sys.argv[1], "w") as f:
    f.write("soon")' "$f"
	[ "$status" -ne 0 ]
	[[ $output == *"Invalid argument"* ]]
	grep -q 'soon' "$MNT/status"
}

@test "each setting reads back what was written" {
	mkdir "$MNT/d/t"
	for f in "$MNT"/d/t/settings/*; do
		cat "$f" >"$DIR/v"
		cat "$DIR/v" >"$f"
		expect "$(cat "$DIR/v")" "$(cat "$f")"
	done
}

# ---- the tree ---------------------------------------------------------------------------------------------------

@test "control files stay: unlink, rename, mkdir and create are refused" {
	need python3
	few
	python3 - "$MNT" <<'PY'
import errno, os, sys
m = sys.argv[1]
def refused(want, f, *a):
    try:
        f(*a)
    except OSError as e:
        assert e.errno in want, (f, a, e)
        return
    raise SystemExit(f"{f} {a} should have failed")
EPERM, EACCES = errno.EPERM, errno.EACCES
for p in ("README", "status", "query", "query.json", "d/ingest", "d/status", "d/t/ingest", "d/t/rejected",
          "d/t/schema", "d/t/stats", "d/t/retention/memory", "d/t/settings/precision"):
    refused([EPERM], os.unlink, f"{m}/{p}")
    refused([EPERM, errno.EXDEV], os.rename, f"{m}/{p}", f"{m}/d/other")
    assert os.path.exists(f"{m}/{p}")
refused([errno.ENOENT], os.unlink, f"{m}/d/t/none")
refused([errno.ENOENT], os.stat, f"{m}/d/none")
refused([EPERM, EACCES, errno.EINVAL], os.mkdir, f"{m}/d/t/sub")
refused([errno.EEXIST, EPERM, errno.EINVAL], os.mkdir, f"{m}/d/query")
refused([errno.ENOTEMPTY], os.rmdir, f"{m}/d/t")
refused([errno.ENOTEMPTY], os.rmdir, f"{m}/d")
PY
	holds_two=$(sql 'SELECT count(*) FROM d.t')
	expect 2 "$holds_two"
	mkdir "$MNT/e" "$MNT/e/t"
	rmdir "$MNT/e/t" "$MNT/e"
}

@test "grep -r, cp -r and find -exec cat over the whole mount end" {
	few
	echo 1s >"$MNT/d/t/retention/memory"
	wait_for 20 eval "[ -n \"\$(find '$MNT/d/t/magnetic' -name '*.parquet')\" ]"
	timeout 30 grep -rc temp "$MNT" >"$DIR/out" || [ $? -eq 1 ]
	timeout 30 cp -r "$MNT" "$DIR/copy"
	timeout 30 find "$MNT" -type f -exec cat {} + >"$DIR/out"
	[ -s "$DIR/copy/README" ]
	expect 1 "$(find "$DIR/copy" -path '*/magnetic/*' -name '*.parquet' | wc -l)"
	timeout 30 du -s "$MNT" >/dev/null
	timeout 30 tar -C "$MNT" -cf "$DIR/all.tar" .
}

@test "README explains the mount" {
	grep -q ingest "$MNT/README"
	grep -q retention "$MNT/README"
}

# ---- the daemon ---------------------------------------------------------------------------------------------------

@test "SIGTERM and SIGINT unmount and exit 0" {
	few
	local s
	for s in TERM INT; do
		kill -$s "$TIDE_PID"
		tide_wait_end
		run mountpoint -q "$MNT"
		[ "$status" -ne 0 ]
		tide_mount
		expect 2 "$(sql 'SELECT count(*) FROM d.t')"
	done
}

@test "two daemons on one data directory: the second is refused with a sentence" {
	mkdir "$DIR/mnt2"
	run timeout 20 "$TIDEFS" "$DATA" "$DIR/mnt2" -f
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *"$DATA"* ]]
	run mountpoint -q "$DIR/mnt2"
	[ "$status" -ne 0 ]
	mkdir "$MNT/still"
}

@test "a directory of something else is refused with a sentence" {
	mkdir "$DIR/foreign" "$DIR/mnt2"
	echo precious >"$DIR/foreign/letter.txt"
	run timeout 20 "$TIDEFS" "$DIR/foreign" "$DIR/mnt2" -f
	[ "$status" -ne 0 ]
	[ "$status" -ne 124 ]
	[[ $output == *foreign* ]]
	expect letter.txt "$(ls -A "$DIR/foreign")"
}

@test "without -f the shell gets its prompt back when the mount is there" {
	mkdir "$DIR/mnt2"
	timeout 20 "$TIDEFS" "$DIR/data2" "$DIR/mnt2" </dev/null >"$DIR/said" 2>&1 3>&-
	[ -e "$DIR/mnt2/README" ]
	mkdir "$DIR/mnt2/e"
	fusermount3 -u "$DIR/mnt2"
}

@test "typing errors on the command line get a sentence and exit code 2 or 1" {
	for args in '' '--nonsense' 'onlyone' "$DIR/data3 $DIR/no/such/mountpoint" "$DIR/data3 $MNT -o nonsense=1"; do
		# shellcheck disable=SC2086
		run timeout 20 "$TIDEFS" $args
		echo "args '$args': $status $output"
		[ "$status" -ne 0 ]
		[ "$status" -lt 124 ]
		[ -n "$output" ]
	done
	run "$TIDEFS" --help
	expect 0 "$status"
	[[ $output == *DATA_DIR*MOUNTPOINT* ]]
	run "$TIDEFS" version
	expect 0 "$status"
}
