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
