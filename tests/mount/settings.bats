# Settings: one write is one value, checked there; editors work.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	T=$MNT/iot/w
	F=$T/retention/magnetic
}
teardown() { tide_teardown; }

@test "a value is read back, and kept over a remount" {
	echo 30d >"$F"
	expect 30d "$(cat "$F")"
	printf 12h >"$T/retention/memory"
	expect 12h "$(cat "$T/retention/memory")"
	echo '  sync  ' >"$T/settings/durability"
	expect sync "$(cat "$T/settings/durability")"
	tide_remount
	expect 30d "$(cat "$F")"
	expect sync "$(cat "$T/settings/durability")"
}

@test "what is wrong is refused by the write, keeps the old value, and status says why" {
	echo 30d >"$F"
	run bash -c "echo soon > '$F'"
	[[ $output == *"write error: Invalid argument"* ]]
	expect 30d "$(cat "$F")"
	grep -q "last_refusal: iot/w/retention/magnetic:.*soon" "$MNT/iot/status"
	for f in "$T"/settings/* "$T"/retention/*; do
		run bash -c "echo ',,' > '$f'"
		[ "$status" -ne 0 ]
	done
}

@test "a name with a letter wrong is no temporary file" {
	for f in settings/durabilty settings/late-data settings/PartitionKey settings/presicion retention/memroy \
		retention/Magnetic; do
		run bash -c "echo sync > '$T/$f'"
		[[ $output == *"No such file or directory"* ]]
		grep -q "last_refusal: iot/w/${f%/*}: there is no '${f#*/}' here; '.*' may be meant" "$MNT/iot/status"
	done
	expect "magnetic memory" "$(ls "$T/retention" | xargs)"
	# Names as editors and careful scripts make them are.
	for f in memory.new memory~ .memory.swp 4913 sedAbcDeF next; do
		echo 7h >"$T/retention/$f"
		mv "$T/retention/$f" "$T/retention/memory"
		expect 7h "$(cat "$T/retention/memory")"
	done
}

@test "truncation alone changes nothing" {
	echo 30d >"$F"
	: >"$F"
	truncate -s 0 "$F"
	expect 30d "$(cat "$F")"
}

@test "append, cp, cp -p, python r+" {
	echo 7d >>"$F"
	expect 7d "$(cat "$F")"
	echo 8d >"$DIR/v"
	cp "$DIR/v" "$F"
	expect 8d "$(cat "$F")"
	cp -p "$DIR/v" "$F"
	need python3
	python3 -c "
f = open('$F', 'r+')
assert f.read() == '8d\n'
f.seek(0); f.write('9d\n'); f.close()
assert open('$F').read() == '9d\n'"
}

@test "sed -i works, and a bad edit is refused and leaves nothing behind" {
	echo 30d >"$F"
	sed -i s/30/40/ "$F"
	expect 40d "$(cat "$F")"
	run sed -i s/40d/never/ "$F"
	[ "$status" -ne 0 ]
	expect 40d "$(cat "$F")"
	expect "magnetic memory" "$(ls -A "$T/retention" | xargs)"
}

@test "vim works" {
	need vim
	echo 40d >"$F"
	vim -es -u NONE -c '%s/40d/50d/' -c wq "$F"
	expect 50d "$(cat "$F")"
	expect "magnetic memory" "$(ls -A "$T/retention" | xargs)"
	vim -es -u NONE -c 'set backup swapfile' -c '%s/50d/60d/' -c wq "$F"
	expect 60d "$(cat "$F")"
}

@test "mv over a setting is a checked store; scratch files are small" {
	echo 5d >"$T/retention/tmp"
	expect 5d "$(cat "$T/retention/tmp")"
	mv "$T/retention/tmp" "$F"
	expect 5d "$(cat "$F")"
	[ ! -e "$T/retention/tmp" ]
	run dd if=/dev/zero of="$T/retention/big" bs=1M count=2
	[[ $output == *"File too large"* ]]
	rm "$T/retention/big"
	for i in $(seq 32); do : >"$T/settings/s$i"; done
	run touch "$T/settings/s33"
	[ "$status" -ne 0 ]
	rm "$T"/settings/s[0-9]*
}

@test "an empty line behind a value is none; a read-write handle sees what it wrote" {
	need python3
	printf '41d\n\n' >"$F"
	expect 41d "$(cat "$F")"
	run bash -c "echo > '$F'"
	[[ $output == *"Invalid argument"* ]]
	python3 - "$F" <<'PY'
import sys
f = open(sys.argv[1], "r+")
assert f.read() == "41d\n"
f.seek(0)
f.write("42d\n")
f.flush()
f.seek(0)
assert f.read() == "42d\n"
PY
	expect 42d "$(cat "$F")"
}

@test "partition key: what is shown, what it refuses, and when it is fixed" {
	K=$T/settings/partition_key
	expect dimensions "$(cat "$K")"
	echo 'host required, "rack no"' >"$K"
	expect 'host required, "rack no" optional' "$(cat "$K")"
	run bash -c "echo 'host sometimes' > '$K'"
	[[ $output == *"Invalid argument"* ]]
	grep -q "last_refusal: iot/w/settings/partition_key: .*sometimes" "$MNT/iot/status"
	echo 'm,host=a v=1' >>"$T/ingest"
	run bash -c "echo 'm,az=1 v=1' >>'$T/ingest'"
	[ "$status" -ne 0 ]
	grep -q "lacks dimension 'host', which the partition key requires" "$T/rejected"
	: >"$T/rejected"
	# A name as long as eight of them may be.
	long=$(printf 'n%.0s' {1..250})
	text=$(for i in 1 2 3 4 5 6 7 8; do printf '%s%s required, ' "$i" "$long"; done)
	echo "${text%, }" >"$K"
	expect "${text%, }" "$(cat "$K")"
	echo host >"$K"
	tide_remount
	expect 'host optional' "$(cat "$K")"
	# Once there is a tile only the level changes.
	echo "m,az=1 v=1 $(($(date +%s) - 3600))000000000" >>"$T/ingest"
	echo 1s >"$T/retention/memory"
	for _ in {1..100}; do
		ls "$T"/magnetic/ts_date=*/ts_part=00/*.parquet >/dev/null 2>&1 && break
		sleep 0.1
	done
	run bash -c "echo az > '$K'"
	[ "$status" -ne 0 ]
	grep -q "fixed once the table has tiles" "$MNT/iot/status"
	echo 'host required' >"$K"
	expect 'host required' "$(cat "$K")"
	expect 2 "$(tail -n 1 "$MNT/q/SELECT count(*) FROM iot.w")"
}

@test "status of a database has its own last refusal, that of the mount the last of all" {
	mkdir "$MNT/other" "$MNT/other/w"
	run bash -c "echo soon >'$T/retention/memory'"
	run bash -c "echo later >'$MNT/other/w/retention/memory'"
	grep -q "last_refusal: iot/w/.*'soon' is not allowed; write a duration.* to 200y" "$MNT/iot/status"
	grep -q "last_refusal: other/w/.*'later'" "$MNT/other/status"
	grep -q "last_refusal: other/w/.*'later'" "$MNT/status"
	mkdir "$MNT/third"
	! grep -q last_refusal "$MNT/third/status"
}
