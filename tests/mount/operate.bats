#!/usr/bin/env bats
# What an operator sees, and what the daemon may take: status, stats, recovery, memory.

setup() {
	load helper
	tide_setup
	GEN=$TIDE_BIN/tests/tools/gen_scale
}
teardown() { tide_teardown; }

# Each line of a file is `name: value`, each name a different one, and docs/status.md explains it.
documented() {
	local name bad=0
	run grep -vE '^[a-z][a-z_]*( [A-Za-z0-9._-]+)?: .+$' "$1"
	[ "$status" -eq 1 ] || { echo "not name: value: $output"; return 1; }
	expect "" "$(sed 's/: .*//' "$1" | sort | uniq -d)"
	while read -r name; do
		grep -q "\`$name\`" "$ROOT/docs/status.md" || { echo "$1: $name is not in docs/status.md"; bad=1; }
	done < <(sed 's/: .*//; s/^database .*/database NAME/' "$1")
	return "$bad"
}

@test "what status and stats say is explained" {
	tide_mount
	mkdir "$MNT/iot" "$MNT/iot/w"
	{
		echo "w,s=1 t=1.5,n=2i"
		echo "w,s=1 t=1.5,n=2i $(date -d '-3 days' +%s%N)"
		echo "rubbish"
	} >>"$MNT/iot/w/ingest" || true
	documented "$MNT/status"
	documented "$MNT/iot/status"
	documented "$MNT/iot/w/stats"
	! echo soon >"$MNT/iot/w/retention/memory"
	echo 1h >"$MNT/iot/w/retention/memory" # moves at once
	wait_for 20 eval "[ \"\$(stat_of '$MNT/iot/w/stats' tile_rows)\" = 1 ]"
	documented "$MNT/status"
	documented "$MNT/iot/status"
	documented "$MNT/iot/w/stats"
	expect 2 "$(stat_of "$MNT/iot/w/stats" rows)"
	expect 2 "$(stat_of "$MNT/status" rows)"
	expect 71h "$(stat_of "$MNT/iot/w/stats" tile_oldest_age | sed s/72h/71h/)"
	[[ $(stat_of "$MNT/iot/w/stats" memory_oldest_age) =~ ^[0-9]+s$ ]]
}

@test "after kill -9 status says what recovery took" {
	tide_mount
	mkdir "$MNT/d" "$MNT/d/meter"
	"$GEN" --series 100 --hours 1 --end "$(date +%s)" >>"$MNT/d/meter/ingest"
	expect 0 "$(stat_of "$MNT/d/status" recovered_rows)"
	tide_kill9
	tide_mount
	expect 6000 "$(stat_of "$MNT/d/status" recovered_rows)"
	[ "$(stat_of "$MNT/d/status" recovered_bytes)" -gt 6000 ]
	[[ $(stat_of "$MNT/d/status" recovery_seconds) =~ ^[0-9]+\.[0-9]{3}$ ]]
	expect 0 "$(stat_of "$MNT/d/status" recovery_cut_bytes)"
	grep -q 'recovered database="d" rows=6000' "$LOG"
}

# 50 tables, four writers, 3 M rows that would take 120 MiB: with 32 MiB writers wait, and all is stored.
@test "the daemon keeps to its memory, and writers wait" {
	tide_mount -o memory=32M
	expect $((32 << 20)) "$(stat_of "$MNT/status" memtable_limit_bytes)"
	mkdir "$MNT/d"
	"$GEN" --series 100 --hours 10 --end "$(date +%s)" >"$DIR/rows"
	writer() {
		local i
		for i in $(seq "$1" 4 50); do
			sed "s/^meter/t$i/" "$DIR/rows" >>"$MNT/d/ingest" || return 1
		done
	}
	local pids=() w
	for w in 1 2 3 4; do
		writer "$w" &
		pids+=($!)
	done
	for w in "${pids[@]}"; do wait "$w"; done
	expect 3000000 "$(stat_of "$MNT/d/status" rows_in)"
	expect 50 "$(stat_of "$MNT/d/status" tables)"
	expect 60000 "$(sql 'SELECT count(*) FROM d.t50')"
	# Under a sanitizer memory is another matter.
	if ldd "$TIDEFS" | grep -qE 'lib(asan|tsan)' || nm "$TIDEFS" | grep -q __asan_init; then return 0; fi
	local peak
	peak=$(sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$TIDE_PID/status")
	echo "peak: $peak KiB"
	[ "$peak" -lt $(((32 + 128) * 1024)) ]
}

@test "tables with a row each are no burden" {
	tide_mount
	mkdir "$MNT/d"
	seq 300 | sed 's/.*/t&,host=a v=1.5,w=2i,x=3,y=4,z=5/' >>"$MNT/d/ingest"
	expect 300 "$(stat_of "$MNT/d/status" tables)"
	expect 0 "$(stat_of "$MNT/d/status" files)"
	[ "$(stat_of "$MNT/d/status" memtable_bytes)" -lt $((300 * 2048)) ]
}

@test "-o memory says what it takes" {
	run "$TIDEFS" "$DATA" "$MNT" -o memory=lots
	expect 2 "$status"
	[[ $output == *memory*64M* || $output == *memory*512M* ]]
	run "$TIDEFS" "$DATA" "$MNT" -o memory=100k
	expect 2 "$status"
	[[ $output == *'at least 4M'* ]]
	"$TIDEFS" --help | grep -q 'memory=SIZE'
}
