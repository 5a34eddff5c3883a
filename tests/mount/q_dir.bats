# q/: the file name is the query.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	printf 'w,s=a v=1 1000000000\nw,s=b v=2 2000000000\n' >"$MNT/iot/w/ingest"
	Q=$MNT/q
}
teardown() { tide_teardown; }

@test "names are statements, extensions formats" {
	expect $'s,v\na,1.0\nb,2.0' "$(cat "$Q/SELECT s, v FROM iot.w ORDER BY v")"
	expect $'s,v\na,1.0\nb,2.0' "$(cat "$Q/SELECT s, v FROM iot.w ORDER BY v.csv")"
	expect $'{"v":1.0}\n{"v":2.0}' "$(cat "$Q/SELECT v FROM iot.w ORDER BY v.jsonl")"
	expect $'n\n2' "$(cat "$MNT/iot/q/SELECT count(*) AS n FROM w")"
	expect $'x\n2' "$(cat "$Q/SELECT 4%2F2 AS x")"
	expect $'x\n2' "$(cat "$Q/SELECT 4%2f2 AS x")"
	expect $'x\n%2F' "$(cat "$Q/SELECT '%252F' AS x")"
	expect $'csv\n1' "$(cat "$Q/SELECT 1 AS csv;")"
	expect $'json\n1' "$(cat "$Q/SELECT w.json FROM (SELECT 1 AS json) AS w;.csv")"
}

@test "sizes are true before anything was read: stat, cp, tar, ls" {
	f="$Q/SELECT s, v FROM iot.w ORDER BY v"
	expect 16 "$(stat -c %s "$f")"
	cp "$f" "$DIR/out"
	expect 16 "$(stat -c %s "$DIR/out")"
	run tar -C "$Q" -cf "$DIR/t.tar" "SELECT s, v FROM iot.w ORDER BY v"
	expect "" "$output"
	tar -xOf "$DIR/t.tar" | cmp - "$DIR/out"
	expect "" "$(ls "$Q")"
}

@test "a name that is no statement is not there; nothing can be made" {
	for n in nonsense x.csv .hidden desktop.ini 'SELECT' selection with.txt; do
		[ ! -e "$Q/$n" ]
	done
	run touch "$Q/x"
	[ "$status" -ne 0 ]
}

@test "a statement with a typing error says where it is" {
	run cat "$Q/SELECT * FORM iot.w"
	[ "$status" -eq 1 ]
	[[ $output == *"line 1:10"*"FORM"*"Invalid argument"* ]]
	run cat "$Q/SELECT * FROM iot.w.xlsx"
	[ "$status" -eq 1 ]
	[[ $output == *"line 1:20"* ]]
}

@test "a wrong statement is there, is empty, and reading it says why and fails" {
	f="$Q/SELECT nothing FROM iot.w"
	expect 0 "$(stat -c %s "$f")"
	run cat "$f"
	[ "$status" -eq 1 ]
	[[ $output == *"line 1:8"*"nothing"*"Invalid argument"* ]]
	run cp "$f" "$DIR/out"
	[ "$status" -ne 0 ]
	need python3 node
	run python3 -c "open('$f').read()"
	[ "$status" -ne 0 ]
	run node -e "require('fs').readFileSync('$f')"
	[ "$status" -ne 0 ]
	run cat "$Q/DROP TABLE iot.w"
	[ "$status" -ne 0 ]
	[ -d "$MNT/iot/w" ]
	run cat "$Q/SELECT 1; SELECT 2"
	[ "$status" -ne 0 ]
}

@test "what was written is read: a result is never older than the data" {
	f="$Q/SELECT count(*) AS n FROM iot.w"
	for i in 3 4 5 6 7 8 9; do
		expect $((i - 1)) "$(tail -1 "$f")"
		echo "w,s=c v=$i ${i}000000000" >>"$MNT/iot/w/ingest"
		expect 5 "$(stat -c %s "$f" | sed 's/4/5/')" # n\n3\n
		expect "$i" "$(tail -1 "$f")"
	done
}

@test "now() and random() are new for each reader, and the same for stat and open" {
	a=$(cat "$Q/SELECT now() AS t")
	sleep 0.01
	b=$(cat "$Q/SELECT now() AS t")
	[ "$a" != "$b" ]
	need python3
	python3 - "$Q/SELECT random() AS x" <<'PY'
import os, sys
for i in range(50):
    n = os.stat(sys.argv[1]).st_size
    f = os.open(sys.argv[1], os.O_RDONLY)
    assert os.fstat(f).st_size == n
    assert len(os.read(f, 4096)) == n
    os.close(f)
PY
}

@test "large results: from the spool, whole, at any offset, and gone afterwards" {
	seq 300000 | awk '{ printf "w,s=%d v=%d %d000000\n", $1 % 100, $1 % 977, $1 + 5000 }' >"$MNT/iot/w/ingest"
	f="$Q/SELECT v, s, time FROM iot.w ORDER BY time, s"
	n=$(stat -c %s "$f")
	[ "$n" -gt 8000000 ]
	cat "$f" >"$DIR/a"
	expect "$n" "$(stat -c %s "$DIR/a")"
	dd if="$f" bs=65536 skip=50 2>/dev/null | cmp - <(tail -c +$((50 * 65536 + 1)) "$DIR/a")
	expect 300003 "$(wc -l <"$DIR/a")"
	expect "" "$(ls "$DATA/spool")"
	tide_remount -o spool_quota=1M
	run cat "$f"
	[ "$status" -ne 0 ]
	[[ $output == *"spool_quota"*"quota exceeded"* ]]
}

@test "long names" {
	list=1
	for i in $(seq 2 60); do list="$list, $i"; done
	expect 2 "$(cat "$Q/SELECT 1 AS a WHERE 5 IN ($list)" | wc -l)"
	list=$(seq 1 700 | xargs | tr ' ' ',')
	name="SELECT 1 AS a WHERE 5 IN ($list)"
	[ "${#name}" -gt 2000 ]
	stat "$Q/$name" >/dev/null 2>&1 || skip "this kernel passes only short names"
	expect 2 "$(cat "$Q/$name" | wc -l)"
}

@test "many readers of one name at once" {
	for i in $(seq 40); do
		cat "$Q/SELECT s, count(*) AS n FROM iot.w GROUP BY s ORDER BY s" >"$DIR/o$i" &
	done
	wait $(jobs -p | grep -v "^$TIDE_PID\$")
	for i in $(seq 40); do expect $'s,n\na,1\nb,1' "$(cat "$DIR/o$i")"; done
}

@test "a reader who is killed takes nothing from others of the same name" {
	local name i first killers=()
	seq 100000 | awk '{ printf "w,s=%d v=%d %d000000\n", $1 % 100, $1 % 977, $1 + 5000 }' >"$MNT/iot/w/ingest"
	for i in $(seq 40); do
		name="SELECT sum(sqrt(v) * v + $i) > 0 AS a FROM iot.w WHERE v > 0.5"
		cat "$MNT/q/$name" >/dev/null 3>&- &
		first=$!
		sleep "0.00$((i % 10))"
		{ sleep 0.002; kill "$first"; } 2>/dev/null 3>&- &
		killers+=($!)
		expect $'a\ntrue' "$(cat "$MNT/q/$name")"
	done
	wait "${killers[@]}" || true # none outlives the test
}
