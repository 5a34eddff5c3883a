# Appending: every tool, in every size of pieces, and what a bad line does.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	T=$MNT/iot/w
}
teardown() { tide_teardown; }

rows() { stat_of "$T/stats" rows_in; }

@test "shells and tools append" {
	echo 'w,s=1 v=1 1000000000' >>"$T/ingest"
	dash -c "echo 'w,s=1 v=2 2000000000' >> '$T/ingest'"
	echo 'w,s=1 v=3 3000000000' >"$T/ingest"
	printf 'w,s=1 v=4 4000000000\nw,s=1 v=5 5000000000\n' | tee -a "$T/ingest" >/dev/null
	expect 5 "$(rows)"
	printf 'w,s=1 v=6 6000000000\nw,s=1 v=7 7000000000' >"$DIR/lp"
	cp "$DIR/lp" "$T/ingest"
	wait_for 5 test "$(rows)" -eq 7 || wait_for 5 eval '[ "$(rows)" -eq 7 ]'
	cat "$DIR/lp" >>"$T/ingest"
	wait_for 5 eval '[ "$(rows)" -eq 9 ]'
	dd if="$DIR/lp" of="$T/ingest" bs=7 2>/dev/null
	wait_for 5 eval '[ "$(rows)" -eq 11 ]'
	dd if="$DIR/lp" of="$T/ingest" bs=1 conv=fsync 2>/dev/null
	expect 13 "$(rows)"
	expect "" "$(cat "$T/rejected")"
}

@test "programs append: python, node, perl" {
	need python3 node perl
	python3 -c "open('$T/ingest','a').write('w v=1 1000000000\n')"
	python3 -c "
f=open('$T/ingest','wb',buffering=0)
for i in range(100): f.write(b'w v=%d %d000000000\n' % (i, i))"
	node -e "require('fs').appendFileSync('$T/ingest','w v=1 1000000000\n')"
	perl -e "open F,'>>','$T/ingest' or die; print F qq(w v=1 5\n); close F or die"
	expect 103 "$(rows)"
}

@test "bad lines: the good ones are stored, write fails only when all were bad, close tells once" {
	run bash -c "echo nonsense >> '$T/ingest'"
	[[ $output == *"Invalid argument"* ]]
	need python3
	python3 - "$T/ingest" <<'PY'
import os, sys, errno
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
n = os.write(f, b"bad\nw v=1 1000000000\n")
assert n == 21, n
try:
    os.close(f)
    assert False, "close said nothing"
except OSError as e:
    assert e.errno == errno.EINVAL
f = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
os.write(f, b"w v=1 2000000000\n")
os.close(f)
PY
	expect 2 "$(rows)"
	expect 2 "$(wc -l <"$T/rejected")"
	expect "$(stat -c %s "$T/rejected")" "$(wc -c <"$T/rejected")"
	: >"$T/rejected"
	expect 0 "$(stat -c %s "$T/rejected")"
	expect "" "$(cat "$T/rejected")"
	run truncate -s 5 "$T/rejected"
	[ "$status" -ne 0 ]
}

@test "a partial line waits for its rest, and closing a copy of the descriptor takes nothing" {
	exec 5>>"$T/ingest"
	printf 'w v=1 10000' >&5
	(: >&5) # a fork that closes its copy: FLUSH
	bash -c 'true' 5>&5
	expect 0 "$(rows)"
	printf '00000\nw v=2 20' >&5
	expect 1 "$(rows)"
	exec 5>&-
	wait_for 5 eval '[ "$(rows)" -eq 2 ]'
	expect "" "$(cat "$T/rejected")"
}

@test "many writers at once do not wait for each other, and lose nothing" {
	for w in 1 2 3 4 5 6 7 8; do
		(for i in $(seq 100); do echo "w,s=$w v=$i $i" >>"$T/ingest"; done) &
	done
	wait $(jobs -p | grep -v "^$TIDE_PID\$")
	expect 800 "$(rows)"
}

@test "a table of the same name gets the lines, however lately the other one was dropped" {
	local i
	for i in 1 2 3 4 5; do
		mkdir "$MNT/iot/again"
		echo "again v=$i" >>"$MNT/iot/again/ingest"
		expect $'v\n'"$i.0" "$(cat "$MNT/q/SELECT v FROM iot.again")"
		echo "again v=$i 1000" >>"$MNT/iot/again/ingest" || true
		if [ $((i % 2)) -eq 1 ]; then
			rm -r "$MNT/iot/again" 2>/dev/null || echo 'DROP TABLE iot.again;' >"$MNT/query"
		else
			echo 'DROP TABLE iot.again;' >"$MNT/query"
		fi
		run bash -c "echo 'again v=9' >>'$MNT/iot/again/ingest'"
		[ "$status" -ne 0 ]
	done
}

@test "flock and fcntl locks hold between writers" {
	need flock python3
	exec 5>>"$T/ingest"
	flock 5
	run flock -n "$T/ingest" true
	[ "$status" -eq 1 ]
	flock "$T/ingest" touch "$DIR/got" 5>&- &
	waiter=$!
	exec 5>&-
	wait "$waiter"
	[ -e "$DIR/got" ]
	python3 - "$T/ingest" <<'PY'
import fcntl, os, sys
a = open(sys.argv[1], "ab")
fcntl.lockf(a, fcntl.LOCK_EX, 10, 0)
if os.fork() == 0:
    b = open(sys.argv[1], "ab")
    try:
        fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)
        os._exit(1)
    except OSError:
        pass
    fcntl.lockf(b, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 10)
    os._exit(0)
assert os.wait()[1] == 0
PY
}

@test "cp -p, touch and reading leave an ingest file as it is" {
	echo 'w v=1 1' >"$DIR/lp"
	chmod 0600 "$DIR/lp"
	touch -d 2001-01-01 "$DIR/lp"
	cp -p "$DIR/lp" "$T/ingest"
	expect 644 "$(stat -c %a "$T/ingest")"
	touch "$T/ingest"
	expect "" "$(cat "$T/ingest")"
	expect 1 "$(rows)"
}

@test "rows survive kill -9 and a remount" {
	echo 'w v=1 1000000000' >>"$T/ingest"
	tide_kill9
	tide_mount
	expect 1 "$(stat_of "$T/stats" memtable_rows)"
}

@test "a line that names no table goes to the database's own rejected" {
	run bash -c "echo '=x f=1' >> '$MNT/iot/ingest'"
	[[ $output == *"Invalid argument"* ]]
	grep -q '"file":"iot/ingest","line":1,.*"text":"=x f=1"' "$MNT/iot/rejected"
	expect "" "$(cat "$T/rejected")"
	: >"$MNT/iot/rejected"
	expect "" "$(cat "$MNT/iot/rejected")"
}

@test "reserving room (posix_fallocate) adds nothing to the lines" {
	need python3
	mkdir "$MNT/iot/room"
	python3 - "$MNT/iot/room/ingest" <<'PY'
import os, sys
f = os.open(sys.argv[1], os.O_RDWR)
os.posix_fallocate(f, 0, 100000)
os.write(f, b"room v=1 1000000000\n")
os.close(f)
PY
	expect 1 "$(sql 'SELECT count(*) FROM iot.room')"
	expect 0 "$(wc -l <"$MNT/iot/room/rejected")"
}

@test "cp -p leaves the mode alone while others append, in whichever thread it is changed" {
	need python3
	seq 1 20000 | sed 's/.*/w,s=c v=& &/' >"$DIR/lp"
	chmod 0600 "$DIR/lp"
	(for i in $(seq 1000); do echo "w,s=e v=$i $i" >>"$T/ingest"; done) &
	local others=$!
	for _ in $(seq 5); do cp -p "$DIR/lp" "$T/ingest"; done
	expect 644 "$(stat -c %a "$T/ingest")"
	wait "$others"
	expect 21000 "$(sql 'SELECT count(*) FROM iot.w')"
	python3 - "$T/ingest" <<'PY'
import os, sys, threading
f = os.open(sys.argv[1], os.O_WRONLY)
t = threading.Thread(target=os.fchmod, args=(f, 0o600))
t.start()
t.join()
PY
	expect 644 "$(stat -c %a "$T/ingest")"
	exec 7>>"$T/ingest"
	chmod 640 "$T/ingest"
	expect 640 "$(stat -c %a "$T/ingest")"
	exec 7>&-
}

@test "writers that open ingest at the same moment do not wait for each other, nor see ESTALE" {
	need python3
	python3 - "$T/ingest" <<'PY'
import os, sys, threading, time
path, end = sys.argv[1], time.time() + 3

def reopen(i):
    while time.time() < end:
        f = os.open(path, os.O_WRONLY)
        os.write(f, b"w,s=%d v=1 1000000000\n" % i)
        g = os.open("/proc/self/fd/%d" % f, os.O_WRONLY)
        os.write(g, b"w,s=%d v=2 2000000000\n" % i)
        os.close(f)
        os.close(g)

def guard(i):
    try:
        reopen(i)
    except OSError as e:
        print(e)
        os._exit(1)

threads = [threading.Thread(target=guard, args=(i,)) for i in range(8)]
for t in threads:
    t.start()
for t in threads:
    t.join()
PY
	expect 16 "$(sql 'SELECT count(*) FROM iot.w')"
}

@test "F_OFD_SETLK locks of ingest end with the open file" {
	need python3
	python3 - "$T/ingest" <<'PY'
import errno, fcntl, os, struct, sys, time
F_OFD_SETLK = 37
path = sys.argv[1]
a, b = os.open(path, os.O_WRONLY), os.open(path, os.O_WRONLY)

def lock(fd):
    try:
        fcntl.fcntl(fd, F_OFD_SETLK, struct.pack('hhqqi4x', fcntl.F_WRLCK, 0, 0, 0, 0))
    except OSError as e:
        assert e.errno in (errno.EAGAIN, errno.EACCES), e
        return False
    return True

assert lock(a) and not lock(b)
os.close(a)
end = time.time() + 5
while not lock(b):
    assert time.time() < end
    time.sleep(0.01)
PY
}
