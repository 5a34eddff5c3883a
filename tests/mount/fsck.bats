# fsck from the outside: after a crash, on a damaged tile, in use, and what a mount says afterwards.

setup() {
	load helper
	tide_setup
	tide_mount
	mkdir "$MNT/d" "$MNT/d/t"
	seq 5000 | awk '{ printf "m,s=%d v=%d,w=%di %d000000000\n", $1 % 5, $1, $1, 1700000000 + $1 }' >>"$MNT/d/t/ingest"
}
teardown() { tide_teardown; }

in_tiles() { [ "$(stat_of "$MNT/d/t/stats" tile_rows)" = 5000 ]; }

@test "a mounted data directory is in use" {
	run "$TIDEFS" fsck "$DATA"
	[ "$status" -ne 0 ]
	[[ $output == *"in use"* ]]
}

@test "after kill -9 there is nothing to repair" {
	tide_kill9
	run "$TIDEFS" fsck "$DATA"
	expect 0 "$status"
	[[ $output == *"0 problems"* ]]
	# Nor when a file was just being written.
	head -c 3000 /dev/urandom >"$DATA/db/d/tables/1/runs/.7.tmp"
	run "$TIDEFS" fsck "$DATA"
	expect 0 "$status"
	[[ $output == "note: "*".7.tmp: is named by no transaction"*"0 problems"* ]]
}

@test "a damaged tile is named, set aside, and the rest is served" {
	echo 'late,s=1 v=1' >>"$MNT/d/ingest"
	wait_for 20 in_tiles
	tide_umount
	local tile
	tile=$(find "$DATA" -name '*.parquet' | head -n 1)
	printf 'U' | dd of="$tile" bs=1 seek=600 conv=notrunc 2>/dev/null
	run "$TIDEFS" fsck "$DATA"
	expect 1 "$status"
	[[ $output == *"$(basename "$tile")"* && $output == *"offset"* ]]
	run "$TIDEFS" fsck "$DATA" --repair
	expect 0 "$status"
	[ ! -e "$tile" ]
	[ -n "$(find "$DATA" -path '*damaged*' -name "$(basename "$tile")")" ]
	run "$TIDEFS" fsck "$DATA"
	expect 0 "$status"
	tide_mount
	expect 1 "$(cat "$MNT/q/SELECT count(*) FROM d.late" | tail -n 1)"
}

@test "a tile that a query found damaged stands in status until it is removed" {
	echo 'late,s=1 v=1' >>"$MNT/d/ingest"
	wait_for 20 in_tiles
	tide_umount
	local tile
	tile=$(find "$DATA" -name '*.parquet' | head -n 1)
	printf 'U' | dd of="$tile" bs=1 seek=600 conv=notrunc 2>/dev/null
	tide_mount
	grep -q '^state: ok' "$MNT/d/status"
	run cat "$MNT/q/SELECT * FROM d.t"
	[[ $output == *"Input/output error"* ]]
	expect failing "$(stat_of "$MNT/d/status" state)"
	[[ $(stat_of "$MNT/d/status" reason) == "table 't': "*"$(basename "$tile"): "*"is damaged"* ]]
	grep -q "^database d: failing: table 't': " "$MNT/status"
	# The rest is served, and takes rows.
	expect 1 "$(sql 'SELECT count(*) FROM d.late')"
	echo 'late,s=2 v=1' >>"$MNT/d/ingest"
	rm "$MNT"/d/t/magnetic/*/*/*.parquet
	grep -q '^state: ok' "$MNT/d/status"
	expect 0 "$(sql 'SELECT count(*) FROM d.t')"
}

# on_terminal COMMAND...: what it writes to a terminal of its own.
on_terminal() {
	python3 - "$@" <<-'END'
		import os, pty, sys
		pid, fd = pty.fork()
		if pid == 0:
		    os.execvp(sys.argv[1], sys.argv[1:])
		out = b''
		while True:
		    try:
		        piece = os.read(fd, 4096)
		    except OSError:
		        break
		    if not piece:
		        break
		    out += piece
		sys.stdout.buffer.write(out)
		sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
	END
}

@test "on a terminal a bar shows how far it is, and is gone at the end" {
	need python3
	echo 'late,s=1 v=1' >>"$MNT/d/ingest"
	wait_for 20 in_tiles
	tide_umount
	run on_terminal "$TIDEFS" fsck "$DATA"
	expect 0 "$status"
	# Drawn in place: back to the line's begin, hashes up to forty, and how much of how much.
	[[ $output == *$'\r'"[########"* ]]
	[[ $output == *"] "*" of "*" MiB"* ]]
	[[ $output != *"[#########################################"* ]]
	# Wiped before the result, which stands on a line of its own.
	last=$(printf '%s\n' "$output" | tr -d '\n' | tr '\r' '\n' | grep -v '^$' | tail -n 1)
	[[ $last == $'\e[K'"checked "*" files, "*" bytes: 0 problems" ]]
	# Not to a terminal: no bar.
	run "$TIDEFS" fsck "$DATA"
	[[ $output != *"["* ]]
}

@test "a damaged catalogue is made anew: rows, names, settings and owners as they were" {
	echo 2h >"$MNT/d/t/retention/memory"
	chmod 0640 "$MNT/d/t/ingest"
	chmod 0750 "$MNT/d"
	before=$(sql 'SELECT count(*), sum(w) FROM d.t')
	tide_umount
	dd if=/dev/urandom of="$DATA/db/d/catalog.sqlite" bs=4096 count=2 conv=notrunc 2>/dev/null
	tide_mount
	grep -q '^database d: failed: .*fsck' "$MNT/status"
	tide_umount
	run "$TIDEFS" fsck "$DATA"
	expect 1 "$status"
	[[ $output == *"catalog.sqlite"*"--repair would make it anew from the copies"* ]]
	run "$TIDEFS" fsck "$DATA" --repair
	echo "$output"
	expect 0 "$status"
	[ -e "$DATA/db/d/damaged/catalog.sqlite" ]
	run "$TIDEFS" fsck "$DATA"
	expect 0 "$status"
	tide_mount
	expect "$before" "$(sql 'SELECT count(*), sum(w) FROM d.t')"
	expect 2h "$(cat "$MNT/d/t/retention/memory")"
	expect 640 "$(stat -c %a "$MNT/d/t/ingest")"
	expect 750 "$(stat -c %a "$MNT/d")"
	echo 'm,s=9 v=1,w=1i' >>"$MNT/d/t/ingest"
}
